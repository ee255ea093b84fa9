/* SPDX-License-Identifier: Apache-2.0 */
#include "ini-reader.h"

#define BLANK " \t"

static char *strip(char *s) {
        size_t n;

        s += strspn(s, BLANK);
        n = strlen(s);
        while (n > 0 && strchr(BLANK, s[n - 1]))
                n--;
        s[n] = 0;
        return s;
}

static bool has_control(const char *s) {
        for (; *s; s++)
                if (((unsigned char) *s < ' ' && *s != '\t') || *s == 127)
                        return true;
        return false;
}

/* One line, stripped. *section points to the name that is in force. */
static int read_line(char *line, const char **section, ini_setting callback, void *user) {
        char *equals;

        if (*line == 0 || *line == '#' || *line == ';')
                return 0;
        if (*line == '[') {
                size_t n = strlen(line);

                if (n < 3 || line[n - 1] != ']')
                        return -EINVAL;
                line[n - 1] = 0;
                *section = strip(line + 1);
                return **section ? 0 : -EINVAL;
        }
        equals = strchr(line, '=');
        if (!equals || !*section)
                return -EINVAL;
        *equals = 0;
        line = strip(line);
        if (!*line)
                return -EINVAL;
        return callback(user, *section, line, strip(equals + 1));
}

int ini_read(char *text, size_t size, ini_setting callback, void *user, unsigned *ret_line) {
        const char *section = NULL;
        unsigned n = 0;

        /* a NUL would hide what is behind it */
        if (strlen(text) != size) {
                for (const char *p = text; *p; p++)
                        n += *p == '\n';
                *ret_line = n + 1;
                return -EINVAL;
        }
        for (char *next = text, *line; (line = strsep(&next, "\n"));) {
                size_t length = strlen(line);
                int r = 0;

                *ret_line = ++n;
                if (length > 0 && line[length - 1] == '\r')
                        line[length - 1] = 0;
                r = has_control(line) ? -EINVAL : read_line(strip(line), &section, callback, user);
                if (r < 0)
                        return r;
        }
        *ret_line = 0;
        return 0;
}
