/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The way from a device to a key that may be used; attach, resume and release share it:
 *
 *   INSPECT (child) ─► list, allow-list, generation ─► record "request" ─► unwrap into a pipe (worker)
 *      ─► a challenge is granted too (key_prove) ─► record "release", durable ─► breaker armed
 *      ─► verb->use(): a child that reads the pipe
 *
 * No audit, no key: use() is called only after the record is durable (or OnTrailFailure=continue says otherwise).
 * Secret W goes from the worker into the pipe and from there into the child: it is never in this process. */

#include <systemd/sd-event.h>

#include "common/config.h"
#include "disk-child.h"
#include "key.h"
#include "operation.h"

struct manager;
struct unlock;

struct unlock_verb {
        const char *name;                /* for the trail */
        bool open_is_done;               /* a volume that is ATTACHED already, or about to be, is what was asked for */
        bool header_only;                /* it is about the header: an open volume stays as it is, and as busy */
        bool keyless;                    /* the vault is not asked */
        bool one_child;                  /* use() is unlock_run(): by the child that inspected, where it is still there */
        const char *done_event;          /* header_only: the record that says what was done to it */
        void (*use)(struct unlock *u);   /* ends with unlock_end() or unlock_fail(), sooner or later */
};

struct unlock {
        LIST_ENTRY(unlock) joined;       /* of the volume, while another attach of it goes on */
        struct manager *manager;
        const struct unlock_verb *verb;
        struct volume *volume;           /* ours from the moment it is ATTACHING or RESUMING; header_only: a stand-in */
        enum volume_state before;        /* to go back to when it fails */
        bool read_only;
        bool automatic;                  /* nobody asked but udev: automatic.h */
        bool by_path;                    /* asked for as a device, not as a volume */
        char device[257];
        char name_wanted[65];            /* asked for by name or UUID: the disk must be that one */
        struct requester who;
        struct disk_reply header;
        const struct vault_config *vault;    /* until the worker has been asked: a reload takes it away */
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

/* Begins. Returns 0 (done will be called) or -ENOMEM (the caller frees). */
int unlock_start(struct unlock *u);

/* A request for cmkd-disk about the volume, with what this node trusts it by. */
void unlock_disk_request(const struct unlock *u, enum disk_op op, struct disk_request *ret);

/* What a verb's use() ends with: that operation in a child with secret W, and with key_fd where there is one. Without
 * memory the operation ends here. */
void unlock_run(struct unlock *u, enum disk_op op, disk_callback callback);

/* OnForeignKeyslot=report: writes down what a child that opened the volume found beside what was enrolled. */
void unlock_report_foreign(struct unlock *u, const struct disk_reply *y);

/* Ends it: state, callbacks (of those too who asked for the same meanwhile), memory. A volume that was ATTACHING or
 * RESUMING goes back to where it was when o is a failure. */
void unlock_end(struct unlock *u, struct outcome *o);

/* The same for a refusal or a failure, which is written down as event ("refused", "failed", "verdict"). */
void unlock_fail(struct unlock *u, struct outcome *o, const char *event);

/* ---- unlock-claim.c: what unlock.c asks before the vault is ---- */

/* What the node's list says of the disk that was inspected: identity, generation, pinned key. Returns 0 with name and role, or
 * a negative errno with the outcome filled in. */
int unlock_check_identity(struct unlock *u, struct outcome *o, const char **ret_name, enum role *ret_role);

/* The key that its token names, against the allow-list; sets u->vault. As above. */
int unlock_check_key(struct unlock *u, struct key_uri *uri, struct outcome *o);

/* Enters the volume into the manager's list, or finds it there, and makes it ATTACHING and u's. Returns 0, -EINPROGRESS
 * (another attach of it is under way: join that), -EALREADY (it is open, o->volume), or as above. */
int unlock_claim_volume(struct unlock *u, const char *name, enum role role, struct outcome *o);

/* For a verb that is about the header alone: a volume in nobody's list. As above. */
int unlock_claim_header(struct unlock *u, const char *name, enum role role, struct outcome *o);
