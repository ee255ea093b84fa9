/* SPDX-License-Identifier: Apache-2.0 */
#include "key.h"

#include <syslog.h>

#include "attributes-mark.h"
#include "common/log.h"
#include "key-attributes.h"
#include "manager.h"
#include "open-mark.h"
#include "stored.h"
#include "unit-return.h"
#include "wrap.h"

static int on_timer(sd_event_source *s, uint64_t usec, void *user);

static uint32_t random_u32(void) {
        uint32_t v;

        random_bytes(&v, sizeof(v));
        return v;
}

static void record_answer(struct key *k, const char *event, enum verdict counted, uint8_t priority) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        const struct wrap *w;
        char why[200];

        if (!r)
                return;
        audit_record_start(r, event, priority, false);
        audit_record_add(r, "key", k->uri_text);
        manager_record_reply(r, &k->answer);
        audit_record_add(r, "counted_as", verdict_to_string(counted));
        if (stored_text(&k->answer, instant_now().realtime_usec / USEC_PER_SEC, why, sizeof(why)))
                audit_record_add(r, "why", why);
        audit_record_add(r, "key_state", key_state_to_string(k->track.state));
        w = LIST_FIRST(&k->wraps);
        if (w)
                audit_record_add(r, "volume", w->volume->name);
        manager_record(k->manager, r);
}

static void record_polls(struct key *k) {
        _cleanup_(freep) struct audit_message_record *r = k->polls.n > 0 ? malloc(sizeof(*r)) : NULL;

        if (!r)
                return;
        poll_log_take(&k->polls, k->uri_text, r);
        manager_record(k->manager, r);
}

/* The next manager's lease counts from there too, whatever the breaker was told; and what was stopped may come back. */
static void write_marks(const struct key *k) {
        const struct wrap *w;

        LIST_FOREACH(w, &k->wraps, of_key)
                if (w->volume->state == VOLUME_ATTACHED) {
                        open_mark_granted(w->volume);
                        unit_return_look(w->volume, false);
                }
}

static bool is_wanted(const struct key *k) {
        return !LIST_EMPTY(&k->wraps) || k->waiters || k->telling;
}

/* The key may be gone afterwards: without a volume it stays only as long as somebody waits. */
static void tell_waiters(struct key *k) {
        struct vault_reply y = k->answer;
        struct key_waiter *w;

        /* who comes while this goes on waits for the next answer; who is told may take back what he waits for elsewhere */
        k->told = TAKE_PTR(k->waiters);
        k->telling = true;
        while ((w = k->told)) {
                k->told = w->next;
                w->done(&y, w->user);
        }
        k->telling = false;
        if (!is_wanted(k))
                key_free(k);
}

static bool take_waiter(struct key_waiter **list, const struct key_waiter *w) {
        for (; *list; list = &(*list)->next)
                if (*list == w) {
                        *list = w->next;
                        return true;
                }
        return false;
}

void key_forget_waiter(struct key *k, struct key_waiter *w) {
        if (!take_waiter(&k->waiters, w))
                (void) take_waiter(&k->told, w);
        if (!is_wanted(k))
                key_free(k);
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

        counted = key_track_event(&k->track, &k->timing, &e, instant_now(), random_u32());
        if (counted == VERDICT_GRANTED) {
                write_marks(k);
                key_attributes_look(k);
                follow_look(k);
        }
        if (counted != last || k->track.state != before) {
                record_polls(k);
                record_answer(k, "verdict", counted, counted == VERDICT_GRANTED ? LOG_NOTICE : LOG_WARNING);
        }
        if (counted != last)
                log_full(counted == VERDICT_GRANTED ? LOG_NOTICE : LOG_WARNING, "Key %s: %s (%s: %s)", k->uri_text,
                         verdict_to_string(counted), k->answer.code, k->answer.text);
        key_evaluate(k);
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
        if (y->verdict == VERDICT_GRANTED) {
                flags |= KEY_EVENT_LISTED_DELETED;
                k->answer.expires = y->expires;
        }
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
        if (k->stored && op != VAULT_OP_GET_KEY) {
                q->stored = true;
                memcpy(q->volume, k->stored_volume, sizeof(q->volume));
                memcpy(q->digest, k->stored_digest, sizeof(q->digest));
        }
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
                poll_log_granted(&k->polls);
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
                r = challenge_new(k->algorithm, k->spki, k->spki_size, &k->challenge);
        if (r >= 0) {
                key_fill_request(k, VAULT_OP_UNWRAP, q);
                anchoring_next(&k->manager->anchoring, q->client_request_id);
                if (poll_log_is_due(&k->polls, now_boottime_usec()))
                        record_polls(k);
                poll_log_asked(&k->polls, q->client_request_id, now_boottime_usec());
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
        key_evaluate(k);
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
        struct wrap *w;
        int r;

        key_track_next(&k->track, &k->timing, &p);
        at = p.at_boottime_usec;
        LIST_FOREACH(w, &k->wraps, of_key) {
                const struct volume *v = w->volume;
                struct lease_decision d;
                struct lease_keys keys;

                wraps_lease_keys(v, &keys);
                lease_decide(&v->lease, &keys, &v->policy, now, &d);
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

void key_evaluate(struct key *k) {
        struct wrap *w, *next;

        for (w = LIST_FIRST(&k->wraps); w; w = next) {
                next = LIST_NEXT(w, of_key);
                key_evaluate_volume(w->volume);
        }
}

static void retime(struct key *k) {
        struct wrap *w;
        bool first = true;

        key_timing_init(&k->timing);
        LIST_FOREACH(w, &k->wraps, of_key) {
                key_timing_add(&k->timing, &w->volume->policy, first);
                first = false;
        }
}

void key_policy_changed(struct key *k) {
        retime(k);
        key_evaluate(k);
        key_schedule(k);
}

bool key_has_token(const struct key *k, const struct disk_wrap *h) {
        if (k->stored != h->stored || (h->stored && memcmp(k->stored_digest, h->wrapped, sizeof(k->stored_digest)) != 0))
                return false;
        return streq(k->algorithm, h->algorithm) && k->spki_size == h->spki_size && memcmp(k->spki, h->spki, h->spki_size) == 0;
}

bool key_is_fresh(const struct key *k) {
        uint64_t asked = k->track.asked.boottime_usec;

        return k->track.heard && !k->track.asking && now_boottime_usec() - MIN_OF(asked, now_boottime_usec()) < k->timing.poll_usec;
}

static struct key *find_key(const struct wrap *w, const struct key_uri *u, const struct disk_wrap *h) {
        const struct manager *m = w->volume->manager;
        char text[KEY_URI_MAX];
        struct key *k;

        key_uri_format(u, text, sizeof(text));
        LIST_FOREACH(k, &m->keys, keys)
                if (streq(k->uri_text, text) && key_has_token(k, h) && (!k->stored || streq(k->stored_volume, w->volume->uuid)))
                        return k;
        return NULL;
}

static struct key *key_new(struct wrap *w, const struct disk_wrap *h, const struct key_uri *u, const struct vault_config *vault) {
        struct manager *m = w->volume->manager;
        const struct trust_entry *t = trust_find_uuid(m->trust, w->volume->uuid);
        const struct trust_key *listed = !t ? NULL : t->n_keys == 1 ? t->keys : trust_find_key(t, u);
        struct key *k = calloc(1, sizeof(*k));

        if (!k)
                return NULL;
        k->manager = m;
        k->uri = *u;
        key_uri_format(u, k->uri_text, sizeof(k->uri_text));
        snprintf(k->vault, sizeof(k->vault), "%s", vault->name);
        snprintf(k->algorithm, sizeof(k->algorithm), "%s", h->algorithm);
        memcpy(k->spki, h->spki, h->spki_size);
        k->spki_size = h->spki_size;
        k->stored = h->stored;
        if (k->stored) {
                memcpy(k->stored_volume, w->volume->uuid, sizeof(k->stored_volume));
                memcpy(k->stored_digest, h->wrapped, sizeof(k->stored_digest));
        }
        attributes_init(&k->attributes);
        attributes_mark_read(w->volume->uuid, w->uri, &k->attributes);
        LIST_INIT(&k->wraps);
        key_track_init(&k->track, listed && listed->proof_time > 0, instant_now());
        key_timing_init(&k->timing);
        LIST_INSERT_HEAD(&m->keys, k, keys);
        return k;
}

int key_bind(struct wrap *w, const struct disk_wrap *h, const struct key_uri *u, const struct vault_config *vault) {
        struct key *k = find_key(w, u, h);

        if (challenge_check_key(h->algorithm, h->spki, h->spki_size, NULL) < 0)
                return -EINVAL;
        if (!k)
                k = key_new(w, h, u, vault);
        if (!k)
                return -ENOMEM;
        w->key = k;
        LIST_INSERT_HEAD(&k->wraps, w, of_key);
        return 0;
}

void key_bound(struct wrap *w) {
        attributes_mark_write(w->volume->uuid, w->uri, &w->key->attributes);
        retime(w->key);
        key_schedule(w->key);
}

void key_unbind(struct wrap *w) {
        struct key *k = w->key;

        if (!k)
                return;
        LIST_REMOVE(w, of_key);
        w->key = NULL;
        if (!is_wanted(k))
                key_free(k);
        else
                retime(k);
}

struct key *key_free(struct key *k) {
        if (!k)
                return NULL;
        record_polls(k);
        worker_cancel(k->manager->worker, k);
        worker_cancel(k->manager->worker, &k->attributes);
        worker_cancel(k->manager->worker, &k->follow);
        LIST_REMOVE(k, keys);
        challenge_free(k->challenge);
        sd_event_source_disable_unref(k->timer);
        free(k);
        return NULL;
}
