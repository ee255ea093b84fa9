/* SPDX-License-Identifier: Apache-2.0 */
#include "uevent.h"

static int parse_number(const char *s, uint32_t *ret) {
        uint64_t v = 0;

        if (!*s || strlen(s) > 9)
                return -EBADMSG;
        for (; *s; s++) {
                if (*s < '0' || *s > '9')
                        return -EBADMSG;
                v = v * 10 + (uint64_t) (*s - '0');
        }
        *ret = (uint32_t) v;
        return 0;
}

static enum uevent_action parse_action(const char *s) {
        static const char *const names[] = { "add", "change", "remove" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(s, names[i]))
                        return (enum uevent_action) i;
        return UEVENT_OTHER;
}

int uevent_parse(const char *data, size_t size, struct uevent *ret) {
        struct uevent e = { .action = UEVENT_OTHER };
        bool has_action = false, has_major = false, has_minor = false, is_block = false;
        const char *p, *value, *end = data + size;
        int r = 0;

        if (size == 0 || end[-1] != 0 || !strchr(data, '@'))
                return -EBADMSG;
        for (p = data + strlen(data) + 1; p < end && r >= 0; p += strlen(p) + 1)
                if ((value = startswith(p, "ACTION="))) {
                        e.action = parse_action(value);
                        has_action = true;
                } else if ((value = startswith(p, "SUBSYSTEM=")))
                        is_block = streq(value, "block");
                else if ((value = startswith(p, "MAJOR="))) {
                        r = parse_number(value, &e.major);
                        has_major = true;
                } else if ((value = startswith(p, "MINOR="))) {
                        r = parse_number(value, &e.minor);
                        has_minor = true;
                }
        if (r < 0 || !has_action)
                return -EBADMSG;
        if (!is_block)
                return -ENOENT;
        if (!has_major || !has_minor)
                return -EBADMSG;
        *ret = e;
        return 0;
}
