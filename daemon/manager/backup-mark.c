/* SPDX-License-Identifier: Apache-2.0 */
#include "backup-mark.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "common/base64.h"
#include "common/paths.h"

#define PATH_SIZE (sizeof(BACKUPS_DIRECTORY) + 40)
#define DIGITS (2 * DISK_DIGEST_SIZE)

int backup_mark_parse(const char *text, struct backup_mark *ret) {
        struct backup_mark b = {};
        char hex[DIGITS + 1];
        int end = 0;
        size_t n;

        if (sscanf(text, "%" SCNu64 " %64[0-9a-f] %n", &b.realtime_usec, hex, &end) != 2 || end == 0 || strlen(hex) != DIGITS ||
            hex_decode(hex, b.digest, sizeof(b.digest)) < 0)
                return -EBADMSG;
        n = strcspn(text + end, "\n");
        if (text[end] != '/' || n >= sizeof(b.path) || !streq(text + end + n, "\n"))
                return -EBADMSG;
        memcpy(b.path, text + end, n);
        *ret = b;
        return 0;
}

int backup_mark_read(const char *uuid, struct backup_mark *ret) {
        _cleanup_(freep) char *text = NULL;
        char path[PATH_SIZE];
        int r;

        snprintf(path, sizeof(path), BACKUPS_DIRECTORY "/%s", uuid);
        r = read_small_file(path, 1024, &text, NULL);
        return r < 0 ? r : backup_mark_parse(text, ret);
}

int backup_mark_write(const char *uuid, const struct backup_mark *b) {
        char path[PATH_SIZE], hex[DIGITS + 1], text[sizeof(b->path) + DIGITS + 32];
        size_t n;
        int r;

        hex_encode(b->digest, sizeof(b->digest), hex);
        n = (size_t) snprintf(text, sizeof(text), "%" PRIu64 " %s %s\n", b->realtime_usec, hex, b->path);
        snprintf(path, sizeof(path), BACKUPS_DIRECTORY "/%s", uuid);
        r = mkdir_parents(BACKUPS_DIRECTORY, 0700);
        return r < 0 ? r : write_file_atomic(path, text, n, 0600);
}

void backup_mark_place(int fd, char *buf, size_t size) {
        char link[32];
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, buf, size - 1);
        buf[n < 0 ? 0 : n] = 0;
        replace_controls(buf);
}

void backup_mark_describe(const struct backup_mark *b, const uint8_t *digest, char *buf, size_t size) {
        time_t t = (time_t) (b->realtime_usec / USEC_PER_SEC);
        char when[40] = "?";
        struct tm tm;

        if (gmtime_r(&t, &tm))
                (void) strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
        snprintf(buf, size, "%s, %s%s", b->path, when,
                 !digest ? "" : memcmp(digest, b->digest, DISK_DIGEST_SIZE) == 0 ? ", of the header as it is"
                                                                               : ", OLDER than the header: it opens with what opened it then");
}
