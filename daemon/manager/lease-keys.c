/* SPDX-License-Identifier: Apache-2.0 */
#include "lease-keys.h"

#include "instants.h"

static const struct key_track silent_for_ever = { .state = KEY_SILENT };

static const struct key_track *track_of(const struct lease_key *k) {
        return k->track ? k->track : &silent_for_ever;
}

bool lease_key_granted(const struct lease_key *k, struct instant *ret) {
        const struct key_track *t = track_of(k);
        bool adopted = t->n_granted == 0 && k->adopted.boottime_usec > 0;

        if (t->has_grant)
                *ret = adopted ? instant_earlier(t->granted, k->adopted) : t->granted;
        return t->has_grant;
}

static bool says_no(const struct key_track *t) {
        return t->revoked_sure || t->denied_sure;
}

static bool has_bad_news(const struct key_track *t) {
        return t->revoked_seen || t->denied_seen;
}

/* From when this key's silence counts. False: it never said yes, and nobody else did. */
static bool counts_from(const struct lease_key *k, bool others_granted, struct instant *ret) {
        if (lease_key_granted(k, ret))
                return true;
        if (!others_granted || k->begun.boottime_usec == 0)
                return false;
        *ret = k->begun;
        return true;
}

static bool is_spent(const struct lease_key *k, const struct policy *p, bool others_granted, struct instant now) {
        struct instant from;

        return !counts_from(k, others_granted, &from) || instant_elapsed(from, now) >= p->lease_usec + p->grace_usec;
}

/* The owner has said yes again since then, and that is still fresh. */
static bool is_granted_since(const struct lease_key *k, struct instant since, const struct policy *p, struct instant now) {
        struct instant granted;

        return lease_key_granted(k, &granted) && !has_bad_news(track_of(k)) && instant_is_older(since, granted) &&
               instant_elapsed(granted, now) < p->lease_usec;
}

static void add_up_any(const struct lease_keys *k, struct instant since, const struct policy *p, struct instant now,
                       struct lease_sum *s) {
        bool one_granted = false, against = false;

        for (unsigned i = 0; i < k->n; i++)
                one_granted |= track_of(k->keys + i)->has_grant;
        s->has_lease = true;
        for (unsigned i = 0; i < k->n; i++) {
                const struct key_track *t = track_of(k->keys + i);
                struct instant from;

                s->revoked |= t->revoked_sure;
                s->denied |= t->denied_sure;
                s->granted |= is_granted_since(k->keys + i, since, p, now);
                against |= has_bad_news(t) || is_spent(k->keys + i, p, one_granted, now);
                if (!counts_from(k->keys + i, one_granted, &from))
                        s->has_lease = false;
                else if (i == 0 || instant_elapsed(from, now) > instant_elapsed(s->lease, now))
                        s->lease = from;
        }
        s->granted = s->granted && !against;
}

static void add_up_all(const struct lease_keys *k, struct instant since, const struct policy *p, struct instant now,
                       struct lease_sum *s) {
        bool all_say_no = true;

        s->revoked = true;
        for (unsigned i = 0; i < k->n; i++) {
                const struct key_track *t = track_of(k->keys + i);

                s->revoked = s->revoked && t->revoked_sure;
                s->denied |= t->denied_sure;
                s->granted |= is_granted_since(k->keys + i, since, p, now);
                all_say_no = all_say_no && says_no(t);
        }
        s->denied = s->denied && all_say_no;
        for (unsigned i = 0; i < k->n; i++) {
                struct instant granted;

                if (!lease_key_granted(k->keys + i, &granted) || (says_no(track_of(k->keys + i)) && !all_say_no))
                        continue;
                if (!s->has_lease || instant_elapsed(granted, now) < instant_elapsed(s->lease, now))
                        s->lease = granted;
                s->has_lease = true;
        }
}

void lease_keys_add_up(const struct lease_keys *k, struct instant since, const struct policy *p, struct instant now,
                       struct lease_sum *ret) {
        struct lease_sum s = {};

        if (p->revoke == REVOKE_ALL)
                add_up_all(k, since, p, now, &s);
        else
                add_up_any(k, since, p, now, &s);
        *ret = s;
}

bool lease_keys_revocation_pending(const struct lease_keys *k, const struct policy *p) {
        unsigned seen = 0;

        for (unsigned i = 0; i < k->n; i++)
                seen += track_of(k->keys + i)->revoked_seen;
        return p->revoke == REVOKE_ALL ? seen == k->n : seen > 0;
}

unsigned lease_keys_telling(const struct lease_keys *k, const struct policy *p) {
        static const unsigned ranks[_KEY_STATE_MAX] = {
                [KEY_GRANTED] = 0, [KEY_SILENT] = 1, [KEY_UNKNOWN] = 2, [KEY_DENIED_ONCE] = 3, [KEY_DENIED] = 4,
                [KEY_REVOKED_ONCE] = 5, [KEY_REVOKED] = 6,
        };
        unsigned best = k->n, rank = 0;

        for (unsigned i = 0; i < k->n; i++) {
                unsigned r = ranks[track_of(k->keys + i)->state];

                if (!k->keys[i].track)         /* it has nothing to tell */
                        continue;
                if (best == k->n || (p->revoke == REVOKE_ALL ? r < rank : r > rank)) {
                        best = i;
                        rank = r;
                }
        }
        return best < k->n ? best : 0;
}
