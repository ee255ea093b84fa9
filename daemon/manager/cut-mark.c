/* SPDX-License-Identifier: Apache-2.0 */
#include "cut-mark.h"

#include <unistd.h>

#include "common/log.h"
#include "volume.h"

#define DIRECTORY "/run/cmkd/cut"

static void path_of(const struct volume *v, char *buf, size_t size) {
        snprintf(buf, size, DIRECTORY "/%s", v->uuid);
}

void cut_mark_update(const struct volume *v) {
        const char *cause = lease_cause_to_string(v->cause);
        char path[sizeof(DIRECTORY) + 40];
        int r;

        bool begun = v->state == VOLUME_NOTICE || v->state == VOLUME_CUTTING || v->state == VOLUME_LINGERING;

        path_of(v, path, sizeof(path));
        if (v->cause == CAUSE_NONE || !(begun || (v->state == VOLUME_CUT && lease_cause_is_undone(v->cause)))) {
                if (v->state == VOLUME_CUT || v->state == VOLUME_CLOSED || v->state == VOLUME_ATTACHED ||
                    v->state == VOLUME_RECOVERY)
                        (void) unlink(path);
                return;
        }
        r = mkdir_parents(DIRECTORY, 0700);
        if (r >= 0)
                r = write_file_atomic(path, cause, strlen(cause), 0600);
        if (r < 0)
                log_warning("%s: that it was cut is not written down: %s; a new cmkd will not know", v->name, strerror(-r));
}

enum lease_cause cut_mark_read(const struct volume *v) {
        _cleanup_(freep) char *text = NULL;
        char path[sizeof(DIRECTORY) + 40];

        path_of(v, path, sizeof(path));
        if (read_small_file(path, 64, &text, NULL) < 0)
                return CAUSE_NONE;
        for (enum lease_cause c = CAUSE_NONE + 1; c < _LEASE_CAUSE_MAX; c++)
                if (streq(text, lease_cause_to_string(c)))
                        return c;
        return CAUSE_NONE;
}
