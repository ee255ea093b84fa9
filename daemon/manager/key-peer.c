/* SPDX-License-Identifier: Apache-2.0 */
#include "key-peer.h"

#include <sys/un.h>

static int take_name(const char *name, char ret_name[static 65]) {
        if (!volume_name_is_valid(name))
                return -EINVAL;
        snprintf(ret_name, 65, "%s", name);
        return 0;
}

int key_peer_hint(const struct sockaddr_un *sa, socklen_t size, char ret_name[static 65]) {
        const size_t head = offsetof(struct sockaddr_un, sun_path) + 1;
        char text[sizeof(sa->sun_path)];
        size_t n, digits;
        const char *rest;

        if (size <= head || size > sizeof(*sa) || sa->sun_family != AF_UNIX || sa->sun_path[0] != 0)
                return -EINVAL;
        n = size - head;
        memcpy(text, sa->sun_path + 1, n);
        text[n] = 0;
        digits = strspn(text, "0123456789abcdef");
        rest = startswith(text + digits, "/cryptsetup/");
        if (strlen(text) != n || digits == 0 || digits > 16 || !rest)
                return -EINVAL;
        return take_name(rest, ret_name);
}

/* systemd.unit(5), "string escaping": \xNN for what a unit's name does not carry, - for /. What is not as systemd itself
 * escapes it comes out as a character that no volume's name has. */
static int unescape(const char *s, size_t size, char ret_name[static 65]) {
        char name[65];
        size_t n = 0;

        for (size_t i = 0; i < size; i++) {
                char c = s[i] == '-' ? '/' : s[i];

                if (s[i] == '\\') {
                        int high = i + 3 < size ? hex_digit(s[i + 2]) : -1, low = i + 3 < size ? hex_digit(s[i + 3]) : -1;

                        if (high < 0 || low < 0 || s[i + 1] != 'x')
                                return -EINVAL;
                        c = (char) (high << 4 | low);
                        i += 3;
                }
                if (c == 0 || n == sizeof(name) - 1)
                        return -EINVAL;
                name[n++] = c;
        }
        name[n] = 0;
        return take_name(name, ret_name);
}

static bool ends_with(const char *s, size_t size, const char *end) {
        size_t n = strlen(end);

        return size >= n && memcmp(s + size - n, end, n) == 0;
}

static int parse_path(const char *path, size_t size, char ret_name[static 65]) {
        const char *top = "/system.slice/", *prefix = "systemd-cryptsetup@", *suffix = ".service";
        const char *p, *slash, *end = path + size;

        if (size < strlen(top) || memcmp(path, top, strlen(top)) != 0)
                return -EINVAL;
        for (p = path + strlen(top); (slash = memchr(p, '/', (size_t) (end - p))); p = slash + 1)
                if (!ends_with(p, (size_t) (slash - p), ".slice"))
                        return -EINVAL;
        if ((size_t) (end - p) <= strlen(prefix) + strlen(suffix) || memcmp(p, prefix, strlen(prefix)) != 0 ||
            !ends_with(p, (size_t) (end - p), suffix))
                return -EINVAL;
        p += strlen(prefix);
        return unescape(p, (size_t) (end - p) - strlen(suffix), ret_name);
}

int key_peer_unit(const char *text, char ret_name[static 65]) {
        for (const char *line = text, *next; *line; line = next) {
                const char *path = startswith(line, "0::");
                size_t n = strcspn(line, "\n");

                next = line + n + (line[n] == '\n');
                if (path)
                        return parse_path(path, n - 3, ret_name);
        }
        return -EINVAL;
}
