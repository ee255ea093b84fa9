/* SPDX-License-Identifier: Apache-2.0 */

/* The key's half of lease.h. */

#include "instants.h"
#include "lease.h"

#define DENIED_REPLIES 3u
#define THROTTLED_DOUBLINGS 4u

void key_timing_init(struct key_timing *t) {
        struct policy p;

        policy_default(ROLE_DATA, &p);
        key_timing_add(t, &p, true);
}

void key_timing_add(struct key_timing *t, const struct policy *p, bool first) {
        struct key_timing one = {
                p->poll_usec, p->lease_usec, p->confirm_usec, p->denied_confirm_usec,
                p->on_key_expiry == KEY_EXPIRY_REVOKE,
        };

        if (!first) {
                one.poll_usec = MIN_OF(one.poll_usec, t->poll_usec);
                one.lease_usec = MIN_OF(one.lease_usec, t->lease_usec);
                one.confirm_usec = MIN_OF(one.confirm_usec, t->confirm_usec);
                one.denied_confirm_usec = MIN_OF(one.denied_confirm_usec, t->denied_confirm_usec);
                one.expiry_revokes |= t->expiry_revokes;
        }
        *t = one;
}

void key_track_init(struct key_track *k, bool proven, struct instant now) {
        *k = (struct key_track) { .worked = proven, .looked = now };
}

void key_track_adopt(struct key_track *k, struct instant granted) {
        if (k->n_granted > 0)
                return;
        granted = instant_earlier(granted, k->looked);
        k->granted = k->has_grant ? instant_later(granted, k->granted) : granted;
        k->has_grant = k->worked = true;
        if (k->state == KEY_UNKNOWN)
                k->state = KEY_SILENT;
}

void key_track_asked(struct key_track *k, struct instant now) {
        k->asking = true;
        k->asked = now;
        k->n_polls++;
}

static enum key_state derive_state(const struct key_track *k) {
        if (k->revoked_sure)
                return KEY_REVOKED;
        if (k->denied_sure)
                return KEY_DENIED;
        if (k->revoked_seen)
                return KEY_REVOKED_ONCE;
        if (k->denied_seen)
                return KEY_DENIED_ONCE;
        if (k->heard && k->last == VERDICT_GRANTED)
                return KEY_GRANTED;
        return k->heard || k->has_grant ? KEY_SILENT : KEY_UNKNOWN;
}

static bool is_unlisted(const struct key_event *e) {
        return (e->flags & KEY_EVENT_NOT_FOUND) && !(e->flags & KEY_EVENT_LISTED_DELETED);
}

static void on_granted(struct key_track *k, struct instant issued) {
        if (!k->has_grant || instant_is_older(k->granted, issued))
                k->granted = issued;
        k->has_grant = k->worked = true;
        k->n_granted++;
        /* an answer to a question that is older than the bad news does not undo it */
        if ((k->revoked_seen && instant_is_older(issued, k->revoked_first)) ||
            (k->n_denied > 0 && instant_is_older(issued, k->denied_first)))
                return;
        k->revoked_seen = k->revoked_sure = k->denied_seen = k->denied_sure = false;
        k->n_denied = 0;
}

static void on_revoked(struct key_track *k, const struct key_event *e, struct instant issued) {
        if (!k->revoked_seen) {
                k->revoked_seen = true;
                k->revoked_first = issued;
                return;
        }
        if (!(e->flags & KEY_EVENT_FRESH_CONNECTION) || instant_is_older(issued, k->revoked_first))
                return;
        if (is_unlisted(e) &&
            instant_since(k->revoked_first.boottime_usec, issued.boottime_usec) < POLICY_UNLISTED_USEC)
                return;
        k->revoked_sure = true;
}

static void on_denied(struct key_track *k, const struct key_timing *t, const struct key_event *e,
                      struct instant issued) {
        k->denied_seen = true;
        if (!(e->flags & KEY_EVENT_FRESH_TOKEN))
                return;
        if (k->n_denied == 0)
                k->denied_first = issued;
        else if (instant_is_older(issued, k->denied_first))
                return;
        if (k->n_denied < DENIED_REPLIES)
                k->n_denied++;
        if (k->n_denied == DENIED_REPLIES &&
            instant_since(k->denied_first.boottime_usec, issued.boottime_usec) >= t->denied_confirm_usec)
                k->denied_sure = true;
}

static uint64_t throttled_delay(const struct key_track *k, const struct key_timing *t, uint64_t retry_after,
                                struct instant now) {
        uint64_t delay = t->poll_usec << MIN_OF(k->n_throttled - 1, THROTTLED_DOUBLINGS);
        uint64_t left = k->has_grant ? instant_remaining(k->granted, t->lease_usec, now) : 0;

        /* Once the lease is over the grace runs, however long that is: asked as often as ever, or a vault that is there again would be
         * asked too late. */
        if (left == 0) {
                delay = t->poll_usec;
                left = t->lease_usec;
        }
        left = MAX_OF(left, USEC_PER_SEC);
        delay = MAX_OF(delay, retry_after);
        return MIN_OF(delay, left);
}

/* How soon the bad news that is not certain yet can be made so. */
static uint64_t confirm_delay(const struct key_track *k, const struct key_timing *t, bool unlisted,
                              struct instant now) {
        uint64_t delay = t->confirm_usec, due = 0;

        if (k->revoked_seen && !k->revoked_sure) {
                if (unlisted)
                        due = k->revoked_first.boottime_usec + POLICY_UNLISTED_USEC;
        } else if (k->n_denied > 0)
                due = k->denied_first.boottime_usec +
                      t->denied_confirm_usec * MIN_OF(k->n_denied, DENIED_REPLIES - 1) / (DENIED_REPLIES - 1);
        delay = MAX_OF(delay, instant_since(now.boottime_usec, due));
        return MIN_OF(delay, t->poll_usec);
}

static void schedule(struct key_track *k, const struct key_timing *t, const struct key_event *e, struct instant issued,
                     struct instant now, uint32_t random) {
        bool pending = (k->revoked_seen && !k->revoked_sure) || (k->denied_seen && !k->denied_sure);
        uint64_t at;

        if (k->n_throttled > 0)
                at = now.boottime_usec + throttled_delay(k, t, e->retry_after_usec, now);
        else if (pending)
                at = now.boottime_usec + confirm_delay(k, t, is_unlisted(e), now);
        else {
                uint64_t jitter = (uint64_t) (((__uint128_t) (t->poll_usec / 8) * random) >> 32);

                /* from when it was asked, but with a pause after an answer that took long */
                at = MAX_OF(issued.boottime_usec + t->poll_usec - jitter, now.boottime_usec + t->poll_usec / 4);
        }
        if (e->flags & KEY_EVENT_ATTRIBUTES)
                at = MIN_OF(at, k->next_boottime_usec);
        k->planned_boottime_usec = now.boottime_usec;
        k->next_boottime_usec = at;
}

enum verdict key_track_event(struct key_track *k, const struct key_timing *t, const struct key_event *e,
                             struct instant now, uint32_t random) {
        struct instant issued = instant_earlier(e->issued, now);
        bool refused = e->verdict == VERDICT_REVOKED || e->verdict == VERDICT_DENIED;
        bool stale = refused && k->has_grant && instant_is_older(issued, k->granted);
        bool attributes = e->flags & KEY_EVENT_ATTRIBUTES;
        enum verdict v = refused && !k->worked ? VERDICT_MISCONFIGURED : e->verdict;

        /* attributes may only bring a revocation forward */
        if (attributes && v != VERDICT_REVOKED)
                return v;
        if (!attributes) {
                if (!instant_is_older(issued, k->asked))
                        k->asking = false;
                k->n_throttled = v == VERDICT_THROTTLED ? k->n_throttled + (k->n_throttled < UINT32_MAX) : 0;
        }
        if (v == VERDICT_GRANTED)
                on_granted(k, issued);
        else if (v == VERDICT_REVOKED && !stale)
                on_revoked(k, e, issued);
        else if (v == VERDICT_DENIED && !stale)
                on_denied(k, t, e, issued);
        if (!stale) {
                k->last = v;
                k->heard = true;
        }
        k->state = derive_state(k);
        schedule(k, t, e, issued, now, random);
        return v;
}

bool key_track_is_proven(const struct key_track *k, const struct key_timing *t, struct instant now) {
        return k->state == KEY_GRANTED && k->has_grant && instant_elapsed(k->granted, now) < t->poll_usec;
}

void key_track_hurry(struct key_track *k) {
        k->next_boottime_usec = 0;
}

bool key_track_look(struct key_track *k, struct instant now, bool restored) {
        int64_t boot = (int64_t) (now.boottime_usec - k->looked.boottime_usec);
        int64_t wall = (int64_t) (now.realtime_usec - k->looked.realtime_usec);
        int64_t apart = wall - boot;
        bool jump = restored || boot < 0 || apart > (int64_t) LEASE_JUMP_USEC || apart < -(int64_t) LEASE_JUMP_USEC;

        k->looked = now;
        if (jump) {
                k->next_boottime_usec = 0;
                k->asking = false;
        }
        return jump;
}

void key_track_next(const struct key_track *k, const struct key_timing *t, struct key_poll *ret) {
        uint64_t patience = MIN_OF(LEASE_ASK_USEC, t->lease_usec);
        uint64_t longest = k->n_throttled > 0 ? t->lease_usec : t->poll_usec;
        /* the timing may have become stricter since, by another volume */
        uint64_t next = MIN_OF(k->next_boottime_usec, k->planned_boottime_usec + longest);

        *ret = (struct key_poll) {
                .at_boottime_usec = k->asking ? k->asked.boottime_usec + patience : next,
                .fresh_connection = k->asking || k->denied_seen || (k->revoked_seen && !k->revoked_sure),
                .fresh_token = k->denied_seen || (k->heard && k->last == VERDICT_DENIED_WEAK),
        };
}

const char *key_state_to_string(enum key_state s) {
        static const char *const names[_KEY_STATE_MAX] = {
                "unknown", "granted", "silent", "revoked, to be confirmed", "revoked", "denied, to be confirmed",
                "denied",
        };
        return (unsigned) s < _KEY_STATE_MAX ? names[s] : "?";
}
