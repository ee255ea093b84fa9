/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

#include "describe.h"
#include "early.h"
#include "mirror.h"
#include "probes.h"
#include "ring.h"
#include "serve.h"
#include "status.h"
#include "trail.h"
#include "uses.h"
#include "who.h"
#include "common/log.h"
#include "common/place.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define BATCH 256u                         /* events between two looks at the socket */
#define ACKS_MAX 1024u
#define HOUSEKEEPING_USEC (1 * USEC_PER_SEC)
#define HEARTBEAT_USEC (10 * USEC_PER_SEC)
#define RETRY_USEC (1 * USEC_PER_SEC)      /* of a trail that does not take what the ring holds */

/* A durable record that is appended and not yet durable. */
struct waiting {
        struct client *client;             /* NULL: gone meanwhile */
        uint32_t id;
        uint64_t sequence;
};

struct audit {
        sd_event *event;
        sd_event_source *commit_source, *timer_source, *ring_source, *retry_source;
        struct trail *trail;
        struct mirror *mirror;
        struct who *who;
        struct serve *serve;
        struct probes *probes;
        struct ring *ring;
        size_t n_waiting;
        struct waiting waiting[ACKS_MAX];
        uint64_t unsure, dropped;          /* records nobody waits for: appended, not yet in the file; and not kept */
        uint64_t consumed, lost;           /* kernel events: written, lost */
        uint64_t sent_usec, heard_usec;    /* of the last heartbeat */
        uint64_t echo_position;            /* its echo is before that place in the ring */
        uint64_t lost_before;
        bool waiting_for_echo, blind;
        const char *trail_dir;
        bool early, early_stays;           /* the trail is the one in /run; and that is how it is to be */
        struct audit_message_record record;
        struct who_names names;
        struct uses uses;
};

struct audit *audit_free(struct audit *a) {
        if (!a)
                return NULL;
        serve_free(a->serve);
        ring_free(a->ring);
        probes_free(a->probes);
        who_free(a->who);
        mirror_free(a->mirror);
        trail_free(a->trail);
        sd_event_source_disable_unref(a->commit_source);
        sd_event_source_disable_unref(a->timer_source);
        sd_event_source_disable_unref(a->ring_source);
        sd_event_source_disable_unref(a->retry_source);
        sd_event_unref(a->event);
        free(a);
        return NULL;
}

static void answer_waiting(struct audit *a, int error) {
        for (size_t i = 0; i < a->n_waiting; i++)
                if (a->waiting[i].client)
                        serve_ack(a->waiting[i].client, a->waiting[i].id, error,
                                  error < 0 ? 0 : a->waiting[i].sequence);
        a->n_waiting = 0;
}

/* Writes what waits. sync: and makes it durable, and answers. A trail that did not take it: those who wait are told,
 * the ring keeps its events. Returns 0 or -errno. */
static int commit(struct audit *a, bool sync) {
        bool kept;
        int r;

        r = trail_commit(a->trail, sync, &kept);
        if (r < 0)
                log_error("Trail: %s", strerror(-r));
        if (!kept)
                a->dropped += a->unsure;
        a->unsure = 0;
        if (sync || !kept)
                answer_waiting(a, r);
        if (a->ring) {
                if (kept)
                        ring_commit(a->ring);
                else
                        ring_rewind(a->ring);
        }
        return kept ? 0 : r;
}

/* Appends a->record. Returns 0, -ENOBUFS (commit first) or -errno. */
static int append(struct audit *a, enum record_source source, uint64_t *ret_sequence) {
        const struct record_line *line;
        int r;

        if (a->early && a->record.n_fields == AUDIT_FIELDS_MAX)
                a->record.n_fields--;          /* room for the mark that the joined record gets */
        r = trail_append(a->trail, &a->record, source, &line, ret_sequence);
        if (r < 0)
                return r;
        mirror_send(a->mirror, &a->record, source, *ret_sequence, line->hash);
        return 0;
}

/* The same for a daemon's record, which may make room. */
static int append_daemon(struct audit *a, uint64_t *ret_sequence) {
        int r = append(a, RECORD_DAEMON, ret_sequence);

        if (r == -ENOBUFS) {
                r = commit(a, a->n_waiting > 0);
                if (r >= 0)
                        r = append(a, RECORD_DAEMON, ret_sequence);
        }
        (void) sd_event_source_set_enabled(a->commit_source, SD_EVENT_ONESHOT);
        return r;
}

/* For what cmkd-audit itself has to say: a->record was filled in by the caller. */
static void append_own(struct audit *a) {
        uint64_t sequence;
        int r;

        r = append_daemon(a, &sequence);
        if (r >= 0) {
                a->unsure++;
                return;
        }
        a->dropped++;
        log_error("Record \"%s\" is not kept: %s", a->record.event, strerror(-r));
}

static void on_record(void *user, struct client *c, uint32_t id, const struct audit_message_record *m) {
        struct audit *a = user;
        uint64_t sequence = 0;
        int r;

        a->record = *m;
        uses_note(&a->uses, m);
        r = append_daemon(a, &sequence);
        if (r < 0 || !m->durable) {
                a->unsure += r >= 0;
                serve_ack(c, id, r, sequence);
                return;
        }
        if (a->n_waiting == ACKS_MAX)
                (void) commit(a, true);
        a->waiting[a->n_waiting++] = (struct waiting) { c, id, sequence };
}

static void on_gone(void *user, struct client *c) {
        struct audit *a = user;

        for (size_t i = 0; i < a->n_waiting; i++)
                if (a->waiting[i].client == c)
                        a->waiting[i].client = NULL;
}

/* Runs when everything that has arrived is appended (its priority is the lowest). */
static int on_commit(sd_event_source *s _unused_, void *user) {
        struct audit *a = user;

        (void) commit(a, a->n_waiting > 0);
        return 0;
}

static int append_event(struct audit *a, const void *data, size_t size, const char *ring) {
        const struct cmkd_event *e = data;
        struct instant now;
        uint64_t sequence;
        int r;

        if (size >= sizeof(*e) && describe_is_heartbeat(e)) {
                if (e->tgid == (uint32_t) getpid())
                        a->heard_usec = now_boottime_usec();
                return 0;
        }
        now = instant_now();
        if (size >= sizeof(*e))
                who_resolve(a->who, e, &a->names);
        r = describe_event(e, size, &a->names, &now, ring, &a->record);
        if (r == -EBADMSG) {
                audit_record_start(&a->record, "lost", LOG_WARNING, false);
                audit_record_add(&a->record, "reason", "an event that this version does not know");
                audit_record_add(&a->record, "count", "1");
                audit_record_add(&a->record, "ring", ring);
        } else if (r >= 0)
                uses_join(&a->uses, &a->record);
        return append(a, RECORD_KERNEL, &sequence);
}

/* Appends up to max events of a ring; commit() is next. Returns how many there were, or -errno (they come again). */
static int drain(struct audit *a, struct ring *ring, const char *name, unsigned max) {
        char where[TRAIL_RING_MAX];
        uint64_t position;
        const void *data;
        unsigned n;
        size_t size;
        int r;

        for (n = 0; n < max && ring_next(ring, &data, &size, &position) > 0; n++) {
                snprintf(where, sizeof(where), "%s.%" PRIu64, name, position);
                r = append_event(a, data, size, where);
                if (r == -ENOBUFS) {
                        ring_give_back(ring, position);
                        return (int) n;
                }
                if (r < 0) {
                        ring_rewind(ring);
                        return r;
                }
        }
        return (int) n;
}

static int on_ring(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_, void *user) {
        struct audit *a = user;
        int n, r;

        n = drain(a, a->ring, probes_events_name(a->probes), BATCH);
        r = n < 0 ? n : commit(a, false);
        if (r < 0) {
                /* The ring stays readable: look again later, not at once */
                (void) sd_event_source_set_enabled(a->ring_source, SD_EVENT_OFF);
                (void) sd_event_source_set_time_relative(a->retry_source, RETRY_USEC);
                (void) sd_event_source_set_enabled(a->retry_source, SD_EVENT_ONESHOT);
                return 0;
        }
        a->consumed += (unsigned) n;
        return 0;
}

static int on_retry(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct audit *a = user;

        return sd_event_source_set_enabled(a->ring_source, SD_EVENT_ON);
}

static void report_lost(struct audit *a) {
        uint64_t lost[_CMKD_EVENT_MAX];
        int64_t n = probes_lost(a->probes, lost);

        if (n <= 0)
                return;
        a->lost += (uint64_t) n;
        audit_record_start(&a->record, "lost", LOG_WARNING, false);
        audit_record_add(&a->record, "reason", "the ring was full");
        audit_record_addf(&a->record, "count", "%" PRIi64, n);
        for (unsigned kind = 1; kind < _CMKD_EVENT_MAX; kind++)
                if (lost[kind] > 0)
                        audit_record_addf(&a->record, describe_kind(kind), "%" PRIu64, lost[kind]);
        append_own(a);
        if (commit(a, true) >= 0)
                (void) probes_lost_reported(a->probes, lost);
}

static void report_dropped(struct audit *a) {
        uint64_t dropped = a->dropped;

        if (dropped == 0)
                return;
        audit_record_start(&a->record, "lost", LOG_WARNING, false);
        audit_record_add(&a->record, "reason", "the trail did not take them");
        audit_record_addf(&a->record, "count", "%" PRIu64, dropped);
        a->dropped = 0;
        append_own(a);
        if (commit(a, true) < 0)
                a->dropped = dropped;
}

static void report_coverage(struct audit *a, int error) {
        const struct probes_coverage *c = a->probes ? probes_coverage(a->probes) : NULL;

        audit_record_start(&a->record, "probes", c && c->n_missing == 0 ? LOG_INFO : LOG_WARNING, false);
        if (c) {
                audit_record_addf(&a->record, "covered", "%zu", c->n - c->n_missing);
                audit_record_addf(&a->record, "missing", "%zu", c->n_missing);
                audit_record_add(&a->record, "loaded", c->reused ? "before" : "now");
                audit_record_add(&a->record, "ring", probes_events_name(a->probes));
                for (size_t i = 0; i < c->n; i++)
                        if (c->items[i].why[0])
                                audit_record_add(&a->record, c->items[i].program, c->items[i].why);
        } else
                audit_record_add(&a->record, "error", strerrorname_np(-error));
        append_own(a);
}

static void set_blind(struct audit *a, bool blind) {
        if (blind == a->blind)
                return;
        a->blind = blind;
        audit_record_start(&a->record, blind ? "blind" : "blind_over", LOG_ALERT, true);
        audit_record_add(&a->record, "reason", blind ? "no event came of our own control call" : "events come again");
        append_own(a);
        log_alert("Kernel events %s", blind ? "do not arrive any more" : "arrive again");
}

/* The echo of our own ioctl: fentry and LSM programs can be switched off from outside without a trace. The event is in
 * the ring when the ioctl returns, so that once the ring was read up to there, it came, found no room, or never was. */
static void check_echo(struct audit *a) {
        uint64_t now = now_boottime_usec();

        if (a->waiting_for_echo && ring_consumed(a->ring) >= a->echo_position) {
                if (a->heard_usec >= a->sent_usec)
                        set_blind(a, false);
                else if (a->lost == a->lost_before)
                        set_blind(a, true);
                a->waiting_for_echo = false;
        }
        if (a->waiting_for_echo || now - a->sent_usec < HEARTBEAT_USEC)
                return;
        if (probes_coverage(a->probes)->n_missing > 0 && probes_retry(a->probes) > 0)
                report_coverage(a, 0);
        a->sent_usec = now_boottime_usec();
        a->lost_before = a->lost;
        a->waiting_for_echo = probes_heartbeat() >= 0;
        a->echo_position = ring_produced(a->ring);
}

static void write_status(struct audit *a) {
        struct audit_status s = {
                .trail = a->trail, .early = a->early, .blind = a->blind, .consumed = a->consumed, .lost = a->lost,
                .mirror_lost = mirror_lost(a->mirror),
        };
        int r;

        if (a->probes) {
                s.coverage = probes_coverage(a->probes);
                s.submitted = probes_submitted(a->probes);
        }
        r = audit_status_write(AUDIT_STATUS_FILE, &s);
        if (r < 0)
                log_debug("%s: %s", AUDIT_STATUS_FILE, strerror(-r));
}

static void report_recovery(struct audit *a, const struct trail_recovery *recovery) {
        if (recovery->kind == TRAIL_RECOVERED_NOTHING)
                return;
        audit_record_start(&a->record, "gap", LOG_ALERT, true);
        audit_record_add(&a->record, "reason", trail_recovery_to_string(recovery->kind));
        if (recovery->bytes > 0)
                audit_record_addf(&a->record, "bytes", "%" PRIu64, recovery->bytes);
        if (recovery->last_lost > 0) {
                audit_record_addf(&a->record, "first", "%" PRIu64, recovery->first_lost);
                audit_record_addf(&a->record, "last", "%" PRIu64, recovery->last_lost);
        }
        log_alert("The trail's end had to be repaired: %s", trail_recovery_to_string(recovery->kind));
        append_own(a);
}

static int append_early(void *user, const struct audit_message_record *m, enum record_source source) {
        struct audit *a = user;
        uint64_t sequence;
        int r;

        a->record = *m;
        r = append(a, source, &sequence);
        if (r != -ENOBUFS)
                return r;
        r = commit(a, a->n_waiting > 0);
        return r < 0 ? r : append(a, source, &sequence);
}

/* Brings what was recorded before the trail was there into it. What fails is tried again by the next start. */
static void join_early(struct audit *a, struct trail_recovery *recovery) {
        char hash[CHAIN_HEX_SIZE + 1];
        struct early_join j;
        int r;

        r = early_join(EARLY_TRAIL_DIR, recovery, append_early, a, &j);
        if (r >= 0 && j.last == 0)
                return;
        if (r >= 0) {
                audit_record_start(&a->record, "early_joined", j.n_problems > 0 ? LOG_ALERT : LOG_INFO, true);
                audit_record_addf(&a->record, "records", "%" PRIu64, j.records);
                audit_record_addf(&a->record, "last", "%" PRIu64, j.last);
                chain_to_hex(j.hash, hash);
                audit_record_add(&a->record, "hash", hash);
                audit_record_add(&a->record, "verified", j.n_problems > 0 ? "no" : "yes");
                audit_record_add(&a->record, "problem", j.problem);
                append_own(a);
                r = commit(a, true);
        }
        if (r >= 0)
                r = early_done(EARLY_TRAIL_DIR);
        if (r < 0)
                log_alert("The records in %s are not in the trail yet: %s", EARLY_TRAIL_DIR, strerror(-r));
        else
                log_notice("%" PRIu64 " early records joined", j.records);
        if (r >= 0 && *j.ring)
                snprintf(recovery->ring, sizeof(recovery->ring), "%s", j.ring);
}

static int open_trail(struct audit *a, const struct audit_options *options, struct trail_recovery *recovery) {
        int r = -EROFS;

        a->trail_dir = options->trail_dir;
        a->early_stays = options->early;
        a->early = options->early || !place_ready(a->trail_dir, "/etc/fstab");
        if (!a->early)
                r = trail_open(a->trail_dir, &a->trail, recovery);
        if (r == -EROFS) {
                a->early = true;
                r = trail_open(EARLY_TRAIL_DIR, &a->trail, recovery);
        }
        if (r < 0)
                log_error("Trail in %s: %s", a->early ? EARLY_TRAIL_DIR : a->trail_dir, strerror(-r));
        return r;
}

/* Goes over to the real trail once its file system is there. */
static void leave_early(struct audit *a) {
        struct trail_recovery recovery;
        struct trail *real;
        int r;

        if (!place_ready(a->trail_dir, "/etc/fstab"))
                return;
        r = trail_open(a->trail_dir, &real, &recovery);
        if (r < 0) {
                log_debug("Trail in %s: %s", a->trail_dir, strerror(-r));
                return;
        }
        (void) commit(a, true);
        trail_free(a->trail);
        a->trail = real;
        a->early = false;
        early_over();
        report_recovery(a, &recovery);
        join_early(a, &recovery);
}

static int on_timer(sd_event_source *s, uint64_t usec _unused_, void *user) {
        struct audit *a = user;

        if (a->early && !a->early_stays)
                leave_early(a);
        if (a->probes) {
                report_lost(a);
                check_echo(a);
        }
        report_dropped(a);
        if (trail_is_dirty(a->trail))
                (void) commit(a, true);
        write_status(a);
        (void) sd_event_source_set_time_relative(s, HOUSEKEEPING_USEC);
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* Steps over events that were written, but not taken out of the ring, before a kill. */
static void skip_written(struct ring *ring, const char *name, const char *last) {
        const char *text = startswith(last, name);
        uint64_t written, position;
        const void *data;
        size_t size;

        if (!text || *text != '.' || parse_u64(text + 1, UINT64_MAX, &written) < 0)
                return;
        while (ring_next(ring, &data, &size, &position) > 0) {
                if (position > written) {
                        ring_rewind(ring);
                        return;
                }
                ring_commit(ring);
        }
}

/* What the programs of another build left behind. Its positions are not known here: an event may come twice. */
static void drain_old(struct audit *a) {
        _cleanup_(ring_freep) struct ring *old = NULL;
        int fd = probes_old_events_fd(a->probes), n;

        if (fd < 0 || ring_open(fd, &old) < 0)
                return;
        do {
                n = drain(a, old, "old", BATCH);
                if (n < 0 || commit(a, false) < 0)
                        return;    /* it stays where it is until the next start */
                ring_commit(old);
        } while (n > 0);
        probes_drop_old(a->probes);
}

static int open_kernel(struct audit *a, const struct audit_options *options, const struct trail_recovery *recovery) {
        int r;

        r = probes_open(options->ring_size, &a->probes);
        if (r < 0)
                return r;
        drain_old(a);
        r = ring_open(probes_events_fd(a->probes), &a->ring);
        if (r < 0)
                return r;
        skip_written(a->ring, probes_events_name(a->probes), recovery->ring);
        r = sd_event_add_io(a->event, &a->ring_source, probes_events_fd(a->probes), EPOLLIN, on_ring, a);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(a->event, &a->retry_source, CLOCK_MONOTONIC, 0, 0, on_retry, a);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(a->retry_source, SD_EVENT_OFF);
}

static void report_start(struct audit *a) {
        audit_record_start(&a->record, "audit_start", LOG_INFO, true);
        audit_record_addf(&a->record, "pid", "%d", (int) getpid());
        audit_record_add(&a->record, "place", a->early ? EARLY_TRAIL_DIR : NULL);
        append_own(a);
}

static int add_sources(struct audit *a) {
        int r;

        r = sd_event_default(&a->event);
        if (r < 0)
                return r;
        for (size_t i = 0; i < 2; i++) {
                r = sd_event_add_signal(a->event, NULL, (const int[]) { SIGTERM, SIGINT }[i], NULL, NULL);
                if (r < 0)
                        return r;
        }
        r = sd_event_add_defer(a->event, &a->commit_source, on_commit, a);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(a->commit_source, SD_EVENT_OFF);
        (void) sd_event_source_set_priority(a->commit_source, SD_EVENT_PRIORITY_NORMAL + 10);
        return sd_event_add_time_relative(a->event, &a->timer_source, CLOCK_MONOTONIC, HOUSEKEEPING_USEC, 0, on_timer,
                                          a);
}

int audit_new(const struct audit_options *options, struct audit **ret) {
        _cleanup_(audit_freep) struct audit *a = calloc(1, sizeof(*a));
        const struct serve_handler handler = { on_record, on_gone, a };
        struct trail_recovery recovery;
        int r, error = -EOPNOTSUPP;

        if (!a)
                return -ENOMEM;
        r = add_sources(a);
        if (r < 0)
                return r;
        r = open_trail(a, options, &recovery);
        if (r < 0)
                return r;
        if (mirror_new(&a->mirror) < 0 || who_new(&a->who) < 0)
                return -ENOMEM;
        report_recovery(a, &recovery);
        if (!a->early) {
                early_over();
                join_early(a, &recovery);
        }
        report_start(a);
        if (options->kernel) {
                error = open_kernel(a, options, &recovery);
                if (error < 0)
                        log_error("Kernel events are not recorded: %s", strerror(-error));
                report_coverage(a, error);
        }
        r = serve_new(a->event, options->socket, &handler, &a->serve);
        if (r < 0) {
                log_error("Socket %s: %s", options->socket, strerror(-r));
                return r;
        }
        *ret = TAKE_PTR(a);
        return 0;
}

int audit_run(struct audit *a) {
        int r;

        write_status(a);
        (void) sd_notify(0, "READY=1");
        r = sd_event_loop(a->event);
        (void) sd_notify(0, "STOPPING=1");
        audit_record_start(&a->record, "audit_stop", LOG_INFO, true);
        append_own(a);
        (void) commit(a, true);
        write_status(a);
        return r;
}
