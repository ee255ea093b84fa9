/* SPDX-License-Identifier: Apache-2.0 */
#include "early.h"

#include "common/log.h"
#include "verify.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRAIL_FILE "trail.jsonl"

/* One record as the real trail gets it. */
static void mark(const struct record *r, struct audit_message_record *m) {
        char hex[CHAIN_HEX_SIZE + 1];

        record_to_message(r, m);
        if (m->n_fields == AUDIT_FIELDS_MAX)
                m->n_fields--;             /* verification will say so: what is left is not the whole record */
        chain_to_hex(r->hash, hex);
        audit_record_addf(m, RECORD_EARLY_FIELD, "%llu %s", (unsigned long long) r->sequence, hex);
}

/* The number of the record that was joined last, if it stands in this early trail; from another boot it does not. */
static int find_last(const char *path, const struct trail_recovery *from, uint64_t *ret) {
        _cleanup_(reader_freep) struct reader *reader = NULL;
        int r;

        *ret = 0;
        if (from->early_sequence == 0)
                return 0;
        r = reader_open(path, &reader);
        while (r >= 0 || r == -EBADMSG || r == -EPROTONOSUPPORT) {
                _cleanup_(record_done) struct record x = {};

                r = reader_next(reader, &x);
                if (r == 0)
                        return 0;
                if (r > 0 && x.sequence == from->early_sequence &&
                    memcmp(x.hash, from->early_hash, CHAIN_HASH_SIZE) == 0) {
                        *ret = x.sequence;
                        return 0;
                }
        }
        return r;
}

/* Whoever can write there wrote it: the trail takes no such record, today or tomorrow, and the others do not wait for it. */
static void leave_out(const struct record *r, struct early_join *j) {
        if (j->n_problems++ == 0)
                snprintf(j->problem, sizeof(j->problem), "number %llu is no record that a trail takes: left out", (unsigned long long) r->sequence);
}

static int join_all(struct reader *reader, uint64_t skip, early_append append, void *user, struct early_join *j) {
        _cleanup_(freep) struct audit_message_record *m = malloc(sizeof(*m));
        int r;

        if (!m)
                return -ENOMEM;
        for (;;) {
                _cleanup_(record_done) struct record x = {};
                const char *ring;

                r = reader_next(reader, &x);
                if (r == 0 || (r < 0 && r != -EBADMSG && r != -EPROTONOSUPPORT))
                        return r;
                if (r < 0)
                        continue;          /* verification has counted it */
                j->last = x.sequence;
                memcpy(j->hash, x.hash, sizeof(j->hash));
                ring = x.source == RECORD_KERNEL ? record_field(&x, "ring") : NULL;
                if (ring)
                        snprintf(j->ring, sizeof(j->ring), "%s", ring);
                if (x.sequence <= skip)
                        continue;
                mark(&x, m);
                r = append(user, m, &x);
                if (trail_refuses(r)) {
                        leave_out(&x, j);
                        continue;
                }
                if (r < 0)
                        return r;
                j->records++;
        }
}

int early_join(const char *dir, const struct trail_recovery *from, early_append append, void *user,
               struct early_join *ret) {
        _cleanup_(freep) struct trail_report *report = malloc(sizeof(*report));
        _cleanup_(reader_freep) struct reader *reader = NULL;
        struct early_join j = {};
        char path[PATH_MAX];
        uint64_t skip;
        int r;

        if (!report)
                return -ENOMEM;
        if (snprintf(path, sizeof(path), "%s/" TRAIL_FILE, dir) >= (int) sizeof(path))
                return -ENAMETOOLONG;
        r = reader_open(path, &reader);
        if (r >= 0)
                r = trail_verify_still(path, report);
        if (r >= 0) {
                j.n_problems = report->n_problems;
                if (j.n_problems > 0)
                        snprintf(j.problem, sizeof(j.problem), "%s", report->problems[0].text);
                r = find_last(path, from, &skip);
        }
        if (r >= 0)
                r = join_all(reader, skip, append, user, &j);
        if (r < 0 && r != -ENOENT)
                return r;
        *ret = j;
        return 0;
}

static int place_in_ring(const char *last, const char *name, uint64_t *ret) {
        const char *place = startswith(last, name);

        return place && *place == '.' && parse_u64(place + 1, UINT64_MAX, ret) >= 0 ? 0 : -ENOENT;
}

int early_ring_written(const struct trail_recovery *r, const char *name, uint64_t *ret, bool *ret_early) {
        int k = place_in_ring(r->ring, name, ret);

        *ret_early = k < 0;
        return k < 0 ? place_in_ring(r->early_ring, name, ret) : k;
}

int early_done(const char *dir) {
        char from[PATH_MAX], to[PATH_MAX];

        if (snprintf(from, sizeof(from), "%s/" TRAIL_FILE, dir) >= (int) sizeof(from) ||
            snprintf(to, sizeof(to), "%s/joined.jsonl", dir) >= (int) sizeof(to))
                return -ENAMETOOLONG;
        if (rename(from, to) < 0)
                return -errno;
        if (snprintf(from, sizeof(from), "%s/trail.head", dir) < (int) sizeof(from))
                (void) unlink(from);
        return 0;
}

void early_over(void) {
        int fd = open(EARLY_OVER_MARK, O_WRONLY|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);

        if (fd < 0)
                log_warning("%s: %s: the trail may keep its file system busy at the end", EARLY_OVER_MARK, strerror(errno));
        safe_close(fd);
}
