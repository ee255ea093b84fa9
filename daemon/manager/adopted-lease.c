/* SPDX-License-Identifier: Apache-2.0 */
#include "adopted-lease.h"

#include "instants.h"

struct instant adopted_lease_yes(const struct open_mark_text *mark) {
        bool has = mark->mark == OPEN_MARK_RELEASED || mark->mark == OPEN_MARK_ATTACHED;

        return has && mark->issued.boottime_usec > 0 ? mark->issued : (struct instant) {};
}

/* Not later than the last yes that was written down: a pause moves the deadline, not the lease. */
static struct instant before_deadline(const struct breaker_slot *s, uint64_t span, struct instant written) {
        struct instant i = instant_now();

        if (s->deadline_boottime_usec > 0)
                i.boottime_usec = instant_since(span, s->deadline_boottime_usec);
        if (s->deadline_realtime_usec > 0)
                i.realtime_usec = instant_since(span, s->deadline_realtime_usec);
        return written.boottime_usec > 0 ? instant_earlier(i, written) : i;
}

/* When the breaker knows a deadline, the lease began lease + grace before it. When it knows none (silence is only reported,
 * or it is as new as we are) the mark says when the last yes was; without one the lease begins now: the key is polled at
 * once, and from here on the breaker holds the deadline. */
struct instant adopted_lease_began(const struct volume *v, const struct open_mark_text *mark, const struct breaker_slot *slot) {
        const struct policy *p = &v->policy;
        struct instant i = instant_now(), yes = adopted_lease_yes(mark);

        if (v->state == VOLUME_HELD) {
                /* The deadline is the hold's. There was no yes since it began; the key is wiped, little depends on how long ago one was. */
                uint64_t ago = i.boottime_usec - MIN_OF(i.boottime_usec, v->lease.since.boottime_usec) + 1;

                i.boottime_usec -= MIN_OF(i.boottime_usec, ago);
                i.realtime_usec -= MIN_OF(i.realtime_usec, ago);
                return i;
        }
        if (slot)
                return before_deadline(slot, p->lease_usec + p->grace_usec + LEASE_BREAKER_USEC, yes);
        return yes.boottime_usec > 0 ? yes : i;
}
