/* SPDX-License-Identifier: Apache-2.0 */

/* The volume's half of lease.h. */

#include "lease.h"

#include "instants.h"
#include "lease-keys.h"

static const char paused_text[] = "actions are paused by the operator";

bool lease_cause_is_undone(enum lease_cause c) {
        return c == CAUSE_REVOKED || c == CAUSE_DENIED || c == CAUSE_EXPIRED || c == CAUSE_HELD_TOO_LONG ||
               c == CAUSE_STACK || c == CAUSE_INTERRUPTED;
}

void lease_volume_enter(struct lease_volume *v, enum lease_state state, enum lease_cause cause, struct instant now) {
        v->state = state;
        v->cause = cause;
        v->since = now;
        v->used = (struct instant) {};
        if (state != LEASE_LINGERING)
                v->cut_done = false;
}

void lease_volume_note(struct lease_volume *v, const struct lease_decision *d) {
        if (d->verb == LEASE_REPORT || d->cause == CAUSE_NONE)
                v->reported = d->cause;
}

static bool is_expired(const struct lease_sum *s, const struct policy *p, struct instant now) {
        return !s->has_lease || instant_elapsed(s->lease, now) >= p->lease_usec + p->grace_usec;
}

static bool is_paused(const struct lease_volume *v, struct instant now) {
        return now.boottime_usec < v->paused_until.boottime_usec && now.realtime_usec < v->paused_until.realtime_usec;
}

static enum lease_verb verb_of(enum action a) {
        static const enum lease_verb verbs[_ACTION_MAX] = {
                [ACTION_REPORT] = LEASE_REPORT, [ACTION_HOLD] = LEASE_HOLD, [ACTION_CUT] = LEASE_CUT,
                [ACTION_POWEROFF] = LEASE_POWEROFF, [ACTION_REBOOT] = LEASE_REBOOT,
        };
        return verbs[a];
}

/* The breaker has no hold: where it has to act in the manager's place it cuts. */
static enum breaker_action breaker_of(enum action a) {
        static const enum breaker_action actions[_ACTION_MAX] = {
                [ACTION_REPORT] = BREAKER_ACTION_REPORT, [ACTION_HOLD] = BREAKER_ACTION_CUT,
                [ACTION_CUT] = BREAKER_ACTION_CUT, [ACTION_POWEROFF] = BREAKER_ACTION_POWEROFF,
                [ACTION_REBOOT] = BREAKER_ACTION_REBOOT,
        };
        return actions[a];
}

/* What the key's state and the lease ask for, whatever the volume is doing: the stronger of the two. CAUSE_NONE: no
 * reason to do anything. */
static enum action wanted(const struct lease_volume *v, const struct lease_sum *s, const struct policy *p,
                          struct instant now, struct lease_decision *d) {
        enum action a = ACTION_REPORT, b;
        const char *why;

        if (s->revoked || s->denied) {
                d->cause = s->revoked ? CAUSE_REVOKED : CAUSE_DENIED;
                a = policy_effective_action(p, s->revoked ? p->on_revoked : p->on_denied, v->hold_possible,
                                            &d->why);
        }
        if (s->revoked && s->denied) {
                b = policy_effective_action(p, p->on_denied, v->hold_possible, &why);
                if (action_stronger(a, b) != a) {
                        a = b;
                        d->why = why;
                }
        }
        if (is_expired(s, p, now)) {
                b = policy_effective_action(p, p->on_unreachable, v->hold_possible, &why);
                if (d->cause == CAUSE_NONE || action_stronger(a, b) != a) {
                        d->cause = CAUSE_EXPIRED;
                        d->why = why;
                        a = b;
                }
        }
        return a;
}

static void set_deadline(struct lease_decision *d, struct instant at, enum breaker_action action) {
        if (action == BREAKER_ACTION_REPORT)
                return;
        d->deadline = at;
        d->deadline_action = action;
}

static void wake_in(struct lease_decision *d, struct instant now, uint64_t span) {
        d->wake_boottime_usec = MIN_OF(d->wake_boottime_usec, now.boottime_usec + span);
}

static void wake_at_end_of_pause(const struct lease_volume *v, struct instant now, struct lease_decision *d) {
        if (is_paused(v, now))
                wake_in(d, now, MIN_OF(v->paused_until.boottime_usec - now.boottime_usec,
                                       v->paused_until.realtime_usec - now.realtime_usec));
}

/* What stands until the lease ends, for an open volume that nothing is done to. */
static void watch_lease(const struct lease_volume *v, const struct lease_sum *s, const struct policy *p,
                        struct instant now, struct lease_decision *d) {
        enum action a = policy_effective_action(p, p->on_unreachable, v->hold_possible, NULL);
        struct instant end = now;

        if (s->has_lease)
                end = instant_after(s->lease, p->lease_usec + p->grace_usec);
        if (!is_expired(s, p, now))
                wake_in(d, now, instant_remaining(s->lease, p->lease_usec + p->grace_usec, now));
        wake_at_end_of_pause(v, now, d);
        end = instant_later(end, v->paused_until);
        set_deadline(d, instant_after(end, LEASE_BREAKER_USEC), breaker_of(a));
}

static uint64_t cutting_span(const struct policy *p) {
        return p->notice_usec + LEASE_CUTTING_USEC;
}

static void decide_act(const struct policy *p, enum action a, struct instant now, struct lease_decision *d) {
        d->verb = verb_of(a);
        if (a == ACTION_HOLD)
                set_deadline(d, instant_after(now, LEASE_HOLDING_USEC), BREAKER_ACTION_CUT);
        else
                set_deadline(d, instant_after(now, cutting_span(p)), breaker_of(a));
}

static void report_once(const struct lease_volume *v, struct lease_decision *d) {
        if (d->cause != CAUSE_NONE && d->cause != v->reported)
                d->verb = LEASE_REPORT;
}

/* In a pause what is due waits for its end, and so does the breaker, which then does it if the manager does not. */
static void act_unless_paused(const struct lease_volume *v, const struct policy *p, enum action a, struct instant now,
                              struct lease_decision *d) {
        if (!is_paused(v, now)) {
                decide_act(p, a, now, d);
                return;
        }
        report_once(v, d);
        d->why = paused_text;
        wake_at_end_of_pause(v, now, d);
        /* what an operator holds has no deadline: decide_held() */
        if (v->state != LEASE_HELD || v->cause != CAUSE_OPERATOR)
                set_deadline(d, instant_after(v->paused_until, LEASE_BREAKER_USEC), breaker_of(a));
}

static void decide_open(const struct lease_volume *v, const struct lease_sum *s, const struct policy *p,
                        struct instant now, struct lease_decision *d) {
        enum action a = wanted(v, s, p, now, d);

        if (d->cause == CAUSE_NONE || a == ACTION_REPORT) {
                report_once(v, d);
                watch_lease(v, s, p, now, d);
        } else
                act_unless_paused(v, p, a, now, d);
}

static void decide_holding(const struct lease_volume *v, const struct lease_sum *s, const struct policy *p,
                           struct instant now, struct lease_decision *d) {
        enum action a = wanted(v, s, p, now, d);

        if (d->cause != CAUSE_NONE && action_stronger(a, ACTION_HOLD) != ACTION_HOLD && !is_paused(v, now)) {
                decide_act(p, a, now, d);
                return;
        }
        d->cause = v->cause;
        d->why = NULL;
        /* also in a pause: it was begun before, and half a hold is no state to leave a volume in */
        if (instant_elapsed(v->since, now) >= LEASE_HOLDING_USEC) {
                d->why = "the hold did not come about in time";
                decide_act(p, ACTION_CUT, now, d);
                return;
        }
        wake_in(d, now, instant_remaining(v->since, LEASE_HOLDING_USEC, now));
        set_deadline(d, instant_after(v->since, LEASE_HOLDING_USEC + LEASE_BREAKER_USEC), BREAKER_ACTION_CUT);
}

static void decide_held(const struct lease_volume *v, const struct lease_sum *s, const struct policy *p,
                        struct instant now, struct lease_decision *d) {
        enum action a = wanted(v, s, p, now, d);
        struct instant end;

        if (d->cause != CAUSE_NONE && action_stronger(a, ACTION_HOLD) != ACTION_HOLD) {
                act_unless_paused(v, p, a, now, d);
                return;
        }
        d->cause = v->cause;
        d->why = NULL;
        /* an operator's hold is ended by an operator; the key is wiped already, so there is no deadline */
        if (v->cause == CAUSE_OPERATOR) {
                if (!is_expired(s, p, now))
                        wake_in(d, now, instant_remaining(s->lease, p->lease_usec + p->grace_usec, now));
                return;
        }
        if (s->granted) {
                /* and the end of the hold is no deadline any more: the resume takes its time */
                d->verb = LEASE_RESUME;
                d->cause = CAUSE_NONE;
                watch_lease(v, s, p, now, d);
                return;
        }
        if (instant_elapsed(v->since, now) >= p->hold_usec) {
                d->cause = CAUSE_HELD_TOO_LONG;
                act_unless_paused(v, p, ACTION_CUT, now, d);
                return;
        }
        wake_in(d, now, instant_remaining(v->since, p->hold_usec, now));
        wake_at_end_of_pause(v, now, d);
        end = instant_later(instant_after(v->since, p->hold_usec), v->paused_until);
        set_deadline(d, instant_after(end, LEASE_BREAKER_USEC), BREAKER_ACTION_CUT);
}

/* The action that is being carried out, for the breaker to finish. */
static enum action closing_action(const struct lease_volume *v, const struct policy *p) {
        enum action a = ACTION_CUT;

        if (v->cause == CAUSE_REVOKED)
                a = p->on_revoked;
        else if (v->cause == CAUSE_DENIED)
                a = p->on_denied;
        else if (v->cause == CAUSE_EXPIRED)
                a = p->on_unreachable;
        return policy_effective_action(p, action_stronger(a, ACTION_CUT), v->hold_possible, NULL);
}

/* Notice and teardown: the breaker finishes what takes too long. */
static void decide_closing(const struct lease_volume *v, const struct lease_sum *s, const struct policy *p,
                           struct instant now, struct lease_decision *d) {
        d->cause = v->cause;
        if (v->state == LEASE_NOTICE && lease_cause_is_undone(v->cause) &&
            (s->granted || is_paused(v, now))) {
                d->verb = LEASE_CALL_OFF;
                d->why = s->granted ? NULL : paused_text;
                d->cause = CAUSE_NONE;
                watch_lease(v, s, p, now, d);
                return;
        }
        set_deadline(d, instant_after(v->since, v->state == LEASE_NOTICE ? cutting_span(p) : LEASE_CUTTING_USEC),
                     breaker_of(closing_action(v, p)));
}

/* The breaker holds what would be the volume's deadline already: whoever makes the mapping may be killed once it is there. */
static void watch_use(const struct lease_volume *v, const struct lease_keys *k, const struct lease_sum *s,
                      const struct policy *p, struct lease_decision *d) {
        enum action a = policy_effective_action(p, p->on_unreachable, v->hold_possible, NULL);
        struct instant from = v->used, end;

        /* another owner has been silent for longer */
        if (k->n > 1 && p->revoke == REVOKE_ANY && s->has_lease)
                from = instant_earlier(from, s->lease);
        end = instant_later(instant_after(from, p->lease_usec + p->grace_usec), v->paused_until);

        set_deadline(d, instant_after(end, LEASE_BREAKER_USEC), breaker_of(a));
}

void lease_decide(const struct lease_volume *v, const struct lease_keys *k, const struct policy *p, struct instant now,
                  struct lease_decision *ret) {
        struct lease_decision d = { .wake_boottime_usec = USEC_INFINITY };
        struct lease_sum s;
        enum action a;

        lease_keys_add_up(k, v->since, p, now, &s);
        switch (v->state) {
        case LEASE_OPEN:
                decide_open(v, &s, p, now, &d);
                break;
        case LEASE_HOLDING:
                decide_holding(v, &s, p, now, &d);
                break;
        case LEASE_HELD:
                decide_held(v, &s, p, now, &d);
                break;
        case LEASE_NOTICE:
        case LEASE_CUTTING:
                decide_closing(v, &s, p, now, &d);
                break;
        case LEASE_LINGERING:
                d.cause = v->cause;
                if (!v->cut_done)
                        set_deadline(&d, instant_after(v->since, LEASE_BREAKER_USEC), breaker_of(closing_action(v, p)));
                break;
        case LEASE_RECOVERY:
                a = wanted(v, &s, p, now, &d);
                report_once(v, &d);
                d.why = a != ACTION_REPORT ? "opened without cmkd: not acted on" : NULL;
                break;
        case LEASE_CLOSED:
        default:
                if (lease_cause_is_undone(v->cause) && p->on_reenable == REENABLE_ATTACH && s.granted)
                        d.verb = LEASE_ATTACH;
                break;
        }
        if (v->used.boottime_usec > 0)
                watch_use(v, k, &s, p, &d);
        *ret = d;
}

enum lease_cause lease_forbids_opening(const struct lease_keys *k, const struct policy *p, bool hold_possible,
                                       struct instant now) {
        struct lease_volume v = { .state = LEASE_OPEN, .since = now, .hold_possible = hold_possible };
        enum action a = policy_effective_action(p, p->on_revoked, hold_possible, NULL);
        struct lease_decision d;

        lease_decide(&v, k, p, now, &d);
        if (d.verb != LEASE_NOTHING && d.verb != LEASE_REPORT)
                return d.cause;
        return a != ACTION_REPORT && lease_keys_revocation_pending(k, p) ? CAUSE_REVOKED : CAUSE_NONE;
}

const char *lease_state_to_string(enum lease_state s) {
        static const char *const names[_LEASE_STATE_MAX] = {
                "closed", "open", "holding", "held", "notice", "cutting", "lingering", "recovery",
        };
        return (unsigned) s < _LEASE_STATE_MAX ? names[s] : "?";
}

const char *lease_cause_to_string(enum lease_cause c) {
        static const char *const names[_LEASE_CAUSE_MAX] = {
                "none", "revoked", "denied", "expired", "held too long", "operator", "refused",
                "disk removed", "stack", "interrupted",
        };
        return (unsigned) c < _LEASE_CAUSE_MAX ? names[c] : "?";
}

const char *lease_verb_to_string(enum lease_verb v) {
        static const char *const names[_LEASE_VERB_MAX] = {
                "nothing", "report", "hold", "cut", "poweroff", "reboot", "resume", "attach", "call off",
        };
        return (unsigned) v < _LEASE_VERB_MAX ? names[v] : "?";
}
