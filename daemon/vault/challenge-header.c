/* SPDX-License-Identifier: Apache-2.0 */
#include "challenge-header.h"

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

struct parameter {
        const char *name, *value;
        size_t name_size, value_size;
};

/* The parameter at *s, which moves behind it. Returns 1, 0 (there is none any more) or -EBADMSG. */
static int next(const char **s, struct parameter *ret) {
        const char *p = *s + strspn(*s, ", \t");

        if (!*p)
                return 0;
        ret->name = p;
        ret->name_size = strspn(p, NAME_CHARACTERS);
        p += ret->name_size;
        if (ret->name_size == 0 || *p++ != '=')
                return -EBADMSG;
        if (*p == '"') {
                ret->value = ++p;
                ret->value_size = strcspn(p, "\"\\");
                p += ret->value_size;
                if (*p++ != '"' || (*p && !strchr(", \t", *p)))
                        return -EBADMSG;
        } else {
                ret->value = p;
                ret->value_size = strcspn(p, ", \t\"\\");
                p += ret->value_size;
                if (ret->value_size == 0 || *p == '"' || *p == '\\')
                        return -EBADMSG;
        }
        *s = p;
        return 1;
}

int challenge_header_get(const char *header, const char *scheme, const char *name, char *buf, size_t size) {
        struct parameter found = {}, p;
        size_t n = strlen(scheme);
        int r;

        if (strncasecmp(header, scheme, n) != 0 || (header[n] && !strchr(" \t", header[n])))
                return -EBADMSG;
        header += n;
        while ((r = next(&header, &p)) > 0) {
                if (p.name_size != strlen(name) || strncasecmp(p.name, name, p.name_size) != 0)
                        continue;
                if (found.name)
                        return -EBADMSG;
                found = p;
        }
        if (r < 0)
                return r;
        if (!found.name)
                return -ENOENT;
        if (found.value_size >= size)
                return -ENOBUFS;
        memcpy(buf, found.value, found.value_size);
        buf[found.value_size] = 0;
        return 0;
}
