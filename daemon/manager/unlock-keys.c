/* SPDX-License-Identifier: Apache-2.0 */

/* The part of an unlock that asks vaults: the volume's keys one after the other, until one is granted; then what the owners of
 * the others say, as far as it can be had in time. */

#include <fcntl.h>
#include <syslog.h>
#include <unistd.h>

#include "common/log.h"
#include "key-attributes.h"
#include "lease-keys.h"
#include "manager.h"
#include "stored.h"
#include "unlock.h"

static void try_key(struct unlock *u);

static const struct disk_wrap *wrap_of(const struct unlock *u) {
        return u->header.wraps + u->tries.at[u->at];
}

/* The bound key whose turn it is; NULL where the verb is about the header alone. */
static struct key *key_of(const struct unlock *u) {
        for (unsigned i = 0; i < u->volume->n_wraps; i++)
                if (streq(u->volume->wraps[i]->uri, wrap_of(u)->key))
                        return u->volume->wraps[i]->key;
        return NULL;
}

/* The same; there by which the volume itself is polled, where it is. */
static struct key *polled_key(const struct unlock *u) {
        const struct volume *v = u->verb->header_only ? manager_volume_by_uuid(u->manager, u->volume->uuid) : NULL;

        for (unsigned i = 0; v && i < v->n_wraps; i++)
                if (streq(v->wraps[i]->uri, wrap_of(u)->key))
                        return v->wraps[i]->key;
        return key_of(u);
}

/* OnKeyExpiry=revoke: its vault would unwrap with an expired key. */
static bool expiry_revokes(const struct unlock *u) {
        const struct key *k = polled_key(u);
        struct policy p;

        if (k || !u->verb->header_only)
                return k && k->timing.expiry_revokes;
        return policy_make(u->manager->config, u->volume->role, u->volume->name, NULL, &p, NULL) >= 0 && p.on_key_expiry == KEY_EXPIRY_REVOKE;
}

void unlock_record_request(struct unlock *u) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        manager_record_start(r, u->volume, "request", LOG_INFO, false);
        audit_record_add(r, "verb", u->verb->name);
        audit_record_add(r, "device", u->device);
        audit_record_add(r, "vault", u->vault->name);
        audit_record_addf(r, "generation", "%llu", (unsigned long long) wrap_of(u)->generation);
        audit_record_add(r, "by", u->who.text);
        if (u->automatic)
                audit_record_add(r, "trigger", "udev");
        manager_record(u->manager, r);
}

/* ---- who says no ---- */

/* Of several answers: an owner who may still say yes is worth waiting for, else a plain no. */
static enum exit_code weightier(enum exit_code a, enum exit_code b) {
        static const int weights[_EXIT_CODE_MAX] = {
                [EXIT_CODE_UNREACHABLE] = 3, [EXIT_CODE_REVOKED] = 2, [EXIT_CODE_FAILED] = 1,
        };

        return weights[b] > weights[a] ? b : a;
}

static void record_refusal(struct unlock *u) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        manager_record_start(r, u->volume, "verdict", LOG_WARNING, false);
        audit_record_add(r, "verb", u->verb->name);
        audit_record_add(r, "why", "the next of its keys is tried");
        manager_record_reply(r, &u->answer);
        manager_record(u->manager, r);
}

/* Whatever the other owners say: opened by their keys it would be cut as soon as this REVOKED is confirmed, and a header is not
 * changed past an owner who says so. */
static bool decides_alone(const struct unlock *u) {
        const struct volume *v = u->volume;

        if (u->answer.verdict != VERDICT_REVOKED)
                return false;
        if (u->verb->header_only)
                return u->revoke == REVOKE_ANY;
        return v->policy.revoke == REVOKE_ANY &&
               policy_effective_action(&v->policy, v->policy.on_revoked, v->lease.hold_possible, NULL) != ACTION_REPORT;
}

static void note_refusal(struct unlock *u, enum exit_code code, const char *what, const char *detail) {
        size_t n = strlen(u->refusals);

        u->refusal_code = weightier(u->refusal_code, code);
        snprintf(u->refusals + n, sizeof(u->refusals) - n, "%skey %s: %s%s%s%s", n > 0 ? "; " : "", wrap_of(u)->key, what,
                 *detail ? " (" : "", detail, *detail ? ")" : "");
}

/* This key does not open it, by what u->answer says: the next one's turn, if it may be opened by that. */
static void refused_by_key(struct unlock *u) {
        bool last = u->at + 1 == u->tries.n;
        struct outcome o = {}, all = {};

        u->answered = true;
        outcome_from_vault(&o, u->volume->name, wrap_of(u)->key, &u->answer);
        if (!last && !decides_alone(u)) {
                record_refusal(u);
                note_refusal(u, o.code, verdict_to_string(u->answer.verdict), u->answer.code);
                u->at++;
                try_key(u);
                return;
        }
        if (!*u->refusals) {
                unlock_fail(u, &o, "verdict");
                return;
        }
        outcome_set(&all, decides_alone(u) ? o.code : weightier(o.code, u->refusal_code), "%s; before it, %s", o.message,
                    u->refusals);
        unlock_fail(u, &all, "verdict");
}

bool unlock_try_next(struct unlock *u, const struct disk_reply *y) {
        if (y->error != -ENOKEY || u->at + 1 == u->tries.n)
                return false;
        log_alert("%s: %s; the next of its keys is tried", u->volume->name, y->message);
        note_refusal(u, EXIT_CODE_FAILED, y->message, "");
        u->at++;
        try_key(u);
        return true;
}

/* ---- what the others say ---- */

void unlock_forget_others(struct unlock *u) {
        u->others_timer = sd_event_source_disable_unref(u->others_timer);
        for (unsigned i = 0; i < DISK_WRAPS_MAX; i++)
                if (u->others[i].key)
                        key_forget_waiter(TAKE_PTR(u->others[i].key), &u->others[i].waiter);
}

static void refused_by_other(struct unlock *u, enum lease_cause cause) {
        const struct key *k = wraps_telling_key(u->volume);
        struct outcome o = {};

        if (cause == CAUSE_EXPIRED || !k) {
                outcome_set(&o, EXIT_CODE_UNREACHABLE, "%s: not opened: with Revoke=any each of its owners has to be heard, and "
                            "key %s has been silent for longer than lease and grace (%s)", u->volume->name,
                            k ? k->uri_text : "that this node does not allow", k ? verdict_to_string(k->answer.verdict) : "not asked");
                unlock_fail(u, &o, "refused");
                return;
        }
        u->answer = k->answer;
        u->answer.verdict = cause == CAUSE_REVOKED ? VERDICT_REVOKED : VERDICT_DENIED;
        outcome_from_vault(&o, u->volume->name, k->uri_text, &u->answer);
        unlock_fail(u, &o, "verdict");
}

static void decide(struct unlock *u) {
        struct volume *v = u->volume;
        struct lease_keys keys;
        enum lease_cause cause;

        unlock_forget_others(u);
        wraps_lease_keys(v, &keys);
        cause = lease_forbids_opening(&keys, &v->policy, v->lease.hold_possible, instant_now());
        if (cause != CAUSE_NONE)
                refused_by_other(u, cause);
        else
                unlock_release(u, &u->answer);
}

static void on_other(const struct vault_reply *y _unused_, void *user) {
        struct unlock_other *other = user;
        struct unlock *u = other->unlock;

        other->key = NULL;
        for (unsigned i = 0; i < DISK_WRAPS_MAX; i++)
                if (u->others[i].key)
                        return;
        decide(u);
}

static int on_others_late(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        decide(user);
        return 0;
}

/* A header is not changed by one owner's yes where another has just revoked the volume that it is of. */
static bool is_known_revoked(const struct unlock *u) {
        const struct volume *v = manager_volume_by_uuid(u->manager, u->volume->uuid);
        struct lease_keys keys;

        if (!u->verb->header_only || !v || v->n_wraps < 2)
                return false;
        wraps_lease_keys(v, &keys);
        return lease_keys_revocation_pending(&keys, &v->policy);
}

/* With Revoke=all the yes of one owner is enough, and nobody is waited for. */
static void ask_others(struct unlock *u) {
        struct volume *v = u->volume;
        bool asked = false;

        if (is_known_revoked(u)) {
                struct outcome o = {};

                outcome_set(&o, EXIT_CODE_REVOKED, "%s: the owner of another of its keys has revoked it, and Revoke=any", v->name);
                unlock_fail(u, &o, "verdict");
                return;
        }
        if (u->verb->header_only || v->n_wraps == 1) {
                unlock_release(u, &u->answer);
                return;
        }
        for (unsigned i = 0; i < v->n_wraps && v->policy.revoke == REVOKE_ANY; i++) {
                struct unlock_other *other = u->others + i;
                struct key *k = v->wraps[i]->key;

                other->unlock = u;
                other->waiter = (struct key_waiter) { .done = on_other, .user = other };
                if (!k || k == key_of(u) || key_is_fresh(k) || key_prove(k, &other->waiter))
                        continue;
                other->key = k;
                asked = true;
        }
        if (!asked)
                decide(u);
        else if (sd_event_add_time_relative(u->manager->event, &u->others_timer, CLOCK_BOOTTIME, UNLOCK_OTHERS_USEC, 0,
                                            on_others_late, u) < 0) {
                struct outcome o = {};

                outcome_set(&o, EXIT_CODE_FAILED, "%s: out of memory", v->name);
                unlock_fail(u, &o, "failed");
        }
}

/* ---- one key ---- */

static void on_proven(const struct vault_reply *y, void *user) {
        struct unlock *u = user;

        if (y->verdict == VERDICT_GRANTED) {
                ask_others(u);
                return;
        }
        u->answer = *y;
        refused_by_key(u);
}

static void on_unwrapped(const struct vault_reply *y, void *user) {
        struct unlock *u = user;
        struct key *k = key_of(u);

        u->answer = *y;
        u->answered = true;
        if (y->verdict != VERDICT_GRANTED || y->delivered != DISK_W_SIZE) {
                if (y->verdict == VERDICT_GRANTED)
                        u->answer.verdict = VERDICT_BROKEN;
                refused_by_key(u);
                return;
        }
        if (!k && !u->verb->header_only) {
                struct outcome o = {};

                outcome_set(&o, EXIT_CODE_BUSY, "%s: its keys changed meanwhile: try again", u->volume->name);
                unlock_fail(u, &o, "failed");
                return;
        }
        /* What is about the header alone opens nothing. */
        u->proof = (struct key_waiter) { .done = on_proven, .user = u };
        if (u->verb->header_only || key_prove(k, &u->proof))
                ask_others(u);
}

static void fill_request(const struct unlock *u, enum vault_op op, const struct key_uri *uri, struct vault_request *q) {
        q->op = op;
        q->key = *uri;
        q->timeout_ms = (uint32_t) (u->vault->timeout_usec / USEC_PER_MSEC);
        snprintf(q->vault, sizeof(q->vault), "%s", u->vault->name);
        memcpy(q->client_request_id, u->volume->use_id, sizeof(q->client_request_id));
}

static int unwrap(struct unlock *u, const struct key_uri *uri) {
        _cleanup_(freep) struct vault_request *q = calloc(1, sizeof(*q));
        _cleanup_(closep) int write_end = -EBADF;
        int fds[2];

        if (!q)
                return -ENOMEM;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        safe_close(u->secret_fd);
        u->secret_fd = fds[0];
        write_end = fds[1];
        fill_request(u, VAULT_OP_UNWRAP, uri, q);
        q->flags = VAULT_FLAG_DELIVER;
        wrap_fill_request(wrap_of(u), u->volume->uuid, q);
        u->issued = instant_now();
        return worker_ask(u->manager->worker, q, write_end, on_unwrapped, u);
}

static void on_attributes(const struct vault_reply *y, void *user) {
        struct unlock *u = user;
        struct key *k = polled_key(u);
        struct outcome o = {};
        struct key_uri uri;
        int r;

        u->answer = *y;
        if (!k && !u->verb->header_only) {
                outcome_set(&o, EXIT_CODE_BUSY, "%s: it was cut meanwhile", u->volume->name);
                unlock_fail(u, &o, "failed");
                return;
        }
        if (k)
                key_attributes_take(k, y);
        attributes_judge(&u->answer, true, instant_now());
        if (u->answer.verdict != VERDICT_GRANTED) {
                refused_by_key(u);
                return;
        }
        r = unlock_check_key(u, &uri, &o);         /* the configuration may be another by now */
        if (r >= 0) {
                r = unwrap(u, &uri);
                if (r >= 0)
                        return;
                outcome_set(&o, EXIT_CODE_FAILED, "%s: %s", u->volume->name, strerror(-r));
        }
        unlock_fail(u, &o, "failed");
}

static int ask_attributes(struct unlock *u, const struct key_uri *uri) {
        _cleanup_(freep) struct vault_request *q = calloc(1, sizeof(*q));
        struct key *k = polled_key(u);

        if (!q)
                return -ENOMEM;
        if (k) {
                key_fill_request(k, VAULT_OP_GET_KEY, q);
                attributes_asked(&k->attributes, k->track.n_polls, instant_now());
        } else
                fill_request(u, VAULT_OP_GET_KEY, uri, q);
        return worker_ask(u->manager->worker, q, -EBADF, on_attributes, u);
}

static void try_key(struct unlock *u) {
        struct outcome o = {};
        struct key_uri uri;
        int r;

        u->volume->opener = u->tries.at[u->at];
        r = unlock_check_key(u, &uri, &o);
        if (r < 0) {
                unlock_fail(u, &o, "refused");
                return;
        }
        r = expiry_revokes(u) ? ask_attributes(u, &uri) : unwrap(u, &uri);
        if (r < 0) {
                outcome_set(&o, EXIT_CODE_FAILED, "%s: %s", u->volume->name, strerror(-r));
                unlock_fail(u, &o, "failed");
                return;
        }
        unlock_record_request(u);
}

void unlock_try_keys(struct unlock *u) {
        u->at = 0;
        try_key(u);
}
