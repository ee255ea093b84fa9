/* SPDX-License-Identifier: Apache-2.0 */
#include "skip.h"

#include "early.h"
#include "common/log.h"

#include <syslog.h>

/* The record's commit takes them out of the ring: who is killed before has them there. */
static int say(int n, struct writer *writer, struct audit_message_record *record) {
        int r;

        audit_record_start(record, "lost", LOG_WARNING, false);
        audit_record_add(record, "reason", "only the early trail says that it has them");
        audit_record_addf(record, "count", "%d", n);
        r = writer_say(writer, record);
        return r < 0 ? r : writer_commit(writer, false);
}

int skip_written(struct ring *ring, const char *name, const struct trail_recovery *trail, struct writer *writer,
                 struct audit_message_record *record) {
        uint64_t written;
        bool is_early;
        int n;

        if (early_ring_written(trail, name, &written, &is_early) < 0)
                return 0;
        n = ring_skip(ring, written, SKIP_MAX);
        if (n > 0 && is_early && say(n, writer, record) < 0) {
                ring_rewind(ring);
                return 0;
        }
        if (n > 0)
                ring_commit(ring);
        else if (n < 0)
                log_alert("The trail says that it has more of the kernel's events than can be: none is passed over");
        return n;
}
