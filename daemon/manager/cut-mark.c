/* SPDX-License-Identifier: Apache-2.0 */
#include "cut-mark.h"

#include <unistd.h>

#include "common/log.h"

#define DIRECTORY "/run/cmkd/cut"
#define MARK_MAX (64 + FELLOWS_MAX * 37)

static void path_of(const struct volume *v, char *buf, size_t size) {
        snprintf(buf, size, DIRECTORY "/%s", v->uuid);
}

void cut_mark_update(const struct volume *v) {
        char path[sizeof(DIRECTORY) + 40], text[MARK_MAX];
        size_t n;
        int r;

        bool begun = v->state == VOLUME_NOTICE || v->state == VOLUME_CUTTING || v->state == VOLUME_LINGERING;

        path_of(v, path, sizeof(path));
        if (v->cause == CAUSE_NONE || !(begun || (v->state == VOLUME_CUT && lease_cause_is_undone(v->cause)))) {
                if (v->state == VOLUME_CUT || v->state == VOLUME_CLOSED || v->state == VOLUME_ATTACHED ||
                    v->state == VOLUME_RECOVERY)
                        (void) unlink(path);
                return;
        }
        n = (size_t) snprintf(text, sizeof(text), "%s\n", lease_cause_to_string(v->cause));
        for (size_t k = 0; k < v->n_fellows; k++)
                n += (size_t) snprintf(text + n, sizeof(text) - n, "%s\n", v->fellows[k]);
        r = mkdir_parents(DIRECTORY, 0700);
        if (r >= 0)
                r = write_file_atomic(path, text, n, 0600);
        if (r < 0)
                log_warning("%s: that it was cut is not written down: %s; a new cmkd will not know", v->name, strerror(-r));
}

enum lease_cause cut_mark_parse(char *text, char fellows[static FELLOWS_MAX][37], unsigned *ret_n) {
        enum lease_cause cause = CAUSE_NONE;
        unsigned n = 0;
        char *line;

        line = strsep(&text, "\n");
        for (enum lease_cause c = CAUSE_NONE + 1; c < _LEASE_CAUSE_MAX; c++)
                if (streq(line, lease_cause_to_string(c)))
                        cause = c;
        while (cause != CAUSE_NONE && n < FELLOWS_MAX && (line = strsep(&text, "\n")))
                if (uuid_is_valid(line))
                        memcpy(fellows[n++], line, sizeof(fellows[0]));
        *ret_n = n;
        return cause;
}

enum lease_cause cut_mark_read(struct volume *v) {
        _cleanup_(freep) char *text = NULL;
        char path[sizeof(DIRECTORY) + 40];

        path_of(v, path, sizeof(path));
        if (read_small_file(path, MARK_MAX, &text, NULL) < 0)
                return CAUSE_NONE;
        return cut_mark_parse(text, v->fellows, &v->n_fellows);
}
