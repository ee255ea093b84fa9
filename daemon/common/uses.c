/* SPDX-License-Identifier: Apache-2.0 */
#include "uses.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINES_MAX (USES_LISTED_MAX * _USE_KIND_MAX + 1)
#define LINE_TEXT_MAX 20000u             /* of a path of PATH_MAX, all of it escaped, and some */

static const char *const kinds[_USE_KIND_MAX] = { "mount", "swap", "process", "device" };

const char *use_kind_to_string(enum use_kind k) {
        return (unsigned) k < _USE_KIND_MAX ? kinds[k] : "?";
}

static bool is_plain(char c) {
        return c > ' ' && c < 127 && c != '\\';
}

/* Returns the length, or -ENAMETOOLONG with what fits in buf. */
static int escape(const char *s, char *buf, size_t size) {
        size_t n = 0;

        if (!*s)
                return snprintf(buf, size, "\\-") < (int) size ? 2 : -ENAMETOOLONG;
        for (; *s; s++) {
                size_t need = is_plain(*s) ? 1 : 4;

                if (n + need >= size) {
                        buf[n] = 0;
                        return -ENAMETOOLONG;
                }
                if (need == 1)
                        buf[n] = *s;
                else
                        (void) snprintf(buf + n, size - n, "\\x%02x", (unsigned char) *s);
                n += need;
        }
        buf[n] = 0;
        return (int) n;
}

void use_text_escape(const char *s, char *buf, size_t size) {
        if (*s)
                (void) escape(s, buf, size);
        else
                *buf = 0;
}

int use_line_format(const struct use *u, char *buf, size_t size) {
        _cleanup_(freep) char *name = malloc(LINE_TEXT_MAX), *extra = malloc(LINE_TEXT_MAX);
        int n;

        if (!name || !extra || escape(u->name, name, LINE_TEXT_MAX) < 0 ||
            escape(strempty(u->extra), extra, LINE_TEXT_MAX) < 0)
                return -ENAMETOOLONG;
        n = snprintf(buf, size, "%s %u %" PRIu32 " %s %s\n", use_kind_to_string(u->kind), u->flags, u->number, name, extra);
        return n < 0 || (size_t) n >= size ? -ENAMETOOLONG : n;
}

int uses_total_format(const uint64_t total[static _USE_KIND_MAX], char *buf, size_t size) {
        int n = snprintf(buf, size, "total %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", total[USE_MOUNT],
                         total[USE_SWAP], total[USE_PROCESS], total[USE_DEVICE]);

        return n < 0 || (size_t) n >= size ? -ENAMETOOLONG : n;
}

/* In place. Returns 0 or -EBADMSG. */
static int unescape(char *s) {
        char *out = s;

        if (streq(s, "\\-"))
                *s = 0;
        else if (!*s)
                return -EBADMSG;
        while (*s) {
                int high, low;

                if (is_plain(*s)) {
                        *out++ = *s++;
                        continue;
                }
                high = s[0] == '\\' && s[1] == 'x' ? hex_digit(s[2]) : -1;
                low = high >= 0 ? hex_digit(s[3]) : -1;
                if (low < 0 || (high == 0 && low == 0))
                        return -EBADMSG;
                *out++ = (char) (high * 16 + low);
                s += 4;
        }
        *out = 0;
        return 0;
}

static int parse_line(char *line, struct use *ret) {
        char *kind = strsep(&line, " "), *flags = strsep(&line, " "), *number = strsep(&line, " "),
             *name = strsep(&line, " ");
        uint64_t f, n;

        if (!line || strchr(line, ' ') || parse_u64(flags, _USE_FLAGS_ALL, &f) < 0 || parse_u64(number, UINT32_MAX, &n) < 0)
                return -EBADMSG;
        for (unsigned k = 0; k < _USE_KIND_MAX; k++)
                if (streq(kind, kinds[k])) {
                        *ret = (struct use) { (enum use_kind) k, (unsigned) f, (uint32_t) n, name, line };
                        return unescape(name) < 0 || !*name ? -EBADMSG : unescape(line);
                }
        return -EBADMSG;
}

static int parse_total(char *line, struct uses *u) {
        if (!streq(strempty(strsep(&line, " ")), "total"))
                return -EBADMSG;
        for (unsigned k = 0; k < _USE_KIND_MAX; k++) {
                const char *field = strsep(&line, " ");

                if (!field || parse_u64(field, UINT64_MAX, &u->total[k]) < 0)
                        return -EBADMSG;
        }
        return line ? -EBADMSG : 0;
}

/* All but the last line are uses. */
static int parse_lines(struct uses *u) {
        size_t lines = 0, size = strlen(u->text);
        char *p = u->text, *line;
        int r = 0;

        for (const char *c = p; *c; c++)
                lines += *c == '\n';
        if (lines == 0 || lines > LINES_MAX || p[size - 1] != '\n')
                return -EBADMSG;
        p[size - 1] = 0;
        u->u = calloc(lines, sizeof(*u->u));
        if (!u->u)
                return -ENOMEM;
        while (r >= 0 && --lines > 0) {
                line = strsep(&p, "\n");
                r = parse_line(line, u->u + u->n);
                u->n += r >= 0;
        }
        return r < 0 ? r : parse_total(p, u);
}

int uses_parse(char *text, struct uses *ret) {
        struct uses u = { .text = text };
        int r;

        r = parse_lines(&u);
        if (r < 0)
                uses_done(&u);
        else
                *ret = u;
        return r;
}

int uses_read(int fd, struct uses *ret) {
        struct stat st;
        char *text;
        ssize_t n;

        if (fd < 0)
                return -EBADMSG;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size < 0 || st.st_size > (off_t) USES_TEXT_MAX)
                return -EFBIG;
        text = malloc((size_t) st.st_size + 1);
        if (!text)
                return -ENOMEM;
        n = pread(fd, text, (size_t) st.st_size, 0);
        if (n < 0) {
                int error = -errno;

                free(text);
                return error;
        }
        text[n] = 0;
        return uses_parse(text, ret);
}

void uses_done(struct uses *u) {
        free(u->u);
        free(u->text);
        *u = (struct uses) {};
}
