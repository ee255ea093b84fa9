/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the tests of lease.c share: one key, one volume, two clocks that only move when they are told to. */

#include "manager/lease.h"

#define SEC USEC_PER_SEC
#define FRESH (KEY_EVENT_FRESH_CONNECTION|KEY_EVENT_FRESH_TOKEN)

static const struct instant zero = { 1000 * SEC, 1700000000 * SEC };

struct world {
        struct key_track k;
        struct key_timing t;
        struct policy p;
        struct lease_volume v;
        struct instant now;
        struct lease_decision d;
};

static inline void pass(struct world *w, uint64_t usec) {
        w->now.boottime_usec += usec;
        w->now.realtime_usec += usec;
}

static inline enum verdict tell_at(struct world *w, enum verdict v, uint32_t flags, struct instant issued) {
        struct key_event e = { .verdict = v, .flags = flags, .issued = issued };

        return key_track_event(&w->k, &w->t, &e, w->now, 0);
}

static inline enum verdict tell(struct world *w, enum verdict v, uint32_t flags) {
        return tell_at(w, v, flags, w->now);
}

static inline enum lease_verb decide(struct world *w) {
        const struct lease_keys keys = { .keys = { { .track = &w->k } }, .n = 1 };

        lease_decide(&w->v, &keys, &w->p, w->now, &w->d);
        return w->d.verb;
}

/* An open volume of that role, whose key was granted right now. */
static inline void begin(struct world *w, enum role role) {
        *w = (struct world) { .now = zero };
        policy_default(role, &w->p);
        key_timing_init(&w->t);
        key_timing_add(&w->t, &w->p, true);
        key_track_init(&w->k, true, w->now);
        tell(w, VERDICT_GRANTED, 0);
        w->v.hold_possible = role == ROLE_DATA;
        pass(w, 1);
        lease_volume_enter(&w->v, LEASE_OPEN, CAUSE_NONE, w->now);
}

static inline void revoke(struct world *w) {
        tell(w, VERDICT_REVOKED, 0);
        pass(w, w->p.confirm_usec);
        tell(w, VERDICT_REVOKED, KEY_EVENT_FRESH_CONNECTION);
}

static inline void deny(struct world *w) {
        for (int i = 0; i < 3; i++) {
                tell(w, VERDICT_DENIED, FRESH);
                if (i < 2)
                        pass(w, w->p.denied_confirm_usec / 2);
        }
}

static inline void bring_key_to(struct world *w, enum key_state s) {
        switch (s) {
        case KEY_GRANTED:
                break;
        case KEY_SILENT:
                tell(w, VERDICT_UNREACHABLE, 0);
                break;
        case KEY_REVOKED_ONCE:
                tell(w, VERDICT_REVOKED, 0);
                break;
        case KEY_REVOKED:
                revoke(w);
                break;
        case KEY_DENIED_ONCE:
                tell(w, VERDICT_DENIED, FRESH);
                break;
        case KEY_DENIED:
                deny(w);
                break;
        default:
                key_track_init(&w->k, true, w->now);
        }
        assert_int_equal(w->k.state, s);
}
