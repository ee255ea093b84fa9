/* SPDX-License-Identifier: Apache-2.0 */

/* What was decided about a volume (lease.h), carried out: the breaker told, a hold, cut, resume or attach begun. */

#include <syslog.h>

#include "common/log.h"
#include "fellows.h"
#include "given-out.h"
#include "key.h"
#include "manager.h"
#include "operation.h"
#include "pause.h"
#include "teardown.h"
#include "wrap.h"

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

static void decide(const struct volume *v, struct lease_decision *ret) {
        struct lease_keys keys;

        wraps_lease_keys(v, &keys);
        lease_decide(&v->lease, &keys, &v->policy, instant_now(), ret);
}

bool key_wants_attach(const struct volume *v) {
        struct lease_decision d;

        if (!volume_has_key(v))
                return false;
        decide(v, &d);
        return d.verb == LEASE_ATTACH;
}

static void tell_breaker(struct volume *v) {
        struct lease_decision d;

        if (!volume_has_key(v))
                return;
        decide(v, &d);
        set_breaker(v, &d);
}

void key_used(struct volume *v, struct instant issued) {
        v->lease.used = issued;
        tell_breaker(v);
}

/* Its deadline may be of what was given out before, and is waited for. */
void key_not_used(struct volume *v) {
        bool closed = v->state == VOLUME_CLOSED || v->state == VOLUME_CUT;

        v->lease.used = (struct instant) {};
        if (!closed || !given_out_takes_deadline(v))
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
        manager_record_answer(r, v);
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
        if (!volume_has_key(v))
                return;
        decide(v, &d);
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
                r = hold_start(v, &hold, on_own_operation, NULL);
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
                if (fellows_missing(v))
                        break;
                r = attach_start(v->manager, v->name, 0, &self, on_own_operation, NULL);
                break;
        default:
                r = -EINVAL;
        }
        if (r < 0)
                log_error("%s: %s could not be started: %s", v->name, lease_verb_to_string(d.verb), strerror(-r));
}
