/* SPDX-License-Identifier: Apache-2.0 */
#include "key.h"

#include <syslog.h>

#include "attributes-mark.h"
#include "common/log.h"
#include "key-attributes.h"
#include "manager.h"
#include "open-mark.h"
#include "operation.h"
#include "pause.h"
#include "teardown.h"
#include "unit-return.h"

static int on_timer(sd_event_source *s, uint64_t usec, void *user);

static uint32_t random_u32(void) {
        uint32_t v;

        random_bytes(&v, sizeof(v));
        return v;
}

static void record_answer(struct key *k, const char *event, enum verdict counted, uint8_t priority) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        struct volume *v;

        if (!r)
                return;
        audit_record_start(r, event, priority, false);
        audit_record_add(r, "key", k->uri_text);
        manager_record_reply(r, &k->answer);
        audit_record_add(r, "counted_as", verdict_to_string(counted));
        audit_record_add(r, "key_state", key_state_to_string(k->track.state));
        LIST_FOREACH(v, &k->volumes, of_key) {
                audit_record_add(r, "volume", v->name);
                break;
        }
        manager_record(k->manager, r);
}

/* The next manager's lease counts from there too, whatever the breaker was told; and what was stopped may come back. */
static void write_marks(const struct key *k) {
        struct volume *v;

        LIST_FOREACH(v, &k->volumes, of_key)
                if (v->state == VOLUME_ATTACHED) {
                        open_mark_update(v);
                        unit_return_look(v, false);
                }
}

/* The key may be gone afterwards, with the last of its volumes. */
static void tell_waiters(struct key *k) {
        struct key_waiter *w = TAKE_PTR(k->waiters), *next;
        struct vault_reply y = k->answer;

        for (; w; w = next) {
                next = w->next;
                w->done(&y, w->user);
        }
}

bool key_prove(struct key *k, struct key_waiter *w) {
        if (key_track_is_proven(&k->track, &k->timing, instant_now()))
                return true;
        w->next = k->waiters;
        k->waiters = w;
        key_track_hurry(&k->track);
        key_schedule(k);
        return false;
}

/* Counts k->answer, writes down what is new, decides for every volume. */
static void count_event(struct key *k, uint32_t flags, struct instant issued) {
        struct key_event e = {
                .verdict = k->answer.verdict, .flags = flags, .issued = issued,
                .retry_after_usec = k->answer.retry_after_sec * USEC_PER_SEC,
        };
        enum key_state before = k->track.state;
        enum verdict last = k->track.heard ? k->track.last : VERDICT_GRANTED, counted;
        struct volume *v, *next;

        counted = key_track_event(&k->track, &k->timing, &e, instant_now(), random_u32());
        if (counted == VERDICT_GRANTED) {
                write_marks(k);
                key_attributes_look(k);
        }
        if (counted != last || k->track.state != before)
                record_answer(k, "verdict", counted, counted == VERDICT_GRANTED ? LOG_NOTICE : LOG_WARNING);
        if (counted != last)
                log_full(counted == VERDICT_GRANTED ? LOG_NOTICE : LOG_WARNING, "Key %s: %s (%s: %s)", k->uri_text,
                         verdict_to_string(counted), k->answer.code, k->answer.text);
        for (v = LIST_FIRST(&k->volumes); v; v = next) {
                next = LIST_NEXT(v, of_key);
                key_evaluate_volume(v);
        }
        key_schedule(k);
        tell_waiters(k);
}

/* The answer to a poll, checked as far as it can be. */
static void count_answer(struct key *k, uint32_t flags) {
        struct instant issued = challenge_issued(k->challenge);

        k->challenge = challenge_free(k->challenge);
        count_event(k, flags, issued);
}

void key_attributes_revoke(struct key *k, const struct vault_reply *y, struct instant asked) {
        k->answer = *y;
        count_event(k, KEY_EVENT_ATTRIBUTES | (y->http_status == 404 ? KEY_EVENT_NOT_FOUND : 0), asked);
}

static void on_deleted_checked(const struct vault_reply *y, void *user) {
        struct key *k = user;
        uint32_t flags = k->poll_flags | KEY_EVENT_NOT_FOUND;

        if (!k->challenge)
                return;
        if (y->verdict == VERDICT_GRANTED)
                flags |= KEY_EVENT_LISTED_DELETED;
        count_answer(k, flags);
}

/* The vault unwraps with a key that is expired: whether it still is says a second request, made as the challenge was. Only
 * "not any more" lets the challenge count. */
static void on_expiry_checked(const struct vault_reply *y, void *user) {
        struct key *k = user;

        if (!k->challenge)
                return;
        key_attributes_take(k, y);
        k->answer = *y;
        attributes_judge(&k->answer, k->timing.expiry_revokes, instant_now());
        count_answer(k, k->poll_flags | (k->answer.http_status == 404 ? KEY_EVENT_NOT_FOUND : 0));
}

void key_fill_request(const struct key *k, enum vault_op op, struct vault_request *q) {
        const struct vault_config *vault = config_vault_by_name(k->manager->config, k->vault);

        *q = (struct vault_request) { .op = (uint8_t) op, .key = k->uri };
        q->timeout_ms = (uint32_t) ((vault ? vault->timeout_usec : 10 * USEC_PER_SEC) / USEC_PER_MSEC);
        snprintf(q->vault, sizeof(q->vault), "%s", k->vault);
        snprintf(q->algorithm, sizeof(q->algorithm), "%s", k->algorithm);
        random_uuid(q->client_request_id);
}

/* One more question, before the answer to a poll can be counted. */
static bool ask_more(struct key *k, enum vault_op op, worker_callback callback) {
        _cleanup_(freep) struct vault_request *q = malloc(sizeof(*q));

        if (!q)
                return false;
        key_fill_request(k, op, q);
        if (k->poll_flags & KEY_EVENT_FRESH_CONNECTION)
                q->flags |= VAULT_FLAG_FRESH_CONNECTION;
        return worker_ask(k->manager->worker, q, -EBADF, callback, k) >= 0;
}

static void on_answer(const struct vault_reply *y, void *user) {
        struct key *k = user;
        int r;

        k->answer = *y;
        if (!k->challenge)         /* given up meanwhile */
                return;
        if (y->verdict == VERDICT_GRANTED) {
                r = challenge_check(k->challenge, y->blob, y->blob_size, instant_now(), LEASE_ASK_USEC);
                if (r < 0) {
                        k->answer.verdict = VERDICT_BROKEN;
                        snprintf(k->answer.code, sizeof(k->answer.code), "challenge");
                        snprintf(k->answer.text, sizeof(k->answer.text), "%s",
                                 r == -ETIME ? "the answer came too late to prove anything"
                                             : "the answer is not what was wrapped: the vault or the worker lies");
                }
        }
        if (k->answer.verdict == VERDICT_GRANTED && key_is_expired(k)) {
                attributes_asked(&k->attributes, k->track.n_polls, instant_now());
                if (ask_more(k, VAULT_OP_GET_KEY, on_expiry_checked))
                        return;
                k->answer.verdict = VERDICT_UNREACHABLE;
        }
        if (k->answer.verdict == VERDICT_REVOKED && k->answer.http_status == 404) {
                if (!ask_more(k, VAULT_OP_CHECK_DELETED, on_deleted_checked))
                        count_answer(k, k->poll_flags | KEY_EVENT_NOT_FOUND);
                return;
        }
        count_answer(k, k->poll_flags);
}

static void poll_key(struct key *k, const struct key_poll *p) {
        _cleanup_(freep) struct vault_request *q = malloc(sizeof(*q));
        const uint8_t *wrapped;
        int r = -ENOMEM;

        worker_cancel(k->manager->worker, k);
        k->challenge = challenge_free(k->challenge);
        key_track_asked(&k->track, instant_now());
        if (q)
                r = challenge_new(k->spki, k->spki_size, &k->challenge);
        if (r >= 0) {
                key_fill_request(k, VAULT_OP_UNWRAP, q);
                wrapped = challenge_wrapped(k->challenge, &q->blob_size);
                memcpy(q->blob, wrapped, q->blob_size);
                k->poll_flags = 0;
                if (p->fresh_connection) {
                        q->flags |= VAULT_FLAG_FRESH_CONNECTION;
                        k->poll_flags |= KEY_EVENT_FRESH_CONNECTION;
                }
                if (p->fresh_token) {
                        q->flags |= VAULT_FLAG_FRESH_TOKEN;
                        k->poll_flags |= KEY_EVENT_FRESH_TOKEN;
                }
                r = worker_ask(k->manager->worker, q, -EBADF, on_answer, k);
        }
        if (r < 0)
                log_error("Key %s: no challenge could be made: %s; its lease goes on running out", k->uri_text, strerror(-r));
}

static void look(struct key *k, bool restored) {
        struct instant now = instant_now();
        struct key_poll p;
        struct volume *v, *next;

        if (key_track_look(&k->track, now, restored)) {
                log_warning("Key %s: %s; it is polled at once", k->uri_text,
                            restored ? "this machine was restored" : "a clock jumped");
                record_answer(k, restored ? "restored" : "clock_jump", k->track.last, LOG_WARNING);
        }
        key_track_next(&k->track, &k->timing, &p);
        /* the vault knows nothing of a connection of before */
        p.fresh_connection |= restored;
        if (p.at_boottime_usec <= now.boottime_usec)
                poll_key(k, &p);
        for (v = LIST_FIRST(&k->volumes); v; v = next) {
                next = LIST_NEXT(v, of_key);
                key_evaluate_volume(v);
        }
        key_schedule(k);
}

void key_look(struct key *k) {
        look(k, false);
}

void key_restored(struct key *k) {
        look(k, true);
}

static int on_timer(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        key_look(user);
        return 0;
}

void key_schedule(struct key *k) {
        struct instant now = instant_now();
        struct key_poll p;
        uint64_t at;
        struct volume *v;
        int r;

        key_track_next(&k->track, &k->timing, &p);
        at = p.at_boottime_usec;
        LIST_FOREACH(v, &k->volumes, of_key) {
                struct lease_decision d;

                lease_decide(&v->lease, &k->track, &v->policy, now, &d);
                at = MIN_OF(at, d.wake_boottime_usec);
        }
        /* Never at once again and again: what is overdue gets a turn of the loop, and a breath. */
        at = MAX_OF(at, now.boottime_usec + 10 * USEC_PER_MSEC);
        if (k->timer)
                r = sd_event_source_set_time(k->timer, at);
        else
                r = sd_event_add_time(k->manager->event, &k->timer, CLOCK_BOOTTIME, at, USEC_PER_MSEC, on_timer, k);
        if (r >= 0)
                r = sd_event_source_set_enabled(k->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_alert("Key %s: no timer: %s; the breaker will cut its volumes", k->uri_text, strerror(-r));
}

static void set_breaker(struct volume *v, const struct lease_decision *d) {
        struct breaker_slot s = {
                .sectors = v->sectors, .deadline_boottime_usec = d->deadline.boottime_usec,
                .deadline_realtime_usec = d->deadline.realtime_usec, .action = (uint32_t) d->deadline_action,
                .state = BREAKER_ARMED,
        };

        volume_dm_uuid(v, s.dm_uuid);
        snprintf(s.name, sizeof(s.name), "%s", v->name);
        /* Once its error table is verified there is nothing left for the breaker to do. */
        if ((d->deadline.boottime_usec == 0 && d->deadline.realtime_usec == 0) || teardown_is_cut(v)) {
                if (v->breaker_set && breaker_clear(v->manager->breaker, s.dm_uuid) >= 0)
                        v->breaker_set = false;
                return;
        }
        if (breaker_set(v->manager->breaker, &s) >= 0)
                v->breaker_set = true;
}

static void tell_breaker(struct volume *v) {
        struct lease_decision d;

        if (!v->key)
                return;
        lease_decide(&v->lease, &v->key->track, &v->policy, instant_now(), &d);
        set_breaker(v, &d);
}

void key_used(struct volume *v, struct instant issued) {
        v->lease.used = issued;
        tell_breaker(v);
}

void key_not_used(struct volume *v) {
        v->lease.used = (struct instant) {};
        tell_breaker(v);
}

static void report(struct volume *v, const struct lease_decision *d) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        log_alert("%s: %s; reported, nothing is done about it%s%s", v->name, lease_cause_to_string(d->cause),
                  d->why ? ": " : "", strempty(d->why));
        if (!r)
                return;
        manager_record_start(r, v, "reported", LOG_ALERT, false);
        audit_record_add(r, "cause", lease_cause_to_string(d->cause));
        audit_record_add(r, "why", d->why);
        if (v->key)
                manager_record_reply(r, &v->key->answer);
        manager_record(v->manager, r);
}

/* The end of what the manager started by itself: success speaks for itself, a failure is said once. */
static void on_own_operation(const struct outcome *o, void *user _unused_) {
        if (o->code != EXIT_CODE_DONE)
                log_warning("%s", o->message);
}

/* While an operation is under way only something stronger than it may begin: closing the volume; a notice can end. */
static bool may_overtake(const struct volume *v, enum lease_verb verb) {
        bool closes = verb == LEASE_CUT || verb == LEASE_POWEROFF || verb == LEASE_REBOOT;

        switch (v->state) {
        case VOLUME_HOLDING:
        case VOLUME_RESUMING:
        case VOLUME_DETACHING:
                return closes;
        case VOLUME_NOTICE:
                return verb == LEASE_CALL_OFF;
        default:
                return false;
        }
}

void key_evaluate_volume(struct volume *v) {
        static const struct requester self = { "cmkd: the key is enabled again" }, hold = { "cmkd: policy" };
        struct lease_decision d;
        int r = 0;

        pause_look(v);
        if (!v->key)
                return;
        lease_decide(&v->lease, &v->key->track, &v->policy, instant_now(), &d);
        lease_volume_note(&v->lease, &d);
        set_breaker(v, &d);
        if (volume_is_in_transit(v) && !may_overtake(v, d.verb))
                return;
        switch (d.verb) {
        case LEASE_NOTHING:
                break;
        case LEASE_REPORT:
                report(v, &d);
                break;
        case LEASE_HOLD:
                v->cause = d.cause;
                r = hold_start(v->manager, v, &hold, on_own_operation, NULL);
                break;
        case LEASE_CUT:
        case LEASE_POWEROFF:
        case LEASE_REBOOT: {
                enum action a = d.verb == LEASE_CUT ? ACTION_CUT : d.verb == LEASE_REBOOT ? ACTION_REBOOT : ACTION_POWEROFF;

                r = teardown_start(v, a, d.cause, d.why);
                break;
        }
        case LEASE_RESUME:
                r = resume_start(v, &self, on_own_operation, NULL);
                break;
        case LEASE_CALL_OFF:
                teardown_call_off(v, d.why ? d.why : "the key is enabled again");
                break;
        case LEASE_ATTACH:
                r = attach_start(v->manager, v->name, 0, &self, on_own_operation, NULL);
                break;
        default:
                r = -EINVAL;
        }
        if (r < 0)
                log_error("%s: %s could not be started: %s", v->name, lease_verb_to_string(d.verb), strerror(-r));
}

static void retime(struct key *k) {
        struct volume *v;
        bool first = true;

        key_timing_init(&k->timing);
        LIST_FOREACH(v, &k->volumes, of_key) {
                key_timing_add(&k->timing, &v->policy, first);
                first = false;
        }
}

void key_policy_changed(struct key *k) {
        struct volume *v, *next;

        retime(k);
        for (v = LIST_FIRST(&k->volumes); v; v = next) {
                next = LIST_NEXT(v, of_key);
                key_evaluate_volume(v);
        }
        key_schedule(k);
}

static struct key *find_key(struct manager *m, const struct key_uri *u, const struct disk_reply *h) {
        char text[KEY_URI_MAX];
        struct key *k;

        key_uri_format(u, text, sizeof(text));
        LIST_FOREACH(k, &m->keys, keys)
                if (streq(k->uri_text, text) && k->spki_size == h->spki_size && memcmp(k->spki, h->spki, h->spki_size) == 0)
                        return k;
        return NULL;
}

int key_bind(struct manager *m, struct volume *v, const struct key_uri *u, const struct vault_config *vault) {
        const struct trust_entry *t = trust_find_uuid(m->trust, v->uuid);
        struct key *k = find_key(m, u, &v->header);
        int r;

        r = challenge_check_key(v->header.spki, v->header.spki_size, NULL);
        if (r < 0)
                return -EINVAL;
        if (!k) {
                k = calloc(1, sizeof(*k));
                if (!k)
                        return -ENOMEM;
                k->manager = m;
                k->uri = *u;
                key_uri_format(u, k->uri_text, sizeof(k->uri_text));
                snprintf(k->vault, sizeof(k->vault), "%s", vault->name);
                snprintf(k->algorithm, sizeof(k->algorithm), "%s", v->header.algorithm);
                memcpy(k->spki, v->header.spki, v->header.spki_size);
                k->spki_size = v->header.spki_size;
                attributes_init(&k->attributes);
                attributes_mark_read(v->uuid, &k->attributes);
                LIST_INIT(&k->volumes);
                key_track_init(&k->track, t && t->proof_time > 0, instant_now());
                LIST_INSERT_HEAD(&m->keys, k, keys);
        }
        if (v->key != k) {
                key_unbind(v);
                v->key = k;
                LIST_INSERT_HEAD(&k->volumes, v, of_key);
                manager_volume_policy(m, v);       /* the owner's floors hold for it too */
                attributes_mark_write(v->uuid, &k->attributes);
        }
        retime(k);
        key_schedule(k);
        return 0;
}

void key_unbind(struct volume *v) {
        struct key *k = v->key;

        if (!k)
                return;
        LIST_REMOVE(v, of_key);
        v->key = NULL;
        if (LIST_EMPTY(&k->volumes))
                key_free(k);
        else
                retime(k);
}

struct key *key_free(struct key *k) {
        if (!k)
                return NULL;
        worker_cancel(k->manager->worker, k);
        worker_cancel(k->manager->worker, &k->attributes);
        LIST_REMOVE(k, keys);
        challenge_free(k->challenge);
        sd_event_source_disable_unref(k->timer);
        free(k);
        return NULL;
}
