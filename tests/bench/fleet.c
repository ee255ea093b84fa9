/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/key-track.c daemon/manager/lease.c daemon/manager/lease-keys.c daemon/manager/policy.c daemon/manager/budget.c
/* A fleet on paper: the very schedule and decisions of cmkd (key-track.c, lease.c, with the defaults of role data) for many nodes, each
 * with a volume for each of its keys, against a vault that answers so many requests in each 10 s as Azure documents, and 429 beyond.
 *
 *   fleet NODES KEYS LIMIT [SEED]       LIMIT: requests in 10 s. One line of JSON for each of these:
 *     calm        an hour
 *     boot        all nodes within 10 s of each other, asked for ten minutes
 *     revoked     all keys are disabled in the middle: the time until the last volume is cut, which the breaker does not wait for
 *     crowded     somebody else takes nine tenths of the limit for an hour
 *     shut-out    ... all of it for 59 minutes
 *     outage      the vault is silent for 59 minutes, and comes back
 *
 * PollSec= is 30 s, or what keeps the fleet at a quarter of the limit; LeaseSec= is three polls. The clock is simulated: nothing
 * waits, and the numbers are the same with the same SEED. */
#include "manager/budget.h"
#include "manager/instants.h"
#include "manager/lease.h"

#include <inttypes.h>

#define SEC USEC_PER_SEC
#define LATENCY (50 * USEC_PER_MSEC)
#define TIMEOUT (10 * SEC)
#define WINDOW (10 * SEC)
#define BEGIN (1000 * SEC)
#define CONFIRM_MAX (64 * SEC)

struct agent {                          /* a node's key, and the volume that it opens */
        struct key_track track;
        struct lease_volume volume;
        uint64_t at;                    /* its next event */
        struct instant issued;
        enum verdict answer;
        bool waiting;                   /* for it */
        uint32_t flags;
};

struct vault {
        uint64_t limit, window, taken, refused, peak, answered;
        uint64_t others;                /* what somebody else takes of each window, from begin to end */
        uint64_t begin, end;            /* silent, crowded or disabled in between */
        enum { CALM, REVOKED, CROWDED, SILENT } trouble;
};

struct fleet {
        struct agent *agents;
        uint32_t *heap;
        size_t n;
        struct policy policy;
        struct key_timing timing;
        struct vault vault;
        uint64_t now, acted, last_action, seed;
};

static uint32_t draw(struct fleet *f) {
        f->seed = f->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        return (uint32_t) (f->seed >> 32);
}

/* ---- the heap of agents, by their next event ---- */

static bool is_before(const struct fleet *f, size_t a, size_t b) {
        return f->agents[f->heap[a]].at < f->agents[f->heap[b]].at;
}

static void swap(struct fleet *f, size_t a, size_t b) {
        uint32_t t = f->heap[a];

        f->heap[a] = f->heap[b];
        f->heap[b] = t;
}

static void sift(struct fleet *f, size_t i) {
        for (;;) {
                size_t least = i;

                for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < f->n; child++)
                        if (is_before(f, child, least))
                                least = child;
                if (least == i)
                        return;
                swap(f, i, least);
                i = least;
        }
}

/* ---- the vault ---- */

static bool is_in_trouble(const struct vault *v, uint64_t now) {
        return v->trouble != CALM && now >= v->begin && now < v->end;
}

static enum verdict ask(struct vault *v, uint64_t now) {
        uint64_t left = v->limit;

        if (is_in_trouble(v, now) && v->trouble == SILENT)
                return VERDICT_UNREACHABLE;
        if (now / WINDOW != v->window) {
                v->window = now / WINDOW;
                v->taken = 0;
        }
        if (is_in_trouble(v, now) && v->trouble == CROWDED)
                left -= v->others;
        v->peak = MAX_OF(v->peak, v->taken + 1);
        if (v->taken >= left) {         /* a refusal is not counted against the limit */
                v->refused++;
                return VERDICT_THROTTLED;
        }
        v->taken++;
        v->answered++;
        return is_in_trouble(v, now) && v->trouble == REVOKED ? VERDICT_REVOKED : VERDICT_GRANTED;
}

/* ---- a node ---- */

/* As key.c does it: what is due is done, then when to look again. */
static void decide(struct fleet *f, struct agent *a, struct instant now) {
        const struct lease_keys keys = { .keys = { { .track = &a->track } }, .n = 1 };
        struct lease_decision d;
        struct key_poll p;

        lease_decide(&a->volume, &keys, &f->policy, now, &d);
        if (d.verb == LEASE_HOLD || d.verb == LEASE_CUT) {
                f->acted++;
                f->last_action = f->now;
                lease_volume_enter(&a->volume, LEASE_CLOSED, d.cause, now);
                d.wake_boottime_usec = USEC_INFINITY;
        } else if (d.verb == LEASE_ATTACH)
                lease_volume_enter(&a->volume, LEASE_OPEN, CAUSE_NONE, now);
        key_track_next(&a->track, &f->timing, &p);
        a->flags = (p.fresh_connection ? KEY_EVENT_FRESH_CONNECTION : 0) | (p.fresh_token ? KEY_EVENT_FRESH_TOKEN : 0);
        if (a->waiting)
                return;
        a->at = MIN_OF(p.at_boottime_usec, d.wake_boottime_usec);
        a->at = MAX_OF(a->at, f->now + 10 * USEC_PER_MSEC);
}

static void step(struct fleet *f, struct agent *a) {
        struct instant now = { f->now, f->now + UINT64_C(1700000000) * SEC };
        struct key_poll p;

        if (a->waiting) {
                struct key_event e = { .verdict = a->answer, .flags = a->flags, .issued = a->issued };

                a->waiting = false;
                (void) key_track_event(&a->track, &f->timing, &e, now, draw(f));
                decide(f, a, now);
                return;
        }
        (void) key_track_look(&a->track, now, false);
        key_track_next(&a->track, &f->timing, &p);
        if (p.at_boottime_usec <= f->now) {
                key_track_asked(&a->track, now);
                a->issued = now;
                a->answer = ask(&f->vault, f->now);
                a->waiting = true;
                a->at = f->now + (a->answer == VERDICT_UNREACHABLE ? TIMEOUT : LATENCY);
                return;
        }
        decide(f, a, now);
}

/* Open volumes whose owners said yes a moment ago; the first poll of each somewhere in that span. */
static void begin(struct fleet *f, uint64_t span) {
        f->now = BEGIN;
        f->acted = f->last_action = 0;
        for (size_t i = 0; i < f->n; i++) {
                struct agent *a = f->agents + i;
                struct instant now = { f->now, f->now + UINT64_C(1700000000) * SEC };
                struct key_event e = { .verdict = VERDICT_GRANTED, .issued = now };

                *a = (struct agent) { .volume.hold_possible = true };
                key_track_init(&a->track, true, now);
                (void) key_track_event(&a->track, &f->timing, &e, now, 0);
                lease_volume_enter(&a->volume, LEASE_OPEN, CAUSE_NONE, now);
                a->track.next_boottime_usec = a->at = f->now + (uint64_t) ((double) span * draw(f) / 4294967296.0);
                f->heap[i] = (uint32_t) i;
        }
        for (size_t i = f->n / 2 + 1; i-- > 0;)
                sift(f, i);
}

static void run(struct fleet *f, uint64_t until) {
        while (f->agents[f->heap[0]].at < until) {
                struct agent *a = f->agents + f->heap[0];

                f->now = MAX_OF(f->now, a->at);
                step(f, a);
                sift(f, 0);
        }
        f->now = until;
}

/* ---- what is told ---- */

static size_t open_volumes(const struct fleet *f) {
        size_t n = 0;

        for (size_t i = 0; i < f->n; i++)
                n += f->agents[i].volume.state == LEASE_OPEN;
        return n;
}

static void tell(const struct fleet *f, const char *what, uint64_t span, uint64_t after) {
        const struct vault *v = &f->vault;

        printf("{\"case\":\"%s\",\"poll_sec\":%.0f,\"per_10s\":%.0f,\"peak\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"acted\":%" PRIu64
               ",\"open\":%zu", what, (double) f->timing.poll_usec / SEC, (double) v->answered * WINDOW / (double) span, v->peak,
               v->refused, f->acted, open_volumes(f));
        if (after > 0)
                printf(",\"last_sec\":%.1f", f->last_action > after ? (double) (f->last_action - after) / SEC : 0.0);
        puts("}");
}

static void reset(struct fleet *f, int trouble, uint64_t from, uint64_t to, uint64_t others) {
        f->vault = (struct vault) { .limit = f->vault.limit, .trouble = (uint8_t) trouble, .begin = from, .end = to, .others = others };
}

static void all_cases(struct fleet *f) {
        uint64_t poll = f->timing.poll_usec, hour = 3600 * SEC, quiet = BEGIN + 2 * poll, limit = f->vault.limit;
        const struct { const char *name; int trouble; uint64_t span, others; } troubles[] = {
                { "crowded", CROWDED, hour, limit * 9 / 10 }, { "shut-out", CROWDED, 3540 * SEC, limit },
                { "outage", SILENT, 3540 * SEC, 0 },
        };

        reset(f, CALM, 0, 0, 0);
        begin(f, poll);
        run(f, BEGIN + hour);
        tell(f, "calm", hour, 0);
        reset(f, CALM, 0, 0, 0);
        begin(f, WINDOW);
        run(f, BEGIN + 600 * SEC);
        tell(f, "boot", 600 * SEC, 0);
        reset(f, REVOKED, quiet, UINT64_MAX, 0);
        begin(f, poll);
        run(f, quiet + 2 * poll + CONFIRM_MAX + hour);
        tell(f, "revoked", 2 * poll + hour, quiet);
        for (size_t i = 0; i < ELEMENTSOF(troubles); i++) {
                reset(f, troubles[i].trouble, quiet, quiet + troubles[i].span, troubles[i].others);
                begin(f, poll);
                run(f, quiet + troubles[i].span);
                f->vault.peak = 0;         /* what comes when it is over */
                run(f, quiet + troubles[i].span + 4 * poll);
                tell(f, troubles[i].name, troubles[i].span + 6 * poll, 0);
        }
}

int main(int argc, char *argv[]) {
        uint64_t nodes = argc > 1 ? strtoull(argv[1], NULL, 10) : 0, keys = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
        uint64_t limit = argc > 3 ? strtoull(argv[3], NULL, 10) : 0, poll;
        struct fleet f = { .seed = argc > 4 ? strtoull(argv[4], NULL, 10) : 1 };

        if (nodes == 0 || keys == 0 || limit == 0 || nodes * keys > UINT64_C(10000000)) {
                fputs("usage: fleet NODES KEYS LIMIT [SEED]\n", stderr);
                return 2;
        }
        f.n = nodes * keys;
        f.vault.limit = limit;
        f.agents = calloc(f.n, sizeof(*f.agents));
        f.heap = calloc(f.n, sizeof(*f.heap));
        if (!f.agents || !f.heap)
                return 1;
        policy_default(ROLE_DATA, &f.policy);
        poll = budget_shortest_poll_usec(nodes, (double) keys * budget_weight(2048, false, false) * 4000.0 / (double) limit);
        poll = (poll + SEC - 1) / SEC * SEC;
        f.policy.poll_usec = MAX_OF(f.policy.poll_usec, poll);
        f.policy.lease_usec = MAX_OF(f.policy.lease_usec, 3 * f.policy.poll_usec);
        key_timing_init(&f.timing);
        key_timing_add(&f.timing, &f.policy, true);
        all_cases(&f);
        free(f.agents);
        free(f.heap);
        return 0;
}
