/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

#include "describe.h"
#include "guard.h"
#include "probes.h"
#include "probes-old.h"
#include "repeat.h"
#include "skip.h"
#include "who.h"
#include "witness.h"
#include "workloads.h"
#include "common/log.h"

#include <inttypes.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH SKIP_MAX                     /* events between two looks at the socket */
#define HEARTBEAT_USEC (10 * USEC_PER_SEC)
#define RETRY_USEC (1 * USEC_PER_SEC)      /* of a trail that does not take what the ring holds */
#define END_USEC (2 * USEC_PER_SEC)        /* for each kind of what has been counted and not said, when it is about to stop */
#define MANY 256u                          /* events in a second: from then on the ring is looked at only so often, so that */
#define GATHER_USEC (100 * USEC_PER_MSEC)  /* what repeats itself is in it together, and becomes one record */

struct kernel {
        sd_event_source *ring_source, *retry_source;
        struct writer *writer;
        struct uses *uses;
        struct who *who;
        struct probes *probes;
        struct guard *guard;
        struct ring *ring;
        struct workloads *workloads;       /* NULL: nothing counts */
        struct witness *witness;           /* NULL: there is none */
        uint64_t consumed, lost;           /* events: written, lost */
        uint64_t second_usec;              /* since when they are counted: */
        unsigned in_second;
        uint64_t sent_usec, heard_usec;    /* of the last heartbeat */
        uint64_t echo_position;            /* its echo is before that place in the ring */
        uint64_t lost_before;
        bool waiting_for_echo, blind;
        int skipped;                       /* events of the ring that the trail had already; -ERANGE: that cannot be true */
        struct audit_message_record record;
        struct who_names names;
};

struct kernel *kernel_free(struct kernel *k) {
        if (!k)
                return NULL;
        writer_set_ring(k->writer, NULL);
        sd_event_source_disable_unref(k->ring_source);
        sd_event_source_disable_unref(k->retry_source);
        ring_free(k->ring);
        workloads_free(k->workloads);
        witness_free(k->witness);
        guard_free(k->guard);
        probes_free(k->probes);
        who_free(k->who);
        free(k);
        return NULL;
}

static void kernel_freep(struct kernel **k) { kernel_free(*k); }

static bool is_our_echo(struct kernel *k, const struct repeat *p) {
        if (p->size < CMKD_EVENT_SIZE_FIRST || !describe_is_heartbeat(&p->event))
                return false;
        if (p->event.tgid == (uint32_t) getpid()) {
                k->heard_usec = now_boottime_usec();
                guard_heard(k->guard, &p->event);
        }
        return true;
}

static int append_event(struct kernel *k, struct repeat *p, const char *ring_name) {
        struct instant now = instant_now();
        char where[TRAIL_RING_MAX];
        int r;

        if (is_our_echo(k, p))
                return 0;
        snprintf(where, sizeof(where), "%s.%" PRIu64, ring_name, p->last);
        if (p->size >= CMKD_EVENT_SIZE_FIRST) {
                guard_event(k->guard, &p->event);
                witness_event(k->witness, &p->event);
                who_resolve(k->who, &p->event, &k->names);
        }
        r = describe_event(&p->event, p->size, &k->names, &now, where, &k->record);
        if (r == -EBADMSG) {
                audit_record_start(&k->record, "lost", LOG_WARNING, false);
                audit_record_add(&k->record, "reason", "an event that this version does not know");
                audit_record_add(&k->record, "count", "1");
                audit_record_add(&k->record, "ring", where);
        } else if (r >= 0) {
                if (p->count > 1) {
                        audit_record_addf(&k->record, "count", "%" PRIu64, p->count);
                        audit_record_addf(&k->record, "span_usec", "%" PRIu64,
                                          (uint64_t) ((p->last_boottime_ns - p->event.boottime_ns) / NSEC_PER_USEC));
                }
                uses_join(k->uses, &k->record);
        }
        if (r >= 0 && k->workloads && p->event.kind == CMKD_DM_REMOVE && p->event.result == 0)
                workloads_removed(k->workloads, p->event.uuid, k->record.boottime_usec);
        return writer_append(k->writer, &k->record, RECORD_KERNEL);
}

/* What waits becomes a record. Returns 1, 0 (no room: it comes again, and what came after it), or -errno (all of it). */
static int flush(struct kernel *k, struct ring *ring, const char *name, struct repeat *p) {
        int r = p->count > 0 ? append_event(k, p, name) : 0;

        if (r == -ENOBUFS)
                ring_give_back(ring, p->first);
        else if (r < 0)
                ring_rewind(ring);
        p->count = 0;
        return r == -ENOBUFS ? 0 : r < 0 ? r : 1;
}

/* Appends up to max events of a ring; writer_commit() is next. Returns how many, or -errno (they come again). */
static int drain(struct kernel *k, struct ring *ring, const char *name, unsigned max) {
        struct repeat repeat = {};
        unsigned n = 0, done = 0;
        uint64_t position;
        const void *data;
        size_t size;
        int r;

        for (; n < max && ring_next(ring, &data, &size, &position) > 0; n++) {
                if (repeat_add(&repeat, data, size, position))
                        continue;
                r = flush(k, ring, name, &repeat);
                if (r <= 0)
                        return r < 0 ? r : (int) done;
                done = n;
                repeat_start(&repeat, data, size, position);
        }
        r = flush(k, ring, name, &repeat);
        return r < 0 ? r : r > 0 ? (int) n : (int) done;
}

/* Not looked at for a moment: it stays readable, and would wake us at once. */
static void leave_ring(struct kernel *k, uint64_t usec) {
        (void) sd_event_source_set_enabled(k->ring_source, SD_EVENT_OFF);
        (void) sd_event_source_set_time_relative(k->retry_source, usec);
        (void) sd_event_source_set_enabled(k->retry_source, SD_EVENT_ONESHOT);
}

static bool are_many(struct kernel *k, unsigned n) {
        uint64_t now = now_boottime_usec();

        if (now - k->second_usec >= USEC_PER_SEC) {
                k->second_usec = now;
                k->in_second = 0;
        }
        k->in_second += n;
        return k->in_second >= MANY;
}

static int on_ring(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_, void *user) {
        struct kernel *k = user;
        int n, r;

        n = drain(k, k->ring, probes_events_name(k->probes), BATCH);
        r = n < 0 ? n : writer_commit(k->writer, false);
        if (r < 0) {
                leave_ring(k, RETRY_USEC);
                return 0;
        }
        k->consumed += (unsigned) n;
        if (are_many(k, (unsigned) n) && (unsigned) n < BATCH)
                leave_ring(k, GATHER_USEC);
        return 0;
}

static int on_retry(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct kernel *k = user;

        return sd_event_source_set_enabled(k->ring_source, SD_EVENT_ON);
}

static void report_lost(struct kernel *k) {
        uint64_t lost[_CMKD_EVENT_MAX];
        int64_t n = probes_lost(k->probes, lost);

        if (n <= 0)
                return;
        k->lost += (uint64_t) n;
        audit_record_start(&k->record, "lost", LOG_WARNING, false);
        audit_record_add(&k->record, "reason", "the ring was full");
        audit_record_addf(&k->record, "count", "%" PRIi64, n);
        for (unsigned kind = 1; kind < _CMKD_EVENT_MAX; kind++)
                if (lost[kind] > 0)
                        audit_record_addf(&k->record, describe_kind(kind), "%" PRIu64, lost[kind]);
        /* In the file is enough: a crash of the machine takes the counters with it */
        if (writer_say(k->writer, &k->record) >= 0 && writer_commit(k->writer, false) >= 0)
                (void) probes_lost_reported(k->probes, lost);
}

/* In the file is enough, as above. */
static void report_missed(struct kernel *k) {
        for (size_t i = 0; i < probes_coverage(k->probes)->n; i++) {
                struct misses m;

                if (probes_missed(k->probes, i, &m) < 0 || m.n == 0)
                        continue;
                k->lost += m.n;
                audit_record_start(&k->record, "lost", LOG_WARNING, false);
                audit_record_add(&k->record, "reason", "a program was running already");
                audit_record_addf(&k->record, "count", "%" PRIu64, m.n);
                audit_record_add(&k->record, "program", m.program);
                if (writer_say(k->writer, &k->record) >= 0 && writer_commit(k->writer, false) >= 0)
                        (void) probes_missed_reported(k->probes, &m);
        }
}

/* Once, by the record of the start. */
static void add_skipped(struct kernel *k, struct audit_message_record *record) {
        if (k->skipped < 0) {
                record->priority = LOG_ALERT;
                audit_record_add(record, "problem", "the trail says that it has more of the ring than can be: none is passed over");
        } else if (k->skipped > 0)
                audit_record_addf(record, "skipped", "%d", k->skipped);
        k->skipped = 0;
}

void kernel_report_coverage(struct kernel *k, int error, struct writer *writer, struct audit_message_record *record) {
        const struct probes_coverage *c = k ? probes_coverage(k->probes) : NULL;

        audit_record_start(record, "probes", c && c->n_missing == 0 ? LOG_INFO : LOG_WARNING, false);
        if (c) {
                audit_record_addf(record, "covered", "%zu", c->n - c->n_missing);
                audit_record_addf(record, "missing", "%zu", c->n_missing);
                audit_record_add(record, "loaded", c->reused ? "before" : "now");
                audit_record_add(record, "ring", probes_events_name(k->probes));
                add_skipped(k, record);
                for (size_t i = 0; i < c->n; i++)
                        if (c->items[i].why[0])
                                audit_record_add(record, c->items[i].program, c->items[i].why);
        } else
                audit_record_add(record, "error", strerrorname_np(-error));
        (void) writer_say(writer, record);
}

static void on_pin_missing(void *user, const char *name, int error, bool detached) {
        struct kernel *k = user;

        audit_record_start(&k->record, "guard_unpin", LOG_ALERT, true);
        audit_record_add(&k->record, "program", startswith(name, "link-"));
        audit_record_add(&k->record, "pin", name);
        audit_record_add(&k->record, "detached", detached ? "yes" : "no");
        if (error < 0)
                audit_record_add(&k->record, "error", strerrorname_np(-error));
        (void) writer_say(k->writer, &k->record);
        log_alert("The pin %s was removed or replaced%s", name, detached ? " while cmkd-audit did not run" : "");
}

static void set_blind(struct kernel *k, bool blind) {
        if (blind == k->blind)
                return;
        k->blind = blind;
        audit_record_start(&k->record, blind ? "blind" : "blind_over", LOG_ALERT, true);
        audit_record_add(&k->record, "reason", blind ? "no event came of our own control call" : "events come again");
        (void) writer_say(k->writer, &k->record);
        log_alert("Kernel events %s", blind ? "do not arrive any more" : "arrive again");
}

/* The echo of our own ioctl: fentry and LSM programs can be switched off from outside without a trace. The event is in
 * the ring when the ioctl returns, so that once the ring was read up to there, it came, found no room, or never was. */
static void check_echo(struct kernel *k) {
        uint64_t now = now_boottime_usec();

        if (k->waiting_for_echo && ring_consumed(k->ring) >= k->echo_position) {
                if (k->heard_usec < k->sent_usec)
                        report_missed(k);
                if (k->heard_usec >= k->sent_usec)
                        set_blind(k, false);
                else if (k->lost == k->lost_before)
                        set_blind(k, true);
                k->waiting_for_echo = false;
        }
        if (k->waiting_for_echo || now - k->sent_usec < HEARTBEAT_USEC)
                return;
        if (probes_coverage(k->probes)->n_missing > 0 && probes_retry(k->probes) > 0)
                kernel_report_coverage(k, 0, k->writer, &k->record);
        report_missed(k);
        k->sent_usec = now_boottime_usec();
        k->lost_before = k->lost;
        k->waiting_for_echo = probes_heartbeat() >= 0;
        k->echo_position = ring_produced(k->ring);
}

/* Its positions are not known here: an event may come twice. */
static int drain_old(struct kernel *k, struct ring *old) {
        int n, r;

        do {
                n = drain(k, old, "old", BATCH);
                r = n < 0 ? n : writer_commit(k->writer, false);
                if (r < 0)
                        return r;
                ring_commit(old);
        } while (n > 0);
        return 0;
}

/* error: 0, or why there is no ring to be read. */
static int report_unread(struct kernel *k, const struct probes_old *old, int error, uint64_t bytes) {
        audit_record_start(&k->record, "gap", LOG_ALERT, true);
        audit_record_add(&k->record, "reason", "ring_unreadable");
        audit_record_add(&k->record, "pin", old->path);
        if (bytes > 0)
                audit_record_addf(&k->record, "bytes", "%" PRIu64, bytes);
        if (error < 0)
                audit_record_add(&k->record, "error", strerrorname_np(-error));
        return writer_say(k->writer, &k->record);
}

static int report_old_lost(struct kernel *k, const struct probes_old *old) {
        audit_record_start(&k->record, "lost", LOG_WARNING, true);
        audit_record_add(&k->record, "reason", "the ring was full");
        audit_record_addf(&k->record, "count", "%" PRIu64, old->lost);
        audit_record_add(&k->record, "pin", old->path);
        return writer_say(k->writer, &k->record);
}

/* What the programs of another build left behind. Returns 0, or -errno: it stays where it is until the next start. */
static int take_over(struct kernel *k, const struct probes_old *old) {
        _cleanup_(ring_freep) struct ring *ring = NULL;
        int r;

        r = old->events_fd < 0 ? old->events_fd : ring_open(old->events_fd, &ring);
        if (r < 0 && r != -ENOENT)
                r = report_unread(k, old, r, 0);
        else if (r >= 0 && old->is_known)
                r = drain_old(k, ring);
        else if (r >= 0 && ring_consumed(ring) < ring_produced(ring))
                r = report_unread(k, old, 0, ring_produced(ring) - ring_consumed(ring));
        if ((r >= 0 || r == -ENOENT) && old->lost > 0) {
                r = report_old_lost(k, old);
                k->lost += r < 0 ? 0 : old->lost;
        }
        return r < 0 && r != -ENOENT ? r : writer_commit(k->writer, true);
}

static void take_over_all(struct kernel *k) {
        struct probes_old old;
        int r = 0;

        while (r >= 0 && probes_old_next(probes_dir(k->probes), &old) > 0) {
                int done = take_over(k, &old);

                r = probes_old_done(&old, done >= 0);
                r = done < 0 ? done : r;
        }
        if (r < 0)
                log_warning("%s: what is left there is not in the trail yet: %s", old.path, strerror(-r));
}

static int listen_to_ring(struct kernel *k, sd_event *event) {
        int r;

        r = sd_event_add_io(event, &k->ring_source, probes_events_fd(k->probes), EPOLLIN, on_ring, k);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(event, &k->retry_source, CLOCK_MONOTONIC, 0, GATHER_USEC / 10, on_retry, k);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(k->retry_source, SD_EVENT_OFF);
}

int kernel_new(sd_event *event, struct writer *writer, struct uses *uses, uint32_t ring_size, const struct trail_recovery *trail,
               struct kernel **ret) {
        _cleanup_(kernel_freep) struct kernel *k = calloc(1, sizeof(*k));
        int r;

        if (!k)
                return -ENOMEM;
        k->writer = writer;
        k->uses = uses;
        r = who_new(&k->who);
        if (r < 0)
                return r;
        r = probes_open(ring_size, &k->probes);
        if (r < 0)
                return r;
        r = guard_new(k->probes, writer, &k->guard);
        if (r < 0)
                return r;
        take_over_all(k);
        r = ring_open(probes_events_fd(k->probes), &k->ring);
        if (r < 0)
                return r;
        if (probes_workloads_fd(k->probes) >= 0)
                r = workloads_new(probes_workloads_fd(k->probes), probes_unattributed_fd(k->probes), &k->workloads);
        if (r < 0)
                return r;
        r = witness_new(event, &k->witness);
        if (r < 0)
                log_info("The kernel's audit is not a second witness: %s", strerror(-r));
        writer_set_ring(writer, k->ring);
        k->skipped = skip_written(k->ring, probes_events_name(k->probes), trail, writer, &k->record);
        r = listen_to_ring(k, event);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(k);
        return 0;
}

static void catch_up(struct kernel *k) {
        uint64_t end = ring_produced(k->ring);

        while (ring_consumed(k->ring) < end)
                if (drain(k, k->ring, probes_events_name(k->probes), BATCH) <= 0 || writer_commit(k->writer, false) < 0)
                        return;
}

/* The counters may go with the machine, or with the programs, and nobody has said yet what they counted last. */
void kernel_end(struct kernel *k) {
        catch_up(k);
        report_lost(k);
        report_missed(k);
        guard_end(k->guard, now_boottime_usec() + END_USEC, &k->record);
        if (k->workloads)
                workloads_end(k->workloads, k->who, k->uses, now_boottime_usec() + END_USEC, k->writer, &k->record);
}

/* The packages' removal: what happened until now is written, and that it is over. */
static struct kernel *release(struct kernel *k) {
        kernel_end(k);
        audit_record_start(&k->record, "probes", LOG_WARNING, true);
        audit_record_add(&k->record, "loaded", "released");
        audit_record_addf(&k->record, "pins", "%u", probes_release());
        (void) writer_say(k->writer, &k->record);
        (void) writer_commit(k->writer, true);
        log_warning("The probes were taken out of the kernel: nothing is recorded from it any more");
        return kernel_free(k);
}

struct kernel *kernel_housekeep(struct kernel *k) {
        if (guard_is_released(k->guard))
                return release(k);
        report_lost(k);
        probes_check_pins(k->probes, on_pin_missing, k);
        check_echo(k);
        witness_tick(k->witness, k->ring, k->lost, k->writer, &k->record);
        if (k->workloads)
                workloads_housekeep(k->workloads, k->who, k->uses, k->writer, &k->record);
        guard_tick(k->guard, !k->blind, &k->record);
        return k;
}

void kernel_note(struct kernel *k, const struct audit_message_record *m) {
        if (k)
                guard_note(k->guard, m);
}

void kernel_fill_status(struct kernel *k, struct audit_status *s) {
        s->coverage = probes_coverage(k->probes);
        s->submitted = probes_submitted(k->probes);
        s->consumed = k->consumed;
        s->lost = k->lost;
        s->blind = k->blind;
        s->witness = k->witness;
        s->agreed = witness_agreed(k->witness);
        guard_fill_status(k->guard, s);
}
