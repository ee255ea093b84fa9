/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The way from a device to a key that may be used; attach, resume and release share it:
 *
 *   INSPECT (child) ─► list, allow-list, generation ─► record "request" ─► unwrap into a pipe (worker)
 *      ─► a challenge is granted too (key_prove) ─► the other owners do not object (unlock-keys.c) ─► record "release",
 *      durable ─► breaker armed ─► verb->use(): a child that reads the pipe
 *
 * A volume's keys are tried one after the other; the first that is granted opens it, if it may be opened at all: with
 * Revoke=any not where what any of its owners says would be acted on at once. What the others say is waited for
 * UNLOCK_OTHERS_USEC at most: silence is no objection, and from here on it is counted (wrap.h).
 *
 * No audit, no key: use() is called only after the record is durable (or OnTrailFailure=continue says otherwise).
 * Secret W goes from the worker into the pipe and from there into the child: it is never in this process. */

#include <systemd/sd-event.h>

#include "common/config.h"
#include "disk-child.h"
#include "key.h"
#include "operation.h"
#include "turns.h"
#include "wrap.h"

struct manager;
struct unlock;

#define UNLOCK_OTHERS_USEC (5 * USEC_PER_SEC)

struct unlock_verb {
        const char *name;                /* for the trail */
        bool open_is_done;               /* a volume that is ATTACHED already, or about to be, is what was asked for */
        bool header_only;                /* it is about the header: an open volume stays as it is, and as busy */
        bool keyless;                    /* the vault is not asked */
        bool one_child;                  /* use() is unlock_run(): by the child that inspected, where it is still there */
        enum disk_op look;               /* in place of INSPECT, with key_fd; 0: INSPECT */
        bool older;                      /* an older header than the node has seen is no obstacle: its tokens are taken as they stand */
        const char *done_event;          /* header_only: the record that says what was done to it */
        bool while_encrypted;            /* it is possible while the volume is encrypted in place */
        bool lenient;                    /* a key that is listed and not in the header is no obstacle */
        void (*use)(struct unlock *u);   /* ends with unlock_end() or unlock_fail(), sooner or later */
};

/* Which of the volume's keys may be used for it. */
enum unlock_pick {
        PICK_ANY,
        PICK_TOKEN,                      /* that token's only: whoever makes the mapping uses its keyslot */
        PICK_KEY,                        /* that key only; it need not be on the list */
        PICK_VERSION,                    /* that version of that key only; as above */
        PICK_OTHERS,                     /* any but that key */
};

/* One of the others, who was asked while the volume is opened by one of the keys. */
struct unlock_other {
        struct unlock *unlock;
        struct key *key;                 /* NULL: has answered, or was not asked */
        struct key_waiter waiter;
};

struct unlock {
        LIST_ENTRY(unlock) joined;       /* of the volume, while another attach of it goes on */
        struct manager *manager;
        const struct unlock_verb *verb;
        struct volume *volume;           /* ours from the moment it is ATTACHING or RESUMING; header_only: a stand-in */
        enum volume_state before;        /* to go back to when it fails */
        bool read_only;
        bool automatic;                  /* nobody asked but udev: automatic.h */
        uint32_t disk_flags;             /* for the children, beside what unlock_disk_request() says */
        char other_uuid[37];             /* of the header that look's may take the place of; empty: its own */
        bool by_path;                    /* asked for as a device, not as a volume */
        char device[257];
        char name_wanted[65];            /* asked for by name or UUID: the disk must be that one */
        struct requester who;
        struct disk_reply header;
        enum unlock_pick pick;
        unsigned pick_token;
        struct key_uri pick_key;
        struct wrap_choice choice;       /* of header.wraps: all that count */
        struct wrap_choice tries;        /* those by which it may be opened, in order */
        enum revoke revoke;              /* as configured; what the owners' tags say is known once the keys are bound */
        unsigned at;                     /* the one in tries that is being asked */
        const struct vault_config *vault;    /* of that key, until the worker has been asked: a reload takes it away */
        char refusals[1000];             /* what the keys before it said; exit code: the one that says most */
        enum exit_code refusal_code;
        struct unlock_other others[DISK_WRAPS_MAX];
        sd_event_source *others_timer;
        struct turn turn;                /* to look, and to open */
        struct disk_child *child;        /* of INSPECT, for what comes next; NULL: it did not stay */
        int secret_fd;                   /* read end */
        int key_fd;                      /* release: where the unlock key is to be written */
        struct instant issued;           /* when the unwrap was asked for */
        struct vault_reply answer;       /* of the unwrap, once there is one */
        bool answered;
        struct key_waiter proof;         /* of the challenge that has to be answered too */
        operation_done done;
        void *user;
};

/* May another one begin about this volume? A cut overtakes an unlock without ending it: whoever comes next waits until it has
 * ended by itself. Returns 0 or -EBUSY with a sentence. */
int unlock_may_own(const struct volume *v, const char **ret_why);

/* A new one, or NULL without memory. */
struct unlock *unlock_new(struct manager *m, const struct unlock_verb *verb, const struct requester *who,
                          operation_done done, void *user);
struct unlock *unlock_free(struct unlock *u);

/* What is asked for: a path below /dev, a UUID or a name of the list. Symlinks are followed once, here. */
void unlock_resolve(struct unlock *u, const char *what);

/* The same; of a volume that is open its disk, not a copy that udev lists under the same UUID. */
void unlock_resolve_open(struct unlock *u, const char *what);

/* Begins. Returns 0 (done will be called) or -ENOMEM (the caller frees). */
int unlock_start(struct unlock *u);

/* A verb about the header of a volume, open or not, from its beginning. key_fd: for the verb, or -EBADF; the unlock's from then on.
 * Returns 0 (done will be called) or -ENOMEM (key_fd stays the caller's). */
int unlock_header(struct manager *m, const struct unlock_verb *verb, const char *what, int key_fd, uint32_t disk_flags,
                  const struct requester *who, operation_done done, void *user);

/* A request for cmkd-disk about the volume, with what this node trusts it by. */
void unlock_disk_request(const struct unlock *u, enum disk_op op, struct disk_request *ret);

/* What a verb's use() ends with: that operation in a child with secret W, and with key_fd where there is one. Without
 * memory the operation ends here. */
void unlock_run(struct unlock *u, enum disk_op op, disk_callback callback);

/* The same with a request and a descriptor, or -EBADF, of the verb's own. */
void unlock_start_child(struct unlock *u, const struct disk_request *q, int fd, disk_callback callback);

/* What each callback of such a child begins with. False: the next key is being asked instead, since the keyslot of this one does not open
 * with its W; or it went wrong, and this has ended. Where a child had the volume's key and does not say what became of it, what it
 * may have made is expected (unlock_expect_mapping()). */
bool unlock_went_well(struct unlock *u, const struct disk_reply *y);

/* release.c: somebody has the volume's key and makes its mapping, or has made it: ATTACHING and v->released, under its deadline, until that is
 * seen, or usec have passed and there is none. */
void unlock_expect_mapping(struct unlock *u, uint64_t usec);

/* A verb about the header has changed it: an open volume learns what its header says now; a closed one is inspected when it is attached. */
void unlock_take_header(const struct unlock *u, const struct disk_reply *y);

/* OnForeignKeyslot=report: writes down what a child that opened the volume found beside what was enrolled. */
void unlock_report_foreign(struct unlock *u, const struct disk_reply *y);

/* Ends it: state, callbacks (of those too who asked for the same meanwhile), memory. A volume that was ATTACHING or
 * RESUMING goes back to where it was when o is a failure. */
void unlock_end(struct unlock *u, struct outcome *o);

/* The same for a refusal or a failure, which is written down as event ("refused", "failed", "verdict"). */
void unlock_fail(struct unlock *u, struct outcome *o, const char *event);

/* A cut may have overtaken it: then there is no use for the key. True: it has ended, with a record. */
bool unlock_was_overtaken(struct unlock *u);

/* ---- unlock-claim.c: what unlock.c asks before the vault is ---- */

/* What the node's list says of the disk that was inspected: identity, generations, pinned keys; fills u->choice and u->tries.
 * Returns 0 with name and role, or a negative errno with the outcome filled in. */
int unlock_check_identity(struct unlock *u, struct outcome *o, const char **ret_name, enum role *ret_role);

/* The keys that its tokens name, against the allow-list: those that are not allowed are not tried, and where that leaves
 * none, or an owner who could never revoke the volume, it is refused. As above. */
int unlock_check_keys(struct unlock *u, const char *name, enum role role, struct outcome *o);

/* The key whose turn it is; sets u->vault. As above. */
int unlock_check_key(struct unlock *u, struct key_uri *uri, struct outcome *o);

/* Enters the volume into the manager's list, or finds it there, and makes it ATTACHING and u's. Returns 0, -EINPROGRESS
 * (another attach of it is under way: join that), -EALREADY (it is open, o->volume), or as above. */
int unlock_claim_volume(struct unlock *u, const char *name, enum role role, struct outcome *o);

/* For a verb that is about the header alone: a volume in nobody's list. As above. */
int unlock_claim_header(struct unlock *u, const char *name, enum role role, struct outcome *o);

/* ---- unlock-keys.c: one key after the other, and what the others say ---- */

/* Asks the first of u->tries; what comes of it is a durable record and verb->use(), or unlock_fail(). */
void unlock_try_keys(struct unlock *u);

/* What a child said after it was given W: true where the keyslot of this key does not open with it, and the next key is being
 * asked instead. */
bool unlock_try_next(struct unlock *u, const struct disk_reply *y);

/* That a key of the volume is asked for. */
void unlock_record_request(struct unlock *u);

/* Nobody is waited for any more. */
void unlock_forget_others(struct unlock *u);

/* unlock.c: the vault said yes (y), or was not asked (NULL): written down, then used. */
void unlock_release(struct unlock *u, const struct vault_reply *y);
