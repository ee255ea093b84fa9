/* SPDX-License-Identifier: Apache-2.0 */
#include "blindness.h"

#include "common/paths.h"

#include <limits.h>

#define FILE_MAX (1u << 16)

/* The value of a NAME=VALUE line, which ends at its newline; "" if there is none. */
static const char *value_of(const char *text, const char *name, int *ret_size) {
        const char *value = NULL;

        for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
                const char *rest = startswith(line, name);

                if (rest && *rest == '=')
                        value = rest + 1;
        }
        *ret_size = (int) strcspn(strempty(value), "\n");
        return strempty(value);
}

static bool is_value(const char *text, const char *name, const char *wanted) {
        int n;
        const char *value = value_of(text, name, &n);

        return strlen(wanted) == (size_t) n && strncmp(value, wanted, (size_t) n) == 0;
}

void find_blindness(const char *root, struct findings *l) {
        _cleanup_(freep) char *text = NULL;
        char path[PATH_MAX];
        const char *value;
        int n;

        snprintf(path, sizeof(path), "%s" AUDIT_STATUS_FILE, root);
        if (read_small_file(path, FILE_MAX, &text, NULL) < 0)
                return;
        value = value_of(text, "missing", &n);
        if (n > 0)
                finding_add(l, FINDING_NOT_COVERED, "not attached: %.*s", n, value);
        else if (is_value(text, "probes", "none"))
                finding_add(l, FINDING_NOT_COVERED, "no program is attached");
        if (is_value(text, "blind", "yes"))
                finding_add(l, FINDING_BLIND, "the kernel's events do not arrive");
        if (!is_value(text, "guard_mode", "enforce") || is_value(text, "guard", "enforcing") || is_value(text, "guard", "armed"))
                return;
        value = value_of(text, "guard", &n);
        finding_add(l, FINDING_GUARD, "the guard is in state %.*s", n, value);
}
