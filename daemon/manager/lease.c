/* SPDX-License-Identifier: Apache-2.0 */
#include "lease.h"

#define DENIED_REPLIES 3u
#define THROTTLED_DOUBLINGS 4u

static const char paused_text[] = "actions are paused by the operator";

static uint64_t since(uint64_t then, uint64_t now) {
        return now > then ? now - then : 0;
}

/* How much time has passed by the clock that says more. */
static uint64_t elapsed(struct instant then, struct instant now) {
        return MAX_OF(since(then.boottime_usec, now.boottime_usec), since(then.realtime_usec, now.realtime_usec));
}

static uint64_t remaining(struct instant then, uint64_t span, struct instant now) {
        return since(elapsed(then, now), span);
}

static struct instant earlier(struct instant a, struct instant b) {
        return (struct instant) {
                .boottime_usec = MIN_OF(a.boottime_usec, b.boottime_usec),
                .realtime_usec = MIN_OF(a.realtime_usec, b.realtime_usec),
        };
}

static struct instant later(struct instant a, struct instant b) {
        return (struct instant) {
                .boottime_usec = MAX_OF(a.boottime_usec, b.boottime_usec),
                .realtime_usec = MAX_OF(a.realtime_usec, b.realtime_usec),
        };
}

static struct instant after(struct instant i, uint64_t span) {
        return (struct instant) { i.boottime_usec + span, i.realtime_usec + span };
}

/* Events are put in order by the boot clock alone: it never steps. */
static bool is_older(struct instant a, struct instant b) {
        return a.boottime_usec < b.boottime_usec;
}

/* ---- the key ---- */

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
        if (k->has_grant)
                return;
        k->granted = earlier(granted, k->looked);
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
        if (!k->has_grant || is_older(k->granted, issued))
                k->granted = issued;
        k->has_grant = k->worked = true;
        k->n_granted++;
        /* an answer to a question that is older than the bad news does not undo it */
        if ((k->revoked_seen && is_older(issued, k->revoked_first)) ||
            (k->n_denied > 0 && is_older(issued, k->denied_first)))
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
        if (!(e->flags & KEY_EVENT_FRESH_CONNECTION) || is_older(issued, k->revoked_first))
                return;
        if (is_unlisted(e) &&
            since(k->revoked_first.boottime_usec, issued.boottime_usec) < POLICY_UNLISTED_USEC)
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
        else if (is_older(issued, k->denied_first))
                return;
        if (k->n_denied < DENIED_REPLIES)
                k->n_denied++;
        if (k->n_denied == DENIED_REPLIES &&
            since(k->denied_first.boottime_usec, issued.boottime_usec) >= t->denied_confirm_usec)
                k->denied_sure = true;
}

static uint64_t throttled_delay(const struct key_track *k, const struct key_timing *t, uint64_t retry_after,
                                struct instant now) {
        uint64_t delay = t->poll_usec << MIN_OF(k->n_throttled - 1, THROTTLED_DOUBLINGS);
        uint64_t left = k->has_grant ? remaining(k->granted, t->lease_usec, now) : 0;

        if (left == 0)
                left = t->lease_usec;
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
        delay = MAX_OF(delay, since(now.boottime_usec, due));
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
        struct instant issued = earlier(e->issued, now);
        bool refused = e->verdict == VERDICT_REVOKED || e->verdict == VERDICT_DENIED;
        bool stale = refused && k->has_grant && is_older(issued, k->granted);
        bool attributes = e->flags & KEY_EVENT_ATTRIBUTES;
        enum verdict v = refused && !k->worked ? VERDICT_MISCONFIGURED : e->verdict;

        /* attributes may only bring a revocation forward */
        if (attributes && v != VERDICT_REVOKED)
                return v;
        if (!attributes) {
                if (!is_older(issued, k->asked))
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
        return k->state == KEY_GRANTED && k->has_grant && elapsed(k->granted, now) < t->poll_usec;
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

/* ---- the volume ---- */

bool lease_cause_is_undone(enum lease_cause c) {
        return c == CAUSE_REVOKED || c == CAUSE_DENIED || c == CAUSE_EXPIRED || c == CAUSE_HELD_TOO_LONG;
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

bool lease_expiry(const struct key_track *k, const struct policy *p, struct instant *ret) {
        if (!k->has_grant)
                return false;
        *ret = after(k->granted, p->lease_usec + p->grace_usec);
        return true;
}

static bool is_expired(const struct key_track *k, const struct policy *p, struct instant now) {
        return !k->has_grant || elapsed(k->granted, now) >= p->lease_usec + p->grace_usec;
}

/* The owner has said yes again since the volume got into its state. */
static bool is_granted_since(const struct lease_volume *v, const struct key_track *k, const struct policy *p,
                             struct instant now) {
        return k->has_grant && !k->revoked_seen && !k->denied_seen && is_older(v->since, k->granted) &&
               elapsed(k->granted, now) < p->lease_usec;
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
static enum action wanted(const struct lease_volume *v, const struct key_track *k, const struct policy *p,
                          struct instant now, struct lease_decision *d) {
        enum action a = ACTION_REPORT, b;
        const char *why;

        if (k->revoked_sure || k->denied_sure) {
                d->cause = k->revoked_sure ? CAUSE_REVOKED : CAUSE_DENIED;
                a = policy_effective_action(p, k->revoked_sure ? p->on_revoked : p->on_denied, v->hold_possible,
                                            &d->why);
        }
        if (k->revoked_sure && k->denied_sure) {
                b = policy_effective_action(p, p->on_denied, v->hold_possible, &why);
                if (action_stronger(a, b) != a) {
                        a = b;
                        d->why = why;
                }
        }
        if (is_expired(k, p, now)) {
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
static void watch_lease(const struct lease_volume *v, const struct key_track *k, const struct policy *p,
                        struct instant now, struct lease_decision *d) {
        enum action a = policy_effective_action(p, p->on_unreachable, v->hold_possible, NULL);
        struct instant end = now;

        if (lease_expiry(k, p, &end) && !is_expired(k, p, now))
                wake_in(d, now, remaining(k->granted, p->lease_usec + p->grace_usec, now));
        wake_at_end_of_pause(v, now, d);
        end = later(end, v->paused_until);
        set_deadline(d, after(end, LEASE_BREAKER_USEC), breaker_of(a));
}

static uint64_t cutting_span(const struct policy *p) {
        return p->notice_usec + LEASE_CUTTING_USEC;
}

static void decide_act(const struct policy *p, enum action a, struct instant now, struct lease_decision *d) {
        d->verb = verb_of(a);
        if (a == ACTION_HOLD)
                set_deadline(d, after(now, LEASE_HOLDING_USEC), BREAKER_ACTION_CUT);
        else
                set_deadline(d, after(now, cutting_span(p)), breaker_of(a));
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
                set_deadline(d, after(v->paused_until, LEASE_BREAKER_USEC), breaker_of(a));
}

static void decide_open(const struct lease_volume *v, const struct key_track *k, const struct policy *p,
                        struct instant now, struct lease_decision *d) {
        enum action a = wanted(v, k, p, now, d);

        if (d->cause == CAUSE_NONE || a == ACTION_REPORT) {
                report_once(v, d);
                watch_lease(v, k, p, now, d);
        } else
                act_unless_paused(v, p, a, now, d);
}

static void decide_holding(const struct lease_volume *v, const struct key_track *k, const struct policy *p,
                           struct instant now, struct lease_decision *d) {
        enum action a = wanted(v, k, p, now, d);

        if (d->cause != CAUSE_NONE && action_stronger(a, ACTION_HOLD) != ACTION_HOLD && !is_paused(v, now)) {
                decide_act(p, a, now, d);
                return;
        }
        d->cause = v->cause;
        d->why = NULL;
        /* also in a pause: it was begun before, and half a hold is no state to leave a volume in */
        if (elapsed(v->since, now) >= LEASE_HOLDING_USEC) {
                d->why = "the hold did not come about in time";
                decide_act(p, ACTION_CUT, now, d);
                return;
        }
        wake_in(d, now, remaining(v->since, LEASE_HOLDING_USEC, now));
        set_deadline(d, after(v->since, LEASE_HOLDING_USEC + LEASE_BREAKER_USEC), BREAKER_ACTION_CUT);
}

static void decide_held(const struct lease_volume *v, const struct key_track *k, const struct policy *p,
                        struct instant now, struct lease_decision *d) {
        enum action a = wanted(v, k, p, now, d);
        struct instant end;

        if (d->cause != CAUSE_NONE && action_stronger(a, ACTION_HOLD) != ACTION_HOLD) {
                act_unless_paused(v, p, a, now, d);
                return;
        }
        d->cause = v->cause;
        d->why = NULL;
        /* an operator's hold is ended by an operator; the key is wiped already, so there is no deadline */
        if (v->cause == CAUSE_OPERATOR) {
                if (k->has_grant && !is_expired(k, p, now))
                        wake_in(d, now, remaining(k->granted, p->lease_usec + p->grace_usec, now));
                return;
        }
        if (is_granted_since(v, k, p, now)) {
                /* and the end of the hold is no deadline any more: the resume takes its time */
                d->verb = LEASE_RESUME;
                d->cause = CAUSE_NONE;
                watch_lease(v, k, p, now, d);
                return;
        }
        if (elapsed(v->since, now) >= p->hold_usec) {
                d->cause = CAUSE_HELD_TOO_LONG;
                act_unless_paused(v, p, ACTION_CUT, now, d);
                return;
        }
        wake_in(d, now, remaining(v->since, p->hold_usec, now));
        wake_at_end_of_pause(v, now, d);
        end = later(after(v->since, p->hold_usec), v->paused_until);
        set_deadline(d, after(end, LEASE_BREAKER_USEC), BREAKER_ACTION_CUT);
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
static void decide_closing(const struct lease_volume *v, const struct key_track *k, const struct policy *p,
                           struct instant now, struct lease_decision *d) {
        d->cause = v->cause;
        if (v->state == LEASE_NOTICE && lease_cause_is_undone(v->cause) &&
            (is_granted_since(v, k, p, now) || is_paused(v, now))) {
                d->verb = LEASE_CALL_OFF;
                d->why = is_granted_since(v, k, p, now) ? NULL : paused_text;
                d->cause = CAUSE_NONE;
                watch_lease(v, k, p, now, d);
                return;
        }
        set_deadline(d, after(v->since, v->state == LEASE_NOTICE ? cutting_span(p) : LEASE_CUTTING_USEC),
                     breaker_of(closing_action(v, p)));
}

/* The breaker holds what would be the volume's deadline already: whoever makes the mapping may be killed once it is there. */
static void watch_use(const struct lease_volume *v, const struct policy *p, struct lease_decision *d) {
        enum action a = policy_effective_action(p, p->on_unreachable, v->hold_possible, NULL);

        struct instant end = later(after(v->used, p->lease_usec + p->grace_usec), v->paused_until);

        set_deadline(d, after(end, LEASE_BREAKER_USEC), breaker_of(a));
}

void lease_decide(const struct lease_volume *v, const struct key_track *k, const struct policy *p, struct instant now,
                  struct lease_decision *ret) {
        struct lease_decision d = { .wake_boottime_usec = USEC_INFINITY };
        enum action a;

        switch (v->state) {
        case LEASE_OPEN:
                decide_open(v, k, p, now, &d);
                break;
        case LEASE_HOLDING:
                decide_holding(v, k, p, now, &d);
                break;
        case LEASE_HELD:
                decide_held(v, k, p, now, &d);
                break;
        case LEASE_NOTICE:
        case LEASE_CUTTING:
                decide_closing(v, k, p, now, &d);
                break;
        case LEASE_LINGERING:
                d.cause = v->cause;
                if (!v->cut_done)
                        set_deadline(&d, after(v->since, LEASE_BREAKER_USEC), breaker_of(closing_action(v, p)));
                break;
        case LEASE_RECOVERY:
                a = wanted(v, k, p, now, &d);
                report_once(v, &d);
                d.why = a != ACTION_REPORT ? "opened without cmkd: not acted on" : NULL;
                break;
        case LEASE_CLOSED:
        default:
                if (lease_cause_is_undone(v->cause) && p->on_reenable == REENABLE_ATTACH &&
                    is_granted_since(v, k, p, now))
                        d.verb = LEASE_ATTACH;
                break;
        }
        if (v->used.boottime_usec > 0)
                watch_use(v, p, &d);
        *ret = d;
}

const char *key_state_to_string(enum key_state s) {
        static const char *const names[_KEY_STATE_MAX] = {
                "unknown", "granted", "silent", "revoked, to be confirmed", "revoked", "denied, to be confirmed",
                "denied",
        };
        return (unsigned) s < _KEY_STATE_MAX ? names[s] : "?";
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
                "disk removed",
        };
        return (unsigned) c < _LEASE_CAUSE_MAX ? names[c] : "?";
}

const char *lease_verb_to_string(enum lease_verb v) {
        static const char *const names[_LEASE_VERB_MAX] = {
                "nothing", "report", "hold", "cut", "poweroff", "reboot", "resume", "attach", "call off",
        };
        return (unsigned) v < _LEASE_VERB_MAX ? names[v] : "?";
}
