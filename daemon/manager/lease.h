/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pure: what the answers of a vault mean for a key (struct key_track, key-track.c) and what that means for each volume that
 * the key opens (lease_decide). No I/O, no clock of its own, no randomness: the caller brings instants and random numbers.
 *
 *   key.c:     asked ─► event (verdict) ─► key_track ─► key_track_next(): when and how to poll again
 *                                             │ of each of the volume's keys: lease-keys.h adds them up
 *   volume.c:  struct lease_volume, policy ───┴─► lease_decide(): NOTHING … ATTACH, when to look again, and the
 *                                                 deadline at which cmkd-breaker acts without us
 *
 * Invariants (tests/unit/test-lease.c walks all pairs and random histories):
 *  1. A lease runs from when the last GRANTED challenge was issued. It is over when either clock says so. Nothing but
 *     GRANTED renews it: not THROTTLED, not a jump of a clock, not an answer about a key's attributes.
 *  2. Silence (UNREACHABLE, THROTTLED, BROKEN, MISCONFIGURED, DENIED_WEAK, or no event at all) changes nothing before
 *     lease + grace, and does OnUnreachable from then on. That holds for REVOKED and DENIED too where their own action
 *     is weaker: without GRANTED for lease + grace at least OnUnreachable is done. (To migrate with `report`, all three
 *     are set to it.)
 *  3. REVOKED counts once it is repeated on a fresh connection; a 404 of a key that is not listed as deleted, 30 s
 *     after the first. DENIED counts after three replies, each with a fresh token, over DeniedConfirmSec. For a key
 *     that never worked both are MISCONFIGURED. What was issued before the last GRANTED challenge is too old to count.
 *  4. A key is polled for ever, and one GRANTED undoes everything: RESUME for a held volume, ATTACH for a closed one.
 *  5. A hold is only decided where policy_effective_action() allows it.
 *  6. In recovery nothing is ever done but to report, and the breaker has no deadline.
 *  7. While a volume is paused (lease_volume.paused_until, until either clock says that it is over) nothing is begun but
 *     to report, once a cause, and to undo; a notice for the vault's answer is called off. The breaker's deadline is
 *     never before the end of the pause, and what was withheld is due at that moment, by the breaker if need be. What an
 *     operator or a pulled disk began goes on, and so does a hold under way. */

#include "common/breaker-proto.h"
#include "common/disk-proto.h"
#include "common/verdict.h"
#include "policy.h"

/* Longest time an answer is waited for before the key is asked again regardless. */
#define LEASE_ASK_USEC (60 * USEC_PER_SEC)
/* The clocks may disagree by this much between two looks before it counts as a jump (slewing, a leap second). */
#define LEASE_JUMP_USEC (2 * USEC_PER_SEC)
/* How long after the manager should have acted the breaker does it. */
#define LEASE_BREAKER_USEC (1 * USEC_PER_SEC)
/* What a hold under way is given before the breaker cuts instead. */
#define LEASE_HOLDING_USEC (5 * USEC_PER_SEC)
/* Between the end of the notice and the cut by the breaker: longer than the steps of plan.c up to their own cut. */
#define LEASE_CUTTING_USEC (8 * USEC_PER_SEC)

/* ---- the key ---- */

/* When a key is polled, and whether its expiry revokes it: the strictest of the volumes that it opens. */
struct key_timing {
        uint64_t poll_usec, lease_usec, confirm_usec, denied_confirm_usec;
        bool expiry_revokes;
};

/* No volume yet: the defaults of role data, until the first key_timing_add() replaces them. */
void key_timing_init(struct key_timing *t);

/* Takes one more volume's policy into account; first: it is the first one. */
void key_timing_add(struct key_timing *t, const struct policy *p, bool first);

enum key_state {
        KEY_UNKNOWN,             /* nothing was heard yet */
        KEY_GRANTED,             /* the last answer that counts was GRANTED */
        KEY_SILENT,              /* the last answer said nothing about the key, or there was none */
        KEY_REVOKED_ONCE,        /* to be confirmed */
        KEY_REVOKED,
        KEY_DENIED_ONCE,         /* to be confirmed */
        KEY_DENIED,
        _KEY_STATE_MAX,
};

enum key_event_flags {
        KEY_EVENT_FRESH_CONNECTION = 1 << 0,  /* the request went over a connection of its own */
        KEY_EVENT_FRESH_TOKEN = 1 << 1,       /* ... with a token that was got for it */
        KEY_EVENT_NOT_FOUND = 1 << 2,         /* REVOKED because of a 404 */
        KEY_EVENT_LISTED_DELETED = 1 << 3,    /* ... and the vault lists the key as deleted */
        KEY_EVENT_ATTRIBUTES = 1 << 4,        /* read from the key's attributes: may revoke, never grants */
};

struct key_event {
        enum verdict verdict;
        uint32_t flags;                 /* enum key_event_flags */
        struct instant issued;          /* when the challenge was issued, not when the answer came */
        uint64_t retry_after_usec;      /* 0: not said */
};

/* All zero is not a valid track: key_track_init(). Fields are read by status, written by this file only. */
struct key_track {
        enum key_state state;
        enum verdict last;              /* as it counted: MISCONFIGURED for a REVOKED of a key that never worked */
        bool heard;                     /* last is valid */
        bool worked;                    /* GRANTED once, now or at enrolment */
        bool has_grant;
        struct instant granted;         /* the last granted challenge was issued then (has_grant) */
        bool revoked_seen, revoked_sure;
        bool denied_seen, denied_sure;
        struct instant revoked_first;   /* the first REVOKED since the last grant was issued then */
        struct instant denied_first;    /* the first DENIED with a fresh token since the last grant */
        uint32_t n_denied;              /* DENIED with a fresh token since then */
        uint32_t n_throttled;           /* in a row: the back-off */
        uint64_t n_polls, n_granted;    /* by this process */
        bool asking;                    /* a poll is under way */
        struct instant asked;
        struct instant looked;          /* the clocks at the last look */
        uint64_t planned_boottime_usec; /* the next poll was planned then ... */
        uint64_t next_boottime_usec;    /* ... for then; 0: at once */
};

/* A key that is first heard of now. proven: its proof of enrolment is in a verified token or on the trust list; it then
 * "worked". Polls are due at once. */
void key_track_init(struct key_track *k, bool proven, struct instant now);

/* After a restart of the manager: the last yes that one of its volumes knows of; the latest counts. What each volume's own lease began
 * with stays with it (struct lease_key). Ignored once this process has seen a grant itself. */
void key_track_adopt(struct key_track *k, struct instant granted);

/* A poll was sent. */
void key_track_asked(struct key_track *k, struct instant now);

/* An answer, or the lack of one (UNREACHABLE at the time-out). random: 32 random bits, for the jitter. Returns the
 * verdict as it counted. A release (unwrap at attach) is no event: who kept a secret could answer that. */
enum verdict key_track_event(struct key_track *k, const struct key_timing *t, const struct key_event *e,
                             struct instant now, uint32_t random);

/* The owner's yes is fresh: the last answer was a GRANTED, to a challenge of less than a poll ago, and no bad news waits to be
 * confirmed. Where it is not, key_track_hurry() makes the next poll due at once. */
bool key_track_is_proven(const struct key_track *k, const struct key_timing *t, struct instant now);
void key_track_hurry(struct key_track *k);

/* To be called at every wake-up, before anything else: a jump of either clock against the other, or a machine that was
 * restored from a snapshot, makes the next poll due at once. Returns true where there was one. */
bool key_track_look(struct key_track *k, struct instant now, bool restored);

struct key_poll {
        uint64_t at_boottime_usec;      /* not after now: at once. While a poll is under way, when to give it up */
        bool fresh_connection, fresh_token;
};

/* The next poll. Never further off than PollSec or, while the vault throttles, than the lease that runs (where none runs,
 * LeaseSec, if the vault wants that). */
void key_track_next(const struct key_track *k, const struct key_timing *t, struct key_poll *ret);

const char *key_state_to_string(enum key_state s);

/* ---- the volume ---- */

enum lease_state {
        LEASE_CLOSED,            /* opened again on GRANTED where we closed it (cause) and OnReenable= says so */
        LEASE_OPEN,              /* also while a detach is under way */
        LEASE_HOLDING,           /* a hold is under way */
        LEASE_HELD,              /* also while a resume is under way: ignore RESUME then */
        LEASE_NOTICE,            /* the cut is announced: hooks and orderly stops run, nothing is cut yet */
        LEASE_CUTTING,           /* the teardown is under way */
        LEASE_LINGERING,         /* cut, but something could not be cleaned */
        LEASE_RECOVERY,          /* opened with the recovery key: reported, not acted on */
        _LEASE_STATE_MAX,
};

enum lease_cause {
        CAUSE_NONE,
        CAUSE_REVOKED,
        CAUSE_DENIED,
        CAUSE_EXPIRED,           /* lease and grace are over */
        CAUSE_HELD_TOO_LONG,     /* HoldSec is over */
        CAUSE_OPERATOR,          /* cmkctl hold, detach, cut: not undone by GRANTED */
        CAUSE_REFUSED,           /* opened without cmkd, or not as its header asks: not undone either */
        CAUSE_DISK_REMOVED,      /* the disk below was pulled */
        CAUSE_STACK,             /* another volume of its stack was cut (fellows.h); undone when all of them may be */
        CAUSE_INTERRUPTED,       /* its encryption was stopped half-way through a part: it is closed to finish that; undone */
        _LEASE_CAUSE_MAX,
};

/* Whether what was done for this cause is undone when the key is GRANTED again. */
bool lease_cause_is_undone(enum lease_cause c);

/* One of a volume's keys, and all of them. */
struct lease_key {
        const struct key_track *track;   /* NULL: nobody may be asked, so that it is silent for ever */
        struct instant begun;            /* until there is a grant its silence counts from there; zero: from for ever */
        struct instant adopted;          /* until this process has heard a yes this volume's lease began no later; zero: not known */
};

struct lease_keys {
        struct lease_key keys[DISK_WRAPS_MAX];
        unsigned n;                      /* from 1 */
};

/* What the decision needs to know of a volume: volume.c owns one in each struct volume. */
struct lease_volume {
        enum lease_state state;
        enum lease_cause cause;          /* why it is held, being cut, or closed */
        enum lease_cause reported;       /* the last REPORT was of this */
        struct instant since;            /* state was entered then */
        struct instant paused_until;     /* cmkctl pause; zero: not paused. Over when either clock says so */
        bool hold_possible;              /* policy_hold_possible() */
        bool cut_done;                   /* the error table was verified (LINGERING) */
        struct instant used;             /* CLOSED, HELD: a key that was asked for then is being used, and the mapping may work
                                          * before anybody knows; zero: none. Gone with the next state */
};

/* Enters a state. Keeps what is not its business (paused_until, hold_possible); cut_done is kept for LINGERING only. */
void lease_volume_enter(struct lease_volume *v, enum lease_state state, enum lease_cause cause, struct instant now);

enum lease_verb {
        LEASE_NOTHING,
        LEASE_REPORT,            /* record and alarm, once a cause: lease_volume_note() */
        LEASE_HOLD,
        LEASE_CUT,
        LEASE_POWEROFF,
        LEASE_REBOOT,
        LEASE_RESUME,
        LEASE_ATTACH,
        LEASE_CALL_OFF,          /* end the notice, the volume stays open: GRANTED again, or paused */
        _LEASE_VERB_MAX,
};

struct lease_decision {
        enum lease_verb verb;
        enum lease_cause cause;          /* of the verb, and with NOTHING the reason that stands, if one does */
        const char *why;                 /* static text where another action than the policy's is taken, or none; or NULL */
        uint64_t wake_boottime_usec;     /* decide again at the latest then; USEC_INFINITY: only on an event */
        /* For BREAKER_SET as they are: 0 and BREAKER_ACTION_REPORT where the breaker has nothing to do (CLEAR) */
        struct instant deadline;
        enum breaker_action deadline_action;
};

/* What to do about a volume with these keys now. To be asked after every event, at every wake-up, and after every change of state. The
 * deadline is the one that holds if the verb is carried out: it is to be set before that starts. The caller carries out
 * HOLD by entering HOLDING, CUT, POWEROFF and REBOOT by entering NOTICE or CUTTING; until then the same verb comes
 * again. An open volume whose key has no grant counts as expired: the release that opened it has to be an event. */
void lease_decide(const struct lease_volume *v, const struct lease_keys *k, const struct policy *p, struct instant now,
                  struct lease_decision *ret);

/* Its keys' owners as they are heard now: what would be acted on at once if the volume were opened, or as soon as a REVOKED
 * is confirmed. CAUSE_NONE: it may be opened. */
enum lease_cause lease_forbids_opening(const struct lease_keys *k, const struct policy *p, bool hold_possible,
                                       struct instant now);

/* To be called after each decision that was carried out: remembers what was reported, forgets it when all is well. */
void lease_volume_note(struct lease_volume *v, const struct lease_decision *d);

const char *lease_state_to_string(enum lease_state s);
const char *lease_cause_to_string(enum lease_cause c);
const char *lease_verb_to_string(enum lease_verb v);
