/* SPDX-License-Identifier: Apache-2.0 */
#include "crypttab.h"

#include <string.h>
#include <strings.h>

#include "common/util.h"

#define FIELD_MAX 1024u

/* Decodes \NNN (octal) while it copies. False: too long for any device. */
static bool copy_field(const char *from, size_t n, char to[static FIELD_MAX]) {
        size_t k = 0;

        for (size_t i = 0; i < n; i++) {
                if (k + 1 >= FIELD_MAX)
                        return false;
                if (from[i] == '\\' && i + 3 < n && strspn(from + i + 1, "01234567") >= 3) {
                        to[k++] = (char) ((from[i + 1] - '0') * 64 + (from[i + 2] - '0') * 8 + (from[i + 3] - '0'));
                        i += 3;
                } else
                        to[k++] = from[i];
        }
        to[k] = 0;
        return true;
}

static char *unquote(char *s) {
        size_t n = strlen(s);

        if (n >= 2 && (*s == '"' || *s == '\'') && s[n - 1] == *s) {
                s[n - 1] = 0;
                return s + 1;
        }
        return s;
}

static bool is_value(char *field, const char *tag, const char *value, bool fold) {
        size_t n = strlen(tag);
        const char *said;

        if (strncmp(field, tag, n) != 0 || !value || !*value)
                return false;
        said = unquote(field + n);
        return fold ? strcasecmp(said, value) == 0 : streq(said, value);
}

static bool is_device(char *field, const struct crypttab_device *d) {
        if (is_value(field, "UUID=", d->uuid, true) || is_value(field, "PARTUUID=", d->partuuid, true) ||
            is_value(field, "LABEL=", d->label, false) || is_value(field, "PARTLABEL=", d->partlabel, false))
                return true;
        field = unquote(field);
        for (const char *const *p = d->paths; *p; p++)
                if (streq(field, *p))
                        return true;
        return false;
}

bool crypttab_names(const char *text, const struct crypttab_device *d) {
        static const char blank[] = " \t\r";
        char field[FIELD_MAX];

        for (const char *line = text, *next; *line; line = next) {
                size_t size = strcspn(line, "\n"), skip;
                const char *end = line + size;

                next = *end ? end + 1 : end;
                line += strspn(line, blank);
                if (line >= end || *line == '#')
                        continue;
                skip = strcspn(line, " \t\r\n");              /* the name of the mapping */
                line += skip;
                line += strspn(line, blank);
                if (line < end && copy_field(line, strcspn(line, " \t\r\n"), field) && is_device(field, d))
                        return true;
        }
        return false;
}
