/* SPDX-License-Identifier: Apache-2.0 */
#include "attributes-mark.h"

#include <dirent.h>
#include <inttypes.h>
#include <unistd.h>

#include "common/log.h"

#define DIRECTORY "/run/cmkd/attributes"
#define PATH_SIZE (sizeof(DIRECTORY) + 60)
#define MARK_MAX 2048u

/* One line, without its end. */
static int parse_line(char *line, struct vault_reply *y) {
        const char *seconds = startswith(line, "expires=");
        struct vault_tag *t = y->tags + y->n_tags;
        char *value = strchr(line, '=');
        int end = 0;

        if (seconds)
                return sscanf(seconds, "%" SCNu64 "%n", &y->expires, &end) == 1 && !seconds[end] ? 0 : -EBADMSG;
        if (!value || y->n_tags == VAULT_TAGS_MAX)
                return -EBADMSG;
        *value++ = 0;
        if (!vault_tag_is_valid(line, value))
                return -EBADMSG;
        memcpy(t->name, line, strlen(line));
        memcpy(t->value, value, strlen(value));
        y->n_tags++;
        return 0;
}

int attributes_mark_parse(const char *text, struct vault_reply *ret) {
        struct vault_reply y = { .verdict = VERDICT_GRANTED, .key_flags = VAULT_KEY_ENABLED };
        _cleanup_(freep) char *copy = strdup(text);
        char *rest = copy, *line;

        if (!copy || !*copy || copy[strlen(copy) - 1] != '\n')
                return -EBADMSG;
        while ((line = strsep(&rest, "\n")) && rest)
                if (parse_line(line, &y) < 0)
                        return -EBADMSG;
        *ret = y;
        return 0;
}

void attributes_mark_format(const struct attributes *a, char *buf, size_t size) {
        size_t n = 0;

        *buf = 0;
        if (a->expires > 0)
                n = (size_t) snprintf(buf, size, "expires=%" PRIu64 "\n", a->expires);
        for (unsigned i = 0; i < a->n_tags && n < size; i++)
                n += (size_t) snprintf(buf + n, size - n, "%s=%s\n", a->tags[i].name, a->tags[i].value);
}

/* A volume may have several keys: FNV-1a of the key's identifier tells them apart. Nobody gains by making two the same. */
static void path_of(const char *uuid, const char *key, char *buf, size_t size) {
        uint64_t h = UINT64_C(0xcbf29ce484222325);

        for (const char *p = key; *p; p++)
                h = (h ^ (uint8_t) *p) * UINT64_C(0x100000001b3);
        snprintf(buf, size, DIRECTORY "/%s.%016" PRIx64, uuid, h);
}

void attributes_mark_write(const char *uuid, const char *key, const struct attributes *a) {
        char path[PATH_SIZE], text[MARK_MAX];
        int r;

        path_of(uuid, key, path, sizeof(path));
        attributes_mark_format(a, text, sizeof(text));
        if (!*text) {
                (void) unlink(path);
                return;
        }
        r = mkdir_parents(DIRECTORY, 0700);
        if (r >= 0)
                r = write_file_atomic(path, text, strlen(text), 0600);
        if (r < 0)
                log_warning("%s: its key's attributes are not written down: %s; a new cmkd has to read them first", uuid,
                            strerror(-r));
}

void attributes_mark_read(const char *uuid, const char *key, struct attributes *a) {
        _cleanup_(freep) char *text = NULL;
        char path[PATH_SIZE];
        struct vault_reply y;

        path_of(uuid, key, path, sizeof(path));
        if (read_small_file(path, MARK_MAX, &text, NULL) >= 0 && attributes_mark_parse(text, &y) >= 0)
                (void) attributes_take(a, &y);
}

void attributes_mark_forget(const char *uuid) {
        DIR *d = opendir(DIRECTORY);
        struct dirent *e;

        while (d && (e = readdir(d))) {
                const char *rest = startswith(e->d_name, uuid);

                if (rest && *rest == '.')
                        (void) unlinkat(dirfd(d), e->d_name, 0);
        }
        if (d)
                closedir(d);
}
