/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One volume: what it is, its state, and which verb is legal when.
 *
 *   CLOSED ─► ATTACHING ─► ATTACHED ─► DETACHING ─► CLOSED
 *                             │  ▲
 *                     HOLDING ▼  │ RESUMING
 *                            HELD
 *                  ATTACHED, HELD ─► NOTICE ─► CUTTING ─► CUT (the owner said no; opened again when the key is)
 *                                      └► ATTACHED (called off: the key is enabled again)
 *                                                  └────► LINGERING (cut, not clean: retried) ─► CUT
 *                               DETACHING ─► LINGERING (closed, not clean: retried) ─► CLOSED
 *
 * CLOSED, CUT ─► RECOVERY (opened without cmkd) ─► ATTACHED (cmkctl attach), DETACHING, NOTICE, CUTTING; CLOSED where
 * somebody else closed it.
 *
 * ATTACHED, HELD, CUT, RECOVERY and CLOSED are derived when the manager starts, from device-mapper, the header and the
 * marks in /run/cmkd (open-mark.h, cut-mark.h, pause-mark.h); only work in progress is kept here. A volume's identity (UUID, name, role) is from the node's list, not from the disk. */

#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "common/breaker-proto.h"
#include "common/disk-proto.h"
#include "common/key-uri.h"
#include "lease.h"
#include "mapping-sysfs.h"
#include "policy.h"

#define FELLOWS_MAX 31u

struct key;
struct manager;
struct teardown;
struct unit_return;
struct unlock;

enum volume_state {
        VOLUME_CLOSED,
        VOLUME_ATTACHING,
        VOLUME_ATTACHED,
        VOLUME_HOLDING,
        VOLUME_HELD,
        VOLUME_RESUMING,
        VOLUME_DETACHING,
        VOLUME_NOTICE,
        VOLUME_CUTTING,
        VOLUME_LINGERING,
        VOLUME_CUT,
        VOLUME_RECOVERY,
        _VOLUME_STATE_MAX,
};

/* One of the keys that open a volume: wrap.h. */
struct wrap {
        LIST_ENTRY(wrap) of_key;           /* of key, while there is one */
        struct volume *volume;
        struct key *key;                   /* NULL: nobody may be asked */
        char uri[KEY_URI_MAX];             /* with version, as the token has it */
        struct instant begun;              /* while the key has no grant: its silence counts from there */
        struct instant adopted;            /* of the lease that an earlier manager left (struct lease_key); zero: none */
};

/* mount-watch.h */
struct volume_look {
        uint64_t due;                      /* place in the queue of those whose use is not known; 0: known */
        uint64_t running;                  /* number of the look whose answer is waited for; 0: none */
        bool failed;                       /* ... is tried again, later */
};

struct volume {
        LIST_ENTRY(volume) volumes;        /* of the manager */
        struct manager *manager;
        enum volume_state state;
        enum role role;
        char name[65];
        char mapping[129];                 /* as its dm uuid has it: our name, unless somebody else mapped it */
        char uuid[37];
        char device[257];
        char use_id[37];                   /* of the present use: joins request, vault, kernel and wipe in the trail */
        struct wrap *wraps[DISK_WRAPS_MAX];    /* in the order in which they are asked; wrap.h */
        unsigned n_wraps;                  /* 0: not known yet, or nobody can be asked */
        unsigned opener;                   /* which of header.wraps it was opened with, or is about to be */
        struct policy policy;
        struct disk_reply header;          /* as inspected: tokens and digests */
        char foreign[200];                 /* keyslots, tokens and flags that nobody enrolled, as of the last unlock */
        uint8_t header_ours[DISK_DIGEST_SIZE];   /* a header of it that we wrote, or one of others that was said (header-watch.h) */
        sd_event_source *header_timer;
        bool header_changed;               /* by others, while it was open: what, the next unlock says */
        char activation[97];               /* persistent flags that its mapping has, as of when it was last looked at */
        uint32_t dev_major, dev_minor;     /* of the mapping */
        uint64_t sectors;
        uint32_t use_flags;                /* enum disk_flags of the last look: mounted, swap, system */
        struct volume_look look;
        bool breaker_set;
        struct lease_volume lease;         /* the state as lease.c sees it; cause: why it is held, cut or closed */
        enum lease_cause cause;            /* of the hold or cut that is about to begin */
        const char *hold_not_possible;     /* static text, NULL: possible */
        uint64_t paused_since_usec;        /* boot clock, while lease.paused_until is set (pause.c) */
        sd_event_source *pause_timer;      /* its end */
        bool taken_over;                   /* CLOSED: it is open by a mapping that stood when it was taken over, proven by its key */
        struct instant taken_over_at;      /* when that proof was asked for */
        bool unseen;                       /* ATTACHING: it is mapped, and nobody could look yet at what it is (adopt.h) */
        unsigned looks;                    /* under way at a mapping of it: children that have not answered (adopt.c) */
        sd_event_source *look_timer;       /* ... or CUT: at its header; or open, and something happened to its mapping; the next try */
        bool released;                     /* ATTACHING: somebody else has the key and makes the mapping (release.c) */
        bool overdue;                      /* ... and has had time enough */
        enum volume_state released_from;
        sd_event_source *released_timer;
        LIST_HEAD(, unlock) joined;        /* ATTACHING: others who asked for the same, told when it ends (unlock.c) */
        struct volume **detaching;         /* the reference that a detach or a hold has, until it has ended (detach.c); NULL: none */
        struct unlock *owner;              /* the one unlock that is about it; it is not forgotten, nor another begun, meanwhile */
        unsigned encrypt_failures;         /* how often its encryption stopped half-way without any progress (encrypt-run.c) */
        bool encrypt_progressed;           /* since it is attached; of role os: since this machine was booted */
        bool encrypt_half_way;             /* it was so when this manager found it, and whoever uses that part waits */
        uint64_t follow_after_usec;        /* boot clock: not rotated by itself before (follow.c) */
        const char *recovery_why;          /* static text: why it is in RECOVERY */
        char second_mapping[129];          /* made beside ours by somebody else; empty: none */
        struct below below[8];             /* what it cannot do without: mapping-sysfs.h */
        int n_below;
        char fellows[FELLOWS_MAX][37];     /* since it was cut: UUIDs of those that it comes back with (fellows.h) */
        unsigned n_fellows;
        struct teardown *teardown;
        struct unit_return *unit_return;   /* what its notice stopped is being started again */
        bool nothing_stopped;              /* nothing is there for that, as of the last look */
        sd_event_source *timer;            /* the next decision */
};

/* A closed volume, in nobody's list yet. Returns NULL without memory. */
struct volume *volume_new(struct manager *m, const char *uuid, const char *name, enum role role);
struct volume *volume_free(struct volume *v);

const char *volume_state_to_string(enum volume_state s);

/* Whether there is somebody who can be asked about it. */
static inline bool volume_has_key(const struct volume *v) {
        for (unsigned i = 0; i < v->n_wraps; i++)
                if (v->wraps[i]->key)
                        return true;
        return false;
}

/* The key by which it is, or is to be, opened, with version; "" before its header is known. */
const char *volume_key_text(const struct volume *v);

/* True while the mapping stands, whatever its condition; also of one that is ATTACHING and unseen. */
bool volume_is_open(const struct volume *v);

/* True while cmkd itself makes its mapping: another attach of it has the same end. */
bool volume_is_attaching(const struct volume *v);

/* True while an operation or a teardown runs: other verbs are refused with "busy". */
bool volume_is_in_transit(const struct volume *v);

/* Moves to another state. The moves of the diagram are legal, and any to CLOSED; others are a bug: logged, not made,
 * -EINVAL. Tells the bus. */
int volume_set_state(struct volume *v, enum volume_state to);

/* May this verb begin in the present state? Returns 0 or, *ret_why being a sentence for people: -EALREADY, there is nothing
 * to do (attach: ATTACHED; detach and cut: CLOSED or CUT; hold: HELD; resume: ATTACHED); -ENOTCONN, it is not attached (hold
 * and resume: CLOSED, CUT or LINGERING); -EBUSY, the state does not allow it or an operation is under way. */
int volume_may_attach(const struct volume *v, const char **ret_why);
int volume_may_detach(const struct volume *v, const char **ret_why);
int volume_may_cut(const struct volume *v, const char **ret_why);
int volume_may_hold(const struct volume *v, const char **ret_why);
int volume_may_resume(const struct volume *v, const char **ret_why);
/* As attach, but a volume that is open is busy too: 0 or -EBUSY. */
int volume_may_release(const struct volume *v, const char **ret_why);
/* 0, -EBUSY or -ENOTCONN as above, or -ENOKEY: it is open without a key to ask for, and the breaker's deadline stands. */
int volume_may_pause(const struct volume *v, const char **ret_why);

/* The uuid that device-mapper knows the mapping by: CRYPT-LUKS2-<32 hex digits>-<mapping>. */
void volume_dm_uuid(const struct volume *v, char ret[static 128]);

/* A disk request about this volume: op, name, uuid, device, dev, sectors, digests filled in. */
void volume_disk_request(const struct volume *v, enum disk_op op, struct disk_request *ret);
