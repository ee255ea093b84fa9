/* SPDX-License-Identifier: Apache-2.0 */
#include "manager.h"

#include <signal.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>

#include "adopt.h"
#include "boot-image.h"
#include "breaker-found.h"
#include "bus.h"
#include "clock-watch.h"
#include "common/fips.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/torn-files.h"
#include "cut-mark.h"
#include "disk-child.h"
#include "drill.h"
#include "encrypt-run.h"
#include "fellows.h"
#include "given-out.h"
#include "key.h"
#include "key-socket.h"
#include "mapping-watch.h"
#include "mount-watch.h"
#include "no-cores.h"
#include "open-mark.h"
#include "pause.h"
#include "restore-watch.h"
#include "teardown.h"
#include "trail-watch.h"
#include "trust-places.h"
#include "unit-return.h"
#include "wrap.h"

#define BREAKER_WAIT_USEC (5 * USEC_PER_SEC)
/* Volumes that are looked at, or opened, at a time, and how long one of them keeps the others waiting at most (turns.h) */
#define AT_ONCE 16u
#define LOOK_USEC (5 * USEC_PER_SEC)
#define OPEN_USEC (20 * USEC_PER_SEC)

/* What the breaker knows is wanted first; but what stands must be polled and obeyed in any case. */
static int on_breaker_late(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct manager *m = user;

        if (m->adopting)
                return 0;
        log_alert("cmkd-breaker does not answer: what is open is taken over without its deadlines");
        m->adopting = true;
        adopt_start(m, NULL, 0);
        return 0;
}

static void on_breaker_ready(const struct breaker_slot *found, size_t n, void *user) {
        struct manager *m = user;
        struct volume *v;

        if (!m->adopting) {
                m->adopting = true;
                adopt_start(m, found, n);
                return;
        }
        /* It was away: it is told everything again. */
        breaker_found(m, found, n);
        LIST_FOREACH(v, &m->volumes, volumes)
                key_evaluate_volume(v);
}

static void on_breaker_slot(int error, const struct breaker_slot *s, void *user) {
        struct volume *v = manager_volume_by_name(user, s->name);
        struct manager *m = user;
        struct audit_message_record *r;

        if (error < 0)
                log_alert("%s: the breaker refused its deadline: %s", s->name, strerror(-error));
        if (error < 0 && v)
                v->breaker_set = false;          /* a finding, until it takes one */
        if (s->state != BREAKER_TRIPPED && s->state != BREAKER_FAILED)
                return;
        log_alert("%s: the breaker %s", s->name, s->state == BREAKER_TRIPPED ? "has cut it" : "could not cut it");
        r = malloc(sizeof(*r));
        if (!r)
                return;
        manager_record_start(r, v, "breaker", LOG_ALERT, false);
        audit_record_add(r, "mapping", s->name);
        audit_record_add(r, "result", s->state == BREAKER_TRIPPED ? "cut" : strerror(-s->error));
        audit_record_addf(r, "tripped_boottime_usec", "%llu", (unsigned long long) s->tripped_boottime_usec);
        manager_record(m, r);
        free(r);
}

static const struct breaker_events breaker_events = { .ready = on_breaker_ready, .slot = on_breaker_slot };

static void on_clock_set(void *user) {
        struct manager *m = user;
        struct volume *v;
        struct key *k;

        LIST_FOREACH(v, &m->volumes, volumes)
                pause_look(v);
        LIST_FOREACH(k, &m->keys, keys)
                key_look(k);
}

void manager_restored(struct manager *m) {
        struct key *k;

        log_warning("This machine goes on from a snapshot, or as a copy of another one");
        LIST_FOREACH(k, &m->keys, keys)
                key_restored(k);
}

static void watch_restores(struct manager *m) {
        int r = restore_watch_new(m, m->event);

        if (r < 0)
                log_notice("Whether this machine goes on from a snapshot is not seen, keys are asked for with their next poll: %s",
                           strerror(-r));
}

static int on_hangup(sd_event_source *s _unused_, const struct signalfd_siginfo *si _unused_, void *user) {
        _cleanup_(freep) char *why = NULL;

        (void) manager_reload(user, "SIGHUP", &why);
        return 0;
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *user _unused_) {
        log_notice("Ending on signal %u: volumes stay open, the breaker holds their deadlines", si->ssi_signo);
        return sd_event_exit(sd_event_source_get_event(s), 0);
}

static void log_bad_entries(const struct trust_list *l) {
        for (char **bad = l->bad; bad && *bad; bad++)
                log_warning("Left out of the node's list: %s", *bad);
}

static int load(struct manager *m) {
        _cleanup_(freep) char *why = NULL;
        char said[FIPS_WHY_MAX];
        int r;

        r = config_load("", &m->config, &why);
        log_hide_names(r >= 0 && m->config->audit.privacy == PRIVACY_STRICT);
        if (r < 0) {
                log_error("%s", why ? why : strerror(-r));
                return r;
        }
        r = m->config->fips ? fips_begin(said) : 0;
        if (r < 0) {
                log_error("%s", said);
                return r;
        }
        r = trust_places_load(m->config, &m->trust, &m->trust_early);
        if (r < 0) {
                log_error("The node's list %s cannot be read: %s", TRUST_DIRECTORY, strerror(-r));
                return r;
        }
        log_bad_entries(m->trust);
        if (!m->initramfs && !m->trust_early)
                trust_places_follow();
        return 0;
}

static void record_heard(struct manager *m, const char *event, int priority, const struct vault_request *q, const struct vault_reply *y,
                         const struct key_uri *key, const char *volume) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        char uri[KEY_URI_MAX];

        if (!r)
                return;
        key_uri_format(key, uri, sizeof(uri));
        audit_record_start(r, event, priority, false);
        audit_record_add(r, "vault", q->vault);
        audit_record_add(r, "key", uri);
        manager_record_reply(r, y);
        audit_record_add(r, "volume", volume);
        manager_record(m, r);
}

/* The worker attaches alarms about its login to any reply, granted ones too. A vault that is sealed is so for each of its keys. */
static void on_heard(const struct vault_request *q, const struct vault_reply *y, void *user) {
        struct manager *m = user;
        const char *event = login_watch_look(&m->logins, q->vault, y), *volume = NULL;
        bool sealed = event && streq(event, "vault_sealed");
        int priority = event && streq(event, "login_replaced") ? LOG_NOTICE : LOG_ALERT;
        unsigned n = 0;
        struct key *k;

        if (!event)
                return;
        log_full(priority, "Vault %s: %s: %s%s", q->vault, y->code, y->text,
                 sealed ? "; its owner did that, and none of its keys can be used until it is undone" : "");
        LIST_FOREACH(k, &m->keys, keys) {
                if (!streq(k->vault, q->vault) || LIST_EMPTY(&k->wraps))
                        continue;
                volume = LIST_FIRST(&k->wraps)->volume->name;
                if (!sealed)
                        break;
                record_heard(m, event, priority, q, y, &k->uri, volume);
                n++;
        }
        if (n == 0)
                record_heard(m, event, priority, q, y, &q->key, volume);
}

static int set_up(struct manager *m) {
        sigset_t set;
        int r;

        r = sd_event_default(&m->event);
        if (r < 0)
                return r;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        r = sd_event_add_signal(m->event, NULL, SIGTERM, on_signal, m);
        if (r >= 0)
                r = sd_event_add_signal(m->event, NULL, SIGINT, on_signal, m);
        if (r >= 0)
                r = sd_event_add_signal(m->event, NULL, SIGHUP, on_hangup, m);
        if (r >= 0)
                r = sd_event_set_watchdog(m->event, true);
        if (r >= 0)
                r = clock_watch_new(m->event, on_clock_set, m, &m->clock);
        if (r >= 0)
                r = disk_children_new(m->event, m->config->fips, m->initramfs, &m->children);
        if (r >= 0)
                r = turns_init(&m->looks, m->event, AT_ONCE, LOOK_USEC);
        if (r >= 0)
                r = turns_init(&m->opens, m->event, AT_ONCE, OPEN_USEC);
        if (r >= 0)
                r = no_cores_new(m->children, m->event, &m->no_cores);
        if (r >= 0)
                r = worker_link_new(m->event, &m->worker);
        if (r >= 0) {
                worker_link_configured(m->worker, m->config->read_usec);
                worker_link_listen(m->worker, on_heard, m);
        }
        if (r >= 0)
                r = audit_link_new(m->event, trail_failed, m, &m->audit);
        if (r >= 0)
                r = trail_watch_new(m, m->event, &m->trail_watch);
        if (r >= 0)
                r = breaker_link_new(m->event, &breaker_events, m, &m->breaker);
        if (r >= 0)
                r = sd_event_add_time_relative(m->event, NULL, CLOCK_BOOTTIME, BREAKER_WAIT_USEC, 0, on_breaker_late, m);
        if (r >= 0)
                r = mount_watch_new(m, m->event, &m->mounts);
        if (r >= 0)
                r = mapping_watch_new(m, m->event, &m->mappings);
        if (r >= 0)
                watch_restores(m);
        if (r >= 0)
                r = bus_new(m, m->event, &m->bus);
        if (r >= 0)
                r = key_socket_new(m, m->event, &m->key_socket);
        return r;
}

/* Whose the ids of polls will be stands in the trail too: a verifier has nothing else of the machine. */
static void record_start(struct manager *m) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        char tag[ANCHOR_TAG_TEXT_SIZE + 1];

        if (!r)
                return;
        anchor_tag_format(m->anchoring.tag, tag);
        audit_record_start(r, "started", LOG_INFO, false);
        audit_record_addf(r, "volumes_listed", "%zu", m->trust->n_entries);
        audit_record_add(r, "anchor_tag", m->anchoring.has_tag ? tag : NULL);
        manager_record(m, r);
}

/* What was being written when an earlier one was killed. What is in /run goes with the boot. */
static void remove_torn_files(void) {
        static const struct { const char *dir, *name, *suffix; } written[] = {
                { TRUST_DIRECTORY, NULL, ".conf" }, { TRUST_EARLY_DIRECTORY, NULL, ".conf" }, { TRUST_PENDING_DIRECTORY, NULL, ".conf" },
                { BACKUPS_DIRECTORY, NULL, ".luks1" }, { STATE_DIRECTORY, BOOT_IMAGE_DUE_NAME, "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(written); i++) {
                int n = torn_files_remove(written[i].dir, written[i].name, written[i].suffix);

                if (n > 0)
                        log_notice("%s: %d files that were not written to their end are gone", written[i].dir, n);
        }
}

int manager_new(bool early, struct manager **ret) {
        _cleanup_(manager_freep) struct manager *m = calloc(1, sizeof(*m));
        int r;

        if (!m)
                return -ENOMEM;
        m->initramfs = early;
        LIST_INIT(&m->scratch_jobs);
        LIST_INIT(&m->volumes);
        LIST_INIT(&m->given_out);
        LIST_INIT(&m->keys);
        LIST_INIT(&m->encryptions);
        LIST_INIT(&m->works);
        r = trust_places_ready() ? mkdir_parents(TRUST_DIRECTORY, 0700) : 0;
        if (r < 0) {
                log_error("%s cannot be made: %s", TRUST_DIRECTORY, strerror(-r));
                return r;
        }
        remove_torn_files();
        r = load(m);
        if (r < 0)
                return r;
        r = set_up(m);
        if (r < 0) {
                log_error("Start failed: %s", strerror(-r));
                return r;
        }
        drill_restore(m);
        anchoring_start(&m->anchoring);
        record_start(m);
        *ret = TAKE_PTR(m);
        return 0;
}

struct manager *manager_free(struct manager *m) {
        if (!m)
                return NULL;
        encrypt_stop_all(m);
        m->drill = drill_free(m->drill);
        given_out_clear(m);
        while (!LIST_EMPTY(&m->volumes)) {
                struct volume *v = LIST_FIRST(&m->volumes);

                LIST_REMOVE(v, volumes);
                wraps_unbind(v);
                volume_free(v);
        }
        key_socket_free(m->key_socket);
        bus_free(m->bus);
        mount_watch_free(m->mounts);
        mapping_watch_free(m->mappings);
        clock_watch_free(m->clock);
        worker_link_free(m->worker);
        login_watch_clear(&m->logins);
        audit_link_free(m->audit);
        trail_watch_free(m->trail_watch);
        breaker_link_free(m->breaker);
        trust_free(m->trust);
        config_free(m->config);
        no_cores_free(m->no_cores);
        disk_children_free(m->children);
        turns_done(&m->looks);
        turns_done(&m->opens);
        sd_event_unref(m->event);
        free(m);
        return NULL;
}

int manager_run(struct manager *m) {
        return sd_event_loop(m->event);
}

struct volume *manager_volume_by_name(struct manager *m, const char *name) {
        struct volume *v;

        LIST_FOREACH(v, &m->volumes, volumes)
                if (streq(v->name, name))
                        return v;
        return NULL;
}

struct volume *manager_volume_by_uuid(struct manager *m, const char *uuid) {
        struct volume *v;

        LIST_FOREACH(v, &m->volumes, volumes)
                if (streq(v->uuid, uuid))
                        return v;
        return NULL;
}

int manager_volume_add(struct manager *m, const char *uuid, const char *name, enum role role, struct volume **ret) {
        struct volume *v;

        if (manager_volume_by_uuid(m, uuid) || manager_volume_by_name(m, name))
                return -EEXIST;
        v = volume_new(m, uuid, name, role);
        if (!v)
                return -ENOMEM;
        LIST_INSERT_HEAD(&m->volumes, v, volumes);
        pause_restore(v);
        *ret = v;
        return 0;
}

void manager_volume_forget_deadline(struct volume *v) {
        char dm_uuid[128];

        volume_dm_uuid(v, dm_uuid);
        if (v->breaker_set && breaker_clear(v->manager->breaker, dm_uuid) >= 0)
                v->breaker_set = false;
}

void manager_volume_mapped_as(struct volume *v, const char *mapping) {
        if (!streq(v->mapping, mapping))
                manager_volume_forget_deadline(v);
        snprintf(v->mapping, sizeof(v->mapping), "%s", mapping);
}

void manager_volume_forget(struct manager *m _unused_, struct volume *v) {
        manager_volume_forget_deadline(v);
        wraps_unbind(v);
        LIST_REMOVE(v, volumes);
        volume_free(v);
}

int manager_reload_trust(struct manager *m) {
        struct trust_list *list;
        int r;

        r = trust_places_load(m->config, &list, &m->trust_early);
        if (r < 0)
                return r;
        trust_free(m->trust);
        m->trust = list;
        log_bad_entries(list);
        return 0;
}

void manager_volume_changed(struct manager *m, struct volume *v) {
        cut_mark_update(v);
        open_mark_update(v);
        if (v->state == VOLUME_ATTACHED) {
                unit_return_look(v, false);
                encrypt_look(v);
        }
        if (v->state == VOLUME_CUTTING || v->state == VOLUME_HOLDING)
                encrypt_kill(v);
        drill_kick(m);
        if (v->state == VOLUME_ATTACHED || v->state == VOLUME_RECOVERY) {
                mapping_watch_note(v);
                fellows_look(v);
        }
        if (m->bus)
                bus_volume_changed(m->bus, v);
        if (v->look.due > 0)
                mount_watch_run(m->mounts);
}

static bool hung_task_panics(void) {
        _cleanup_(freep) char *text = NULL;

        return read_small_file("/proc/sys/kernel/hung_task_panic", 16, &text, NULL) >= 0 && *text == '1';
}

void manager_volume_policy(struct manager *m, struct volume *v) {
        _cleanup_(freep) char *why = NULL;

        v->hold_not_possible = NULL;
        v->lease.hold_possible = policy_hold_possible(v->role, v->use_flags, hung_task_panics(), &v->hold_not_possible);
        if (policy_make(m->config, v->role, v->name, NULL, &v->policy, &why) >= 0) {
                wraps_tighten(v, &v->policy);
                return;
        }
        log_error("%s: %s; the defaults of role %s hold", v->name, why ? why : "out of memory", role_to_string(v->role));
        policy_default(v->role, &v->policy);
}

void manager_record_start(struct audit_message_record *r, const struct volume *v, const char *event, uint8_t priority,
                          bool durable) {
        audit_record_start(r, event, priority, durable);
        if (!v)
                return;
        audit_record_add(r, "volume", v->name);
        audit_record_add(r, "drill", drill_of(v->manager, v->name));
        audit_record_add(r, "uuid", v->uuid);
        audit_record_add(r, "use", v->use_id);
        audit_record_add(r, "key", volume_key_text(v));
}

void manager_record_answer(struct audit_message_record *r, const struct volume *v) {
        const struct key *k = wraps_telling_key(v);

        if (!k)
                return;
        manager_record_reply(r, &k->answer);
        if (v->n_wraps > 1)
                audit_record_add(r, "answer_of", k->uri_text);
}

void manager_record_reply(struct audit_message_record *r, const struct vault_reply *y) {
        audit_record_add(r, "verdict", verdict_to_string(y->verdict));
        if (y->http_status > 0)
                audit_record_addf(r, "http_status", "%u", y->http_status);
        audit_record_add(r, "code", y->code);
        audit_record_add(r, "request_id", y->request_id);
        audit_record_addf(r, "round_trip_usec", "%u", y->round_trip_usec);
}

void manager_record(struct manager *m, const struct audit_message_record *r) {
        (void) audit_write(m->audit, r, 0, NULL, NULL);
}
