/* SPDX-License-Identifier: Apache-2.0 */
#include "vault-log.h"

#include <fcntl.h>
#include <unistd.h>

/* Bytes that were looked at more than once for nothing: each torn line costs as much as an entry may be long. */
#define WASTE_MAX (UINT64_C(256) * 1024 * 1024)

/* buf[begin, end) is what was read and not yet handed out. */
struct vault_log {
        int fd;
        bool ended;
        uint64_t line, next_line, waste;
        size_t begin, end;
        char buf[VAULT_LOG_ENTRY_MAX];
};

int vault_log_open(const char *path, struct vault_log **ret) {
        _cleanup_(vault_log_freep) struct vault_log *l = malloc(sizeof(*l));

        if (!l)
                return -ENOMEM;
        l->ended = false;
        l->line = l->next_line = 1;
        l->waste = 0;
        l->begin = l->end = 0;
        l->fd = streq(path, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY);
        if (l->fd < 0)
                return -errno;
        *ret = TAKE_PTR(l);
        return 0;
}

struct vault_log *vault_log_free(struct vault_log *l) {
        if (l)
                safe_close(l->fd);
        free(l);
        return NULL;
}

uint64_t vault_log_line(const struct vault_log *l) {
        return l->line;
}

static void drop(struct vault_log *l, size_t n) {
        for (size_t i = 0; i < n; i++)
                l->next_line += l->buf[l->begin + i] == '\n';
        l->begin += n;
}

/* More of the file, behind what is there. Returns 1, 0 (the end, or no room) or -errno. */
static int fill(struct vault_log *l) {
        ssize_t n;

        if (l->begin > 0) {
                memmove(l->buf, l->buf + l->begin, l->end - l->begin);
                l->end -= l->begin;
                l->begin = 0;
        }
        if (l->ended || l->end == sizeof(l->buf))
                return 0;
        do
                n = read(l->fd, l->buf + l->end, sizeof(l->buf) - l->end);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        l->ended = n == 0;
        l->end += (size_t) n;
        return n > 0;
}

/* At least so many bytes, or all that there are. */
static int want(struct vault_log *l, size_t n) {
        int r = 1;

        while (r > 0 && l->end - l->begin < n)
                r = fill(l);
        return r < 0 ? r : 0;
}

/* Behind the next newline, wherever that is. */
static int skip_line(struct vault_log *l) {
        for (;;) {
                char *newline = memchr(l->buf + l->begin, '\n', l->end - l->begin);
                int r;

                drop(l, newline ? (size_t) (newline + 1 - (l->buf + l->begin)) : l->end - l->begin);
                if (newline)
                        return 0;
                r = fill(l);
                if (r <= 0)
                        return r;
        }
}

/* What stands between entries. Returns 1 (something is there), 0 (the end) or -errno. */
static int skip_between(struct vault_log *l) {
        for (;;) {
                size_t n = 0;
                int r;

                while (l->begin + n < l->end && strchr(" \t\r\n,[]}\xef\xbb\xbf", l->buf[l->begin + n]) && l->buf[l->begin + n])
                        n++;
                drop(l, n);
                if (l->begin < l->end)
                        return 1;
                r = fill(l);
                if (r <= 0)
                        return r;
        }
}

/* {"records": [ in which entries stand. Returns its length, or 0. */
static size_t wrapper(const struct vault_log *l) {
        static const char *const parts[] = { "{", "\"records\"", ":", "[" };
        const char *p = l->buf + l->begin, *end = l->buf + l->end;

        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                size_t n = strlen(parts[i]);

                while (p < end && *p && strchr(" \t\r\n", *p))
                        p++;
                if ((size_t) (end - p) < n || memcmp(p, parts[i], n) != 0)
                        return 0;
                p += n;
        }
        return (size_t) (p - (l->buf + l->begin));
}

/* Where the object at begin ends. Returns 1, 0 (nowhere: torn, or too long), -errno. */
static int find_end(struct vault_log *l, size_t *ret_size) {
        size_t depth = 0;
        bool in_string = false, escaped = false;

        for (size_t i = 0; ; i++) {
                char c;

                if (l->begin + i == l->end) {
                        int r = fill(l);

                        if (r <= 0)
                                return r;
                }
                c = l->buf[l->begin + i];
                if (in_string) {
                        if (c == '\n')
                                return 0;
                        in_string = escaped || c != '"';
                        escaped = !escaped && c == '\\';
                } else if (c == '"')
                        in_string = true;
                else if (c == '{' || c == '[')
                        depth++;
                else if ((c == '}' || c == ']') && --depth == 0) {
                        *ret_size = i + 1;
                        return 1;
                }
        }
}

/* What is at begin is no entry. */
static int give_up_line(struct vault_log *l, size_t looked_at) {
        int r;

        l->waste += looked_at;
        if (l->waste > WASTE_MAX)
                return -E2BIG;
        r = skip_line(l);
        return r < 0 ? r : -EBADMSG;
}

int vault_log_next(struct vault_log *l, struct vault_entry *ret) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        size_t size;
        int r;

        for (;;) {
                r = skip_between(l);
                if (r <= 0)
                        return r;
                l->line = l->next_line;
                if (l->buf[l->begin] != '{')
                        return give_up_line(l, 1);
                r = want(l, 64);
                if (r < 0)
                        return r;
                size = wrapper(l);
                if (size == 0)
                        break;
                drop(l, size);
        }
        r = find_end(l, &size);
        if (r < 0)
                return r;
        if (r == 0)
                return give_up_line(l, l->end - l->begin);
        r = json_parse(l->buf + l->begin, size, &o);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return give_up_line(l, size);
        drop(l, size);                     /* of many lines perhaps, and none of an entry's own */
        return vault_entry_decode(o, ret) < 0 ? -EBADMSG : 1;
}
