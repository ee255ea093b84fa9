/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads.h"

#include <bpf/bpf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <syslog.h>

#define BATCH 256u
#define REMOVED_MAX 64u                    /* of more within a second the counters go on with the next use */

struct entry {
        struct cmkd_workload key;
        struct cmkd_io io;
        char *cgroup;                      /* its path; or NULL */
        bool changed;                      /* since its last record */
        uint64_t changed_usec;             /* when that was seen last */
};

struct removed {
        char hex[CMKD_LUKS_HEX];
        uint64_t boottime_usec;
};

struct workloads {
        int map_fd, rest_fd;
        struct entry *entries;             /* by key */
        size_t n, n_sorted, allocated;
        struct removed removed[REMOVED_MAX];
        size_t n_removed;
        uint64_t reported_usec;            /* when all were */
        uint64_t ended_usec;               /* when those of removed groups were looked for */
        uint64_t rest[2];                  /* that stand in the trail */
        struct cmkd_workload keys[BATCH];
        struct cmkd_io values[BATCH];
};

int workloads_new(int map_fd, int rest_fd, struct workloads **ret) {
        struct workloads *w = calloc(1, sizeof(*w));

        if (!w)
                return -ENOMEM;
        w->map_fd = map_fd;
        w->rest_fd = rest_fd;
        w->reported_usec = w->ended_usec = now_boottime_usec();
        *ret = w;
        return 0;
}

struct workloads *workloads_free(struct workloads *w) {
        if (!w)
                return NULL;
        for (size_t i = 0; i < w->n; i++)
                free(w->entries[i].cgroup);
        free(w->entries);
        free(w);
        return NULL;
}

void workloads_removed(struct workloads *w, const char *dm_uuid, uint64_t boottime_usec) {
        const char *hex = startswith(dm_uuid, "CRYPT-LUKS2-");

        if (!hex || strlen(hex) < CMKD_LUKS_HEX || w->n_removed == REMOVED_MAX)
                return;
        memcpy(w->removed[w->n_removed].hex, hex, CMKD_LUKS_HEX);
        w->removed[w->n_removed++].boottime_usec = boottime_usec;
}

static int compare(const void *a, const void *b) {
        return memcmp(&((const struct entry *) a)->key, &((const struct entry *) b)->key, sizeof(struct cmkd_workload));
}

static struct entry *add(struct workloads *w, const struct cmkd_workload *key) {
        struct entry *e;

        if (w->n == w->allocated) {
                e = realloc(w->entries, (w->allocated + BATCH) * sizeof(*e));
                if (!e)
                        return NULL;
                w->entries = e;
                w->allocated += BATCH;
        }
        e = w->entries + w->n++;
        *e = (struct entry) { .key = *key };
        return e;
}

/* One that is gone already has the names that the kernel read when it came: the last three, from the end. */
static void name_from_kernel(const struct cmkd_io *io, char ret[static WHO_PATH_MAX]) {
        unsigned n = 0;
        size_t used;

        while (n < CMKD_CGROUP_NAMES && io->cgroup[n][0] && io->cgroup[n][0] != '/')
                n++;
        used = (size_t) snprintf(ret, WHO_PATH_MAX, n == CMKD_CGROUP_NAMES ? "..." : n == 0 ? "/" : "");
        while (n-- > 0)
                used += (size_t) snprintf(ret + used, WHO_PATH_MAX - used, "/%.*s", CMKD_CGROUP_NAME_SIZE, io->cgroup[n]);
}

static void note(struct workloads *w, struct who *who, const struct cmkd_workload *key, const struct cmkd_io *io) {
        const struct entry wanted = { .key = *key };
        struct entry *e = w->n_sorted > 0 ? bsearch(&wanted, w->entries, w->n_sorted, sizeof(*e), compare) : NULL;
        char path[WHO_PATH_MAX];

        if (!io->hex[0])
                return;                    /* in its first moment: there the next time */
        if (!e) {
                e = add(w, key);
                if (!who_cgroup(who, key->cgroup_id, path))
                        name_from_kernel(io, path);
                if (e)
                        e->cgroup = strdup(path);
        }
        if (e && memcmp(&e->io, io, sizeof(*io)) != 0) {
                e->io = *io;
                e->changed = true;
                e->changed_usec = now_boottime_usec();
        }
}

/* What the kernel has now. */
static void look(struct workloads *w, struct who *who) {
        uint32_t n = BATCH;
        uint64_t at = 0;

        for (bool first = true;; first = false) {
                int r = bpf_map_lookup_batch(w->map_fd, first ? NULL : &at, &at, w->keys, w->values, &n, NULL);

                if (r < 0 && errno != ENOENT)
                        return;
                for (uint32_t i = 0; i < n; i++)
                        note(w, who, w->keys + i, w->values + i);
                if (r < 0)
                        break;             /* that was the end */
                n = BATCH;
        }
        if (w->n > w->n_sorted)
                qsort(w->entries, w->n, sizeof(*w->entries), compare);
        w->n_sorted = w->n;
}

/* What a report is made with. */
struct report {
        bool all;                          /* of each that changed */
        bool ended;                        /* and of those whose group was removed */
        uint64_t until_usec;               /* boot time: then it is enough; 0: never */
        struct who *who;
        const struct uses *uses;
        struct writer *writer;
        struct audit_message_record *record;
};

static int say(const struct entry *e, const struct removed *removed, bool last, const struct report *report) {
        struct audit_message_record *m = report->record;
        const char *p = e->io.hex;

        audit_record_start(m, "io", LOG_INFO, false);
        if (removed && removed->boottime_usec < m->boottime_usec) {
                m->realtime_usec -= m->boottime_usec - removed->boottime_usec;
                m->boottime_usec = removed->boottime_usec;
        }
        audit_record_addf(m, "uuid", "%.8s-%.4s-%.4s-%.4s-%.12s", p, p + 8, p + 12, p + 16, p + 20);
        audit_record_add(m, "cgroup", e->cgroup);
        audit_record_addf(m, "cgroup_id", "%" PRIu64, (uint64_t) e->key.cgroup_id);
        audit_record_addf(m, "read_bytes", "%" PRIu64, (uint64_t) e->io.read);
        audit_record_addf(m, "written_bytes", "%" PRIu64, (uint64_t) e->io.written);
        audit_record_addf(m, "reads", "%" PRIu64, (uint64_t) e->io.reads);
        audit_record_addf(m, "writes", "%" PRIu64, (uint64_t) e->io.writes);
        audit_record_add(m, "last", last ? "yes" : NULL);
        uses_join(report->uses, m);
        return writer_say(report->writer, m);
}

static const struct removed *find_removed(const struct workloads *w, const struct entry *e) {
        for (size_t i = 0; i < w->n_removed; i++)
                if (memcmp(w->removed[i].hex, e->io.hex, CMKD_LUKS_HEX) == 0)
                        return w->removed + i;
        return NULL;
}

/* Nothing more comes of it, but for a page that is written back very late, which begins a new entry. */
static bool is_over(const struct entry *e, const struct report *report) {
        return report->ended && now_boottime_usec() - e->changed_usec >= WORKLOADS_QUIET_USEC &&
               who_cgroup_is_gone(report->who, e->key.cgroup_id);
}

/* The last record, and the counters go. Returns whether they are in the trail. */
static bool end(const struct workloads *w, struct entry *e, const struct removed *removed, const struct report *report) {
        struct cmkd_io last = e->io;

        if (say(e, removed, true, report) < 0) {
                e->changed = true;
                return false;
        }
        if (bpf_map_lookup_and_delete_elem(w->map_fd, &e->key, &last) < 0 || memcmp(&e->io, &last, sizeof(last)) == 0)
                return true;
        /* What came since it was read */
        e->io = last;
        e->changed = say(e, removed, true, report) < 0;
        return !e->changed;
}

static bool is_late(const struct report *report) {
        return report->until_usec > 0 && now_boottime_usec() >= report->until_usec;
}

/* Returns how many there was no time for. */
static size_t make_report(struct workloads *w, const struct report *report) {
        size_t kept = 0, n_late = 0;

        for (size_t i = 0; i < w->n; i++) {
                struct entry *e = w->entries + i;
                const struct removed *removed = find_removed(w, e);

                if ((removed || is_over(e, report)) && end(w, e, removed, report)) {
                        free(e->cgroup);
                        continue;
                }
                if (report->all && e->changed) {
                        if (is_late(report))
                                n_late++;
                        else
                                e->changed = say(e, NULL, false, report) < 0;
                }
                w->entries[kept++] = *e;
        }
        w->n = w->n_sorted = kept;
        w->n_removed = 0;
        return n_late;
}

/* More cgroups than the map has room for: how much is not known of whom. */
static void report_rest(struct workloads *w, struct writer *writer, struct audit_message_record *m) {
        uint64_t rest[2] = {};

        for (uint32_t i = 0; i < 2; i++)
                (void) bpf_map_lookup_elem(w->rest_fd, &i, rest + i);
        if (memcmp(rest, w->rest, sizeof(rest)) == 0)
                return;
        audit_record_start(m, "io_unattributed", LOG_WARNING, false);
        audit_record_addf(m, "read_bytes", "%" PRIu64, rest[0]);
        audit_record_addf(m, "written_bytes", "%" PRIu64, rest[1]);
        if (writer_say(writer, m) >= 0)
                memcpy(w->rest, rest, sizeof(rest));
}

void workloads_housekeep(struct workloads *w, struct who *who, const struct uses *uses, struct writer *writer,
                         struct audit_message_record *m) {
        uint64_t now = now_boottime_usec();
        struct report report = {
                .all = now - w->reported_usec >= WORKLOADS_PERIOD_USEC, .ended = now - w->ended_usec >= WORKLOADS_QUIET_USEC,
                .who = who, .uses = uses, .writer = writer, .record = m,
        };

        look(w, who);
        if (w->n_removed > 0 || report.all || report.ended)
                (void) make_report(w, &report);
        if (report.ended)
                w->ended_usec = now;
        if (!report.all)
                return;
        report_rest(w, writer, m);
        w->reported_usec = now;
}

void workloads_end(struct workloads *w, struct who *who, const struct uses *uses, uint64_t until_usec, struct writer *writer,
                   struct audit_message_record *m) {
        const struct report report = {
                .all = true, .until_usec = until_usec, .who = who, .uses = uses, .writer = writer, .record = m,
        };
        size_t n_late;

        look(w, who);
        report_rest(w, writer, m);
        n_late = make_report(w, &report);
        if (n_late == 0)
                return;
        audit_record_start(m, "lost", LOG_WARNING, false);
        audit_record_add(m, "reason", "the end left no time for sums of reads and writes");
        audit_record_addf(m, "count", "%zu", n_late);
        (void) writer_say(writer, m);
}
