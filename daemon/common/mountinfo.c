/* SPDX-License-Identifier: Apache-2.0 */
#include "mountinfo.h"

#include <unistd.h>

#define MOUNTINFO_MAX (32u * 1024u * 1024u)

const char *const system_places[] = {
        "/", "/usr", "/etc", "/run", "/var", "/var/lib", "/var/lib/cmkd", "/var/log", "/var/log/cmkd",
        "/var/log/journal", "/var/lib/systemd", NULL,
};

static bool is_octal(char c) {
        return c >= '0' && c <= '7';
}

/* The kernel writes white space and backslashes as \ooo. */
static void unescape(char *s) {
        char *out = s;

        while (*s)
                if (s[0] == '\\' && is_octal(s[1]) && is_octal(s[2]) && is_octal(s[3])) {
                        *out++ = (char) ((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
                        s += 4;
                } else
                        *out++ = *s++;
        *out = 0;
}

static char *next_field(char **p) {
        return strsep(p, " ");
}

static int next_number(char **p, uint64_t max, uint64_t *ret) {
        char *field = next_field(p);

        return field ? parse_u64(field, max, ret) : -EINVAL;
}

int mount_line_parse(char *line, struct mount_line *ret) {
        struct mount_line m = {};
        uint64_t major, minor;
        char *p = line, *dev, *root, *point, *field, *type, *source, *options;

        if (next_number(&p, UINT32_MAX, &m.id) < 0 || next_number(&p, UINT32_MAX, &m.parent) < 0)
                return -EINVAL;
        dev = next_field(&p);
        root = next_field(&p);
        point = next_field(&p);
        if (!dev || !root || !point || !next_field(&p))
                return -EINVAL;
        field = strsep(&dev, ":");
        if (!dev || parse_u64(field, UINT32_MAX, &major) < 0 || parse_u64(dev, UINT32_MAX, &minor) < 0)
                return -EINVAL;
        while ((field = next_field(&p)) && !streq(field, "-"))
                if (startswith(field, "shared:") && parse_u64(field + strlen("shared:"), UINT32_MAX, &m.group) < 0)
                        return -EINVAL;
        type = next_field(&p);
        source = next_field(&p);
        options = next_field(&p);
        if (!field || !type || !source || !options)
                return -EINVAL;
        unescape(root);
        unescape(point);
        unescape(source);
        unescape(options);
        m.major = (uint32_t) major;
        m.minor = (uint32_t) minor;
        m.root = root;
        m.point = point;
        m.type = type;
        m.source = source;
        m.options = options;
        *ret = m;
        return 0;
}

char *swap_line_path(char *line) {
        if (*line != '/')
                return NULL;
        line[strcspn(line, " \t")] = 0;
        unescape(line);
        return line;
}

/* procfs gives no size beforehand; the buffer grows with what comes. What a user mounted beyond the maximum in a
 * namespace of his own is not seen: what he found there when he made it comes first. */
int mountinfo_read(int fd, char **ret) {
        _cleanup_(freep) char *buf = NULL;
        size_t n = 0, size = 0;

        for (;;) {
                ssize_t k;

                if (n + 1 >= size) {
                        char *bigger;

                        if (size >= MOUNTINFO_MAX)
                                break;
                        size = MAX_OF(size * 2, (size_t) 16384);
                        bigger = realloc(buf, size);
                        if (!bigger)
                                return -ENOMEM;
                        buf = bigger;
                }
                k = read(fd, buf + n, size - n - 1);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t) k;
        }
        buf[n] = 0;
        *ret = TAKE_PTR(buf);
        return 0;
}

int fdinfo_number(const char *text, const char *name, uint64_t max, uint64_t *ret) {
        char number[24] = {};
        const char *p = text;
        size_t n;

        while ((p = strstr(p, name)) && p != text && p[-1] != '\n')
                p++;
        if (!p)
                return -ENODATA;
        p += strlen(name);
        p += strspn(p, " \t");
        n = strspn(p, "0123456789");
        if (n >= sizeof(number))
                return -ERANGE;
        memcpy(number, p, n);
        return parse_u64(number, max, ret);
}

bool path_is_below(const char *path, const char *directory) {
        size_t n = strlen(directory);

        if (n == 1 && *directory == '/')
                return *path == '/';
        return strncmp(path, directory, n) == 0 && (path[n] == 0 || path[n] == '/');
}
