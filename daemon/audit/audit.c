/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

#include "carrier.h"
#include "join.h"
#include "kernel.h"
#include "leaving.h"
#include "privacy-early.h"
#include "privacy-setup.h"
#include "sealing.h"
#include "common/anchor.h"
#include "common/log.h"
#include "common/place.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define HOUSEKEEPING_USEC (1 * USEC_PER_SEC)

struct audit {
        sd_event *event;
        sd_event_source *timer_source;
        struct writer *writer;
        struct kernel *kernel;             /* NULL: no events of the kernel */
        struct serve *serve;
        const struct audit_options *options;
        struct sealing sealing;
        bool early, early_stays;           /* the trail is the one in /run; and that is how it is to be */
        struct carrier refused;            /* where the trail is not kept: uuid "" where it is */
        struct audit_message_record record;
        struct uses uses;
        struct join join;
        uint64_t anchored;                 /* number of the record that was published last */
};

struct audit *audit_free(struct audit *a) {
        if (!a)
                return NULL;
        serve_free(a->serve);
        kernel_free(a->kernel);
        writer_free(a->writer);
        sealer_free(a->sealing.sealer);
        sd_event_source_disable_unref(a->timer_source);
        sd_event_unref(a->event);
        free(a);
        return NULL;
}

static void on_record(void *user, struct client *c, uint32_t id, const struct audit_message_record *m) {
        struct audit *a = user;

        uses_note(&a->uses, m);
        kernel_note(a->kernel, m);
        a->record = *m;
        writer_receive(a->writer, c, id, &a->record);
}

static void on_check(void *user, struct client *c, uint32_t id) {
        struct audit *a = user;

        writer_check(a->writer, c, id);
}

static void on_gone(void *user, struct client *c) {
        struct audit *a = user;

        writer_forget(a->writer, c);
}

static void write_status(struct audit *a) {
        struct audit_status s = {
                .trail = writer_trail(a->writer), .error = writer_error(a->writer), .early = a->early, .mirror_lost = writer_mirror_lost(a->writer),
                .seal_why = a->sealing.why, .refused = a->refused.uuid,
                .privacy_key = a->options->privacy ? privacy_id(a->options->privacy) : NULL,
        };
        int r;

        if (a->kernel)
                kernel_fill_status(a->kernel, &s);
        r = audit_status_write(AUDIT_STATUS_FILE, &s);
        if (r < 0)
                log_debug("%s: %s", AUDIT_STATUS_FILE, strerror(-r));
}

/* The head that cmkd has the vault's log remember. Only what no crash can take back: a record that went with one would look
 * cut off for ever. */
static void publish_head(struct audit *a) {
        const struct trail *t = writer_trail(a->writer);
        uint8_t mark[ANCHOR_MARK_SIZE];
        char text[ANCHOR_HEAD_MAX];
        int r;

        if (a->early || trail_is_dirty(t) || trail_error(t) < 0 || trail_sequence(t) == 0 || trail_sequence(t) == a->anchored)
                return;
        r = anchor_mark(trail_hash(t), mark);
        if (r >= 0) {
                anchor_head_format(trail_sequence(t), mark, text);
                r = write_file_atomic(ANCHOR_HEAD_FILE, text, strlen(text), 0600);
        }
        if (r >= 0)
                a->anchored = trail_sequence(t);
        else
                log_debug("%s: %s", ANCHOR_HEAD_FILE, strerror(-r));
}

static void report_gap(struct audit *a, const char *reason, const struct trail_recovery *recovery) {
        audit_record_start(&a->record, "gap", LOG_ALERT, true);
        audit_record_add(&a->record, "reason", reason);
        if (recovery->bytes > 0)
                audit_record_addf(&a->record, "bytes", "%" PRIu64, recovery->bytes);
        if (recovery->last_lost > 0) {
                audit_record_addf(&a->record, "first", "%" PRIu64, recovery->first_lost);
                audit_record_addf(&a->record, "last", "%" PRIu64, recovery->last_lost);
        }
        (void) writer_say(a->writer, &a->record);
}

/* What was found when the trail was opened; how it is sealed from now on. */
static void report_recovery(struct audit *a, const struct trail_recovery *recovery) {
        if (recovery->kind != TRAIL_RECOVERED_NOTHING) {
                log_alert("The trail's end had to be repaired: %s", trail_recovery_to_string(recovery->kind));
                report_gap(a, trail_recovery_to_string(recovery->kind), recovery);
        }
        if (recovery->seal_lost)
                report_gap(a, "key_lost", &(const struct trail_recovery) {});
        if (a->early)
                return;
        if (a->sealing.is_over && writer_end_epoch(a->writer, EPOCH_END_UNCONFIGURED) < 0)
                log_error("The end of the trail's sealing is not recorded");
        if (!*a->sealing.why)
                return;
        log_alert("The trail's seal is not as configured: %s", a->sealing.why);
        audit_record_start(&a->record, "seal_failed", LOG_ALERT, true);
        audit_record_add(&a->record, "why", a->sealing.why);
        (void) writer_say(a->writer, &a->record);
}

/* A volume of role data or scratch is no place for the trail. Without a writer it is said once there is one. */
static void report_refusal(struct audit *a) {
        const char *role = role_to_string(a->refused.role);

        if (!a->writer)
                return;
        writer_refuse(a->writer, *a->refused.uuid ? -EMEDIUMTYPE : 0);
        if (!*a->refused.uuid)
                return;
        log_alert("%s is on the volume %s, of role %s, and the trail is not kept there: mount another file system there",
                  a->options->trail_dir, a->refused.uuid, role);
        audit_record_start(&a->record, "trail_refused", LOG_ALERT, true);
        audit_record_add(&a->record, "uuid", a->refused.uuid);
        audit_record_add(&a->record, "role", role);
        audit_record_add(&a->record, "place", a->options->trail_dir);
        (void) writer_say(a->writer, &a->record);
}

static bool is_refused(struct audit *a) {
        struct carrier before = a->refused;

        (void) carrier_find(a->options->trail_dir, &a->refused);
        if (!streq(before.uuid, a->refused.uuid))
                report_refusal(a);
        return *a->refused.uuid;
}

/* The trail where it belongs, sealed if that is possible. */
static int open_real(struct audit *a, struct trail **ret, struct trail_recovery *recovery) {
        _cleanup_(trail_freep) struct trail *t = NULL;
        int r;

        if (is_refused(a))
                return -EMEDIUMTYPE;
        r = trail_open(a->options->trail_dir, &t, recovery);
        if (r < 0)
                return r;
        if (a->sealing.sealer) {
                r = trail_seal(t, TAKE_PTR(a->sealing.sealer), recovery);
                if (r < 0) {
                        (void) sd_event_exit(a->event, r);         /* the key is kept: the next start finds its way */
                        return r;
                }
        }
        if (a->options->config_known) {
                r = privacy_mark(a->options->trail_dir, a->options->privacy != NULL);
                if (r < 0)
                        log_warning("The mark of Privacy= in %s: %s", a->options->trail_dir, strerror(-r));
        }
        trail_set_limits(t, a->options->max_file_size, a->options->max_file_age_usec);
        *ret = TAKE_PTR(t);
        return 0;
}

/* What the early trail has is not to be added to, nor joined, as long as it has names. */
static int hide_early_names(struct audit *a) {
        int r = a->options->privacy ? privacy_early(a->options->privacy, EARLY_TRAIL_DIR) : 0;

        if (r < 0)
                log_error("The names in %s cannot be replaced: %s", EARLY_TRAIL_DIR, strerror(-r));
        return r;
}

/* Whose pseudonyms the writer writes; the journal gets one for the node's name too. */
static int set_privacy(struct audit *a) {
        char host[HOST_NAME_MAX + 1] = "", node[PRIVACY_WORD_SIZE] = "";
        int r;

        if (a->options->unmirrored)
                writer_set_privacy(a->writer, NULL, NULL);
        if (!a->options->privacy)
                return 0;
        (void) gethostname(host, sizeof(host) - 1);
        r = privacy_word(a->options->privacy, host, node);
        if (r < 0)
                return r;
        writer_set_privacy(a->writer, a->options->privacy, node);
        if (!a->early || trail_sequence(writer_trail(a->writer)) > 0)
                return 0;
        privacy_early_record(a->options->privacy, &a->record);
        return writer_say(a->writer, &a->record);
}

static int open_trail(struct audit *a, struct trail_recovery *recovery) {
        const char *dir = a->options->trail_dir;
        struct trail *trail;
        int r;

        r = hide_early_names(a);
        if (r < 0)
                return r;
        r = -EROFS;
        a->early_stays = a->options->early;
        a->early = a->early_stays || !place_ready(dir, "/etc/fstab");
        if (!a->early_stays)
                sealing_open(a->options->public_key, a->options->config_known, &a->sealing);
        if (!a->early)
                r = open_real(a, &trail, recovery);
        if (r == -EROFS || r == -EMEDIUMTYPE) {
                a->early = true;
                r = trail_open(EARLY_TRAIL_DIR, &trail, recovery);
        }
        if (r < 0) {
                log_error("Trail in %s: %s", a->early ? EARLY_TRAIL_DIR : dir, strerror(-r));
                return r;
        }
        r = writer_new(a->event, trail, a->early, &a->writer);
        return r < 0 ? r : set_privacy(a);
}

/* Goes over to the real trail once its file system is there. */
static void leave_early(struct audit *a) {
        const char *dir = a->options->trail_dir;
        struct trail_recovery recovery;
        struct trail *real;
        int r;

        if (!place_ready(dir, "/etc/fstab"))
                return;
        r = open_real(a, &real, &recovery);
        if (r < 0) {
                log_debug("Trail in %s: %s", dir, strerror(-r));
                return;
        }
        writer_set_trail(a->writer, real, false);
        a->early = false;
        early_over();
        report_recovery(a, &recovery);
        join_start(&a->join, EARLY_TRAIL_DIR, &recovery);
}

static int on_timer(sd_event_source *s, uint64_t usec _unused_, void *user) {
        char ring[TRAIL_RING_MAX];
        struct audit *a = user;

        if (a->early && !a->early_stays)
                leave_early(a);
        if (join_is_due(&a->join, now_boottime_usec()))
                (void) join_run(&a->join, a->writer, ring);
        if (a->kernel)
                a->kernel = kernel_housekeep(a->kernel);
        writer_report_dropped(a->writer, &a->record);
        writer_rotate(a->writer, &a->record);
        if (trail_is_dirty(writer_trail(a->writer)))
                (void) writer_commit(a->writer, true);
        publish_head(a);
        write_status(a);
        (void) sd_event_source_set_time_relative(s, HOUSEKEEPING_USEC);
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static void report_start(struct audit *a) {
        audit_record_start(&a->record, "audit_start", LOG_INFO, true);
        audit_record_addf(&a->record, "pid", "%d", (int) getpid());
        audit_record_add(&a->record, "place", a->early ? EARLY_TRAIL_DIR : NULL);
        if (a->options->privacy) {
                audit_record_add(&a->record, "privacy", "strict");
                audit_record_add(&a->record, "privacy_key", privacy_id(a->options->privacy));
        }
        (void) writer_say(a->writer, &a->record);
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
        return sd_event_add_time_relative(a->event, &a->timer_source, CLOCK_MONOTONIC, HOUSEKEEPING_USEC, 0, on_timer,
                                          a);
}

int audit_new(const struct audit_options *options, struct audit **ret) {
        _cleanup_(audit_freep) struct audit *a = calloc(1, sizeof(*a));
        const struct serve_handler handler = { on_record, on_check, on_gone, a };
        struct trail_recovery recovery;
        int r, error = -EOPNOTSUPP;

        if (!a)
                return -ENOMEM;
        r = add_sources(a);
        if (r < 0)
                return r;
        a->options = options;
        r = open_trail(a, &recovery);
        if (r < 0)
                return r;
        report_recovery(a, &recovery);
        report_refusal(a);
        if (!a->early) {
                early_over();
                join_start(&a->join, EARLY_TRAIL_DIR, &recovery);
                (void) join_run(&a->join, a->writer, recovery.early_ring);
        }
        report_start(a);
        if (options->kernel) {
                error = kernel_new(a->event, a->writer, &a->uses, options->ring_size, &recovery, &a->kernel);
                if (error < 0)
                        log_error("Kernel events are not recorded: %s", strerror(-error));
                kernel_report_coverage(a->kernel, error, a->writer, &a->record);
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
        (void) sd_event_set_watchdog(a->event, true);
        (void) sd_notify(0, "READY=1");
        r = sd_event_loop(a->event);
        (void) sd_notify(0, "STOPPING=1");
        if (a->kernel)
                kernel_end(a->kernel);
        audit_record_start(&a->record, "audit_stop", LOG_INFO, true);
        (void) writer_say(a->writer, &a->record);
        (void) writer_commit(a->writer, true);
        if (service_is_leaving())
                (void) writer_end_epoch(a->writer, EPOCH_END_STOPPED);
        write_status(a);
        return r;
}
