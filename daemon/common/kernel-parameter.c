/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel-parameter.h"

#define BLANKS " \t\n"

/* The kernel takes a dash for an underscore in a name. */
static bool is_name(const char *word, const char *name, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (word[i] != name[i] && !(word[i] == '-' && name[i] == '_'))
                        return false;
        return word[n] == '=';
}

char *kernel_parameter(const char *command_line, const char *name) {
        size_t n = strlen(name), size = 0;
        const char *found = NULL, *p = command_line;

        while (*(p += strspn(p, BLANKS))) {
                size_t length = strcspn(p, BLANKS);

                if (length == 2 && p[0] == '-' && p[1] == '-')
                        break;
                if (length > n && is_name(p, name, n)) {
                        found = p + n + 1;
                        size = length - n - 1;
                }
                p += length;
        }
        return found ? strndup(found, size) : NULL;
}

bool kernel_parameter_is_on(const char *command_line, const char *name) {
        _cleanup_(freep) char *value = kernel_parameter(command_line, name);

        if (!value)
                return false;
        if ((*value | 0x20) == 'o')
                return (value[1] | 0x20) == 'n';
        return *value == '1' || (*value | 0x20) == 'y';
}
