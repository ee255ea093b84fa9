/* SPDX-License-Identifier: Apache-2.0 */
#include "pause-mark.h"

#include <inttypes.h>
#include <unistd.h>

#define DIRECTORY "/run/cmkd/pause"
#define PATH_SIZE (sizeof(DIRECTORY) + 40)
#define TEXT_SIZE 80

void pause_mark_format(const struct pause_mark *m, char *buf, size_t size) {
        snprintf(buf, size, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", m->since_boottime_usec, m->until.boottime_usec,
                 m->until.realtime_usec);
}

int pause_mark_parse(const char *text, uint64_t longest_usec, struct instant now, struct pause_mark *ret) {
        struct pause_mark m = {};
        char again[TEXT_SIZE];

        if (sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &m.since_boottime_usec, &m.until.boottime_usec,
                   &m.until.realtime_usec) != 3)
                return -EBADMSG;
        /* Signs, leading zeros, other white space, numbers that are too large: not what is written here. */
        pause_mark_format(&m, again, sizeof(again));
        if (!streq(text, again))
                return -EBADMSG;
        if (m.since_boottime_usec > now.boottime_usec || m.until.boottime_usec < m.since_boottime_usec ||
            m.until.boottime_usec - m.since_boottime_usec > longest_usec)
                return -EBADMSG;
        *ret = m;
        return 0;
}

static void path_of(const char *uuid, char *buf, size_t size) {
        snprintf(buf, size, DIRECTORY "/%s", uuid);
}

int pause_mark_write(const char *uuid, const struct pause_mark *m) {
        char path[PATH_SIZE], text[TEXT_SIZE];
        int r;

        path_of(uuid, path, sizeof(path));
        pause_mark_format(m, text, sizeof(text));
        r = mkdir_parents(DIRECTORY, 0700);
        return r < 0 ? r : write_file_atomic(path, text, strlen(text), 0600);
}

int pause_mark_read(const char *uuid, uint64_t longest_usec, struct instant now, struct pause_mark *ret) {
        _cleanup_(freep) char *text = NULL;
        char path[PATH_SIZE];
        int r;

        path_of(uuid, path, sizeof(path));
        r = read_small_file(path, TEXT_SIZE, &text, NULL);
        return r < 0 ? r : pause_mark_parse(text, longest_usec, now, ret);
}

void pause_mark_remove(const char *uuid) {
        char path[PATH_SIZE];

        path_of(uuid, path, sizeof(path));
        (void) unlink(path);
}
