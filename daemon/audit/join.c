/* SPDX-License-Identifier: Apache-2.0 */
#include "join.h"

#include "common/log.h"

#include <inttypes.h>

#define RETRY_USEC (5 * USEC_PER_SEC)

struct attempt {
        struct join *join;
        struct writer *writer;
        uint64_t records;                  /* appended since the last commit; the last of them: */
        uint64_t sequence;
        uint8_t hash[CHAIN_HASH_SIZE];
};

void join_start(struct join *j, const char *dir, const struct trail_recovery *from) {
        j->dir = dir;
        j->from = *from;
        j->records = j->tried_usec = 0;
        j->is_said = j->is_logged = false;
}

bool join_is_due(const struct join *j, uint64_t now_usec) {
        return j->dir && (j->tried_usec == 0 || now_usec >= j->tried_usec + RETRY_USEC);
}

static int commit(struct attempt *t) {
        struct join *j = t->join;
        int r;

        r = writer_commit(t->writer, false);
        if (r >= 0 && t->records > 0) {
                j->records += t->records;
                j->from.early_sequence = t->sequence;
                memcpy(j->from.early_hash, t->hash, CHAIN_HASH_SIZE);
        }
        t->records = 0;
        return r;
}

/* What stood in the early trail, or what is said about it: neither has names that are to be replaced (privacy-early.h). */
static int append(struct attempt *t, enum record_source source) {
        int r;

        r = writer_append_joined(t->writer, &t->join->record, source);
        if (r != -ENOBUFS)
                return r;
        r = commit(t);
        return r < 0 ? r : writer_append_joined(t->writer, &t->join->record, source);
}

static int append_early(void *user, const struct audit_message_record *m, const struct record *from) {
        struct attempt *t = user;
        int r;

        t->join->record = *m;
        r = append(t, from->source);
        if (r < 0)
                return r;
        t->records++;
        t->sequence = from->sequence;
        memcpy(t->hash, from->hash, CHAIN_HASH_SIZE);
        return 0;
}

static int close_join(struct attempt *t, const struct early_join *e) {
        struct audit_message_record *m = &t->join->record;
        char hash[CHAIN_HEX_SIZE + 1];
        int r;

        audit_record_start(m, "early_joined", e->n_problems > 0 ? LOG_ALERT : LOG_INFO, true);
        audit_record_addf(m, "records", "%" PRIu64, t->join->records);
        audit_record_addf(m, "last", "%" PRIu64, e->last);
        chain_to_hex(e->hash, hash);
        audit_record_add(m, "hash", hash);
        audit_record_add(m, "verified", e->n_problems > 0 ? "no" : "yes");
        audit_record_add(m, "problem", e->problem);
        r = append(t, RECORD_DAEMON);
        if (r >= 0)
                r = writer_commit(t->writer, true);
        return r < 0 ? r : early_done(t->join->dir);
}

static void report_failure(struct attempt *t, int error) {
        struct join *j = t->join;

        if (!j->is_logged)
                log_alert("The records in %s are not in the trail yet: %s", j->dir, strerror(-error));
        j->is_logged = true;
        if (j->is_said)
                return;
        audit_record_start(&j->record, "gap", LOG_ALERT, true);
        audit_record_add(&j->record, "reason", "early_not_joined");
        audit_record_add(&j->record, "error", strerrorname_np(-error));
        j->is_said = append(t, RECORD_DAEMON) >= 0 && writer_commit(t->writer, true) >= 0;
}

int join_run(struct join *j, struct writer *w, char ret_ring[static TRAIL_RING_MAX]) {
        struct attempt t = { .join = j, .writer = w };
        struct early_join e;
        int r, k;

        j->tried_usec = now_boottime_usec();
        r = early_join(j->dir, &j->from, append_early, &t, &e);
        k = commit(&t);
        r = r < 0 ? r : k;
        if (r >= 0 && e.last > 0)
                r = close_join(&t, &e);
        if (r < 0) {
                report_failure(&t, r);
                return r;
        }
        j->dir = NULL;
        if (e.last == 0)
                return 0;
        log_notice("%" PRIu64 " early records joined", j->records);
        if (*e.ring)
                snprintf(ret_ring, TRAIL_RING_MAX, "%s", e.ring);
        return 0;
}
