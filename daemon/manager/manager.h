/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The manager owns everything: event loop, configuration, the node's list, keys, volumes, and the links to the other
 * programs. It has no policy of its own (policy.h, lease.h) and touches neither disks nor the network.
 *
 *                 bus ──┐                       ┌── worker-link ── cmkd-vault
 *   operations: attach, │                       ├── audit-link ─── cmkd-audit
 *   format, detach ─────┼──► manager ◄── key ───┤
 *                       │       │               └── breaker-link ─ cmkd-breaker
 *            volume ◄───┘       └─► teardown ─► disk-child ─ cmkd-ladder (one a step)
 */

#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "anchoring.h"
#include "login-watch.h"
#include "audit-link.h"
#include "breaker-link.h"
#include "common/config.h"
#include "trust.h"
#include "turns.h"
#include "volume.h"
#include "worker-link.h"

#define MANAGER_RELEASE_TIMEOUT_USEC (30 * USEC_PER_SEC)    /* for the record of a release to be durable */
#define MANAGER_INTENT_USEC (200 * USEC_PER_MSEC)           /* a cut waits no longer for its record */
#define MANAGER_DISK_TIMEOUT_USEC (120 * USEC_PER_SEC)      /* format, activate: libcryptsetup may be slow */

struct bus;
struct key_socket;
struct mapping_watch;
struct mount_watch;
struct clock_watch;
struct disk_children;
struct no_cores;
struct drill;
struct scratch_job;
struct given_out;
struct trail_watch;
struct follow_run;
struct encrypt_run;

struct manager {
        sd_event *event;
        struct disk_children *children;
        struct turns looks, opens;         /* children at a time that read a header, or make a mapping */
        struct no_cores *no_cores;
        struct config *config;
        struct trust_list *trust;
        bool initramfs;                    /* cmkd --early */
        bool trust_early;                  /* it was read from its copy: /var is not there yet */
        struct worker_link *worker;
        struct audit_link *audit;
        struct anchoring anchoring;        /* ids of polls */
        struct login_watch logins;
        struct breaker_link *breaker;
        struct bus *bus;
        struct key_socket *key_socket;
        struct mount_watch *mounts;
        struct mapping_watch *mappings;
        struct trail_watch *trail_watch;
        struct clock_watch *clock;
        struct drill *drill;               /* NULL: there is none */
        LIST_HEAD(, scratch_job) scratch_jobs;     /* under way: scratch.h */
        LIST_HEAD(, volume) volumes;
        LIST_HEAD(, given_out) given_out;  /* before this start: given-out.h */
        LIST_HEAD(, key) keys;
        struct follow_run *following;      /* NULL: no volume is being rotated by itself (follow.h) */
        LIST_HEAD(, encrypt_run) encryptions;      /* under way: encrypt-run.h */
        LIST_HEAD(, header_work) works;    /* on headers: header-work.h */
        unsigned header_unlocks;           /* unlocks with header_only that are under way */
        struct { uint64_t n, usec, last_usec; } teardowns;     /* that ended clean, since this process began */
        bool adopting;                     /* that has begun */
        bool adopted;                      /* what stood at start has been taken over: verbs may begin */
};

/* Builds everything and starts to adopt what is open already. early: in an initramfs. Returns 0 or a negative errno, logged. */
int manager_new(bool early, struct manager **ret);
struct manager *manager_free(struct manager *m);
static inline void manager_freep(struct manager **m) { manager_free(*m); }

/* Runs until SIGTERM. Returns 0 or a negative errno. */
int manager_run(struct manager *m);

struct volume *manager_volume_by_name(struct manager *m, const char *name);
struct volume *manager_volume_by_uuid(struct manager *m, const char *uuid);

/* Adds a closed volume to the list. Returns 0, -EEXIST (its UUID or name is there already) or -ENOMEM. */
int manager_volume_add(struct manager *m, const char *uuid, const char *name, enum role role, struct volume **ret);

/* Takes back the deadline that the breaker has of its mapping, where there is one. */
void manager_volume_forget_deadline(struct volume *v);

/* Its mapping is of this name: a deadline that the breaker held under another is nobody's. */
void manager_volume_mapped_as(struct volume *v, const char *mapping);

/* Forgets a volume: from its key, the breaker and the list; frees it. */
void manager_volume_forget(struct manager *m, struct volume *v);

/* Reads the node's list again. Returns 0 or a negative errno (the old list stays). */
int manager_reload_trust(struct manager *m);

/* Reads configuration and list again and works out the policy of every volume anew; nothing is closed or dropped by it.
 * What cannot be used (a mistake in a file, a policy that contradicts itself, the key of an open volume that would not be
 * allowed any more) is refused as a whole: the old configuration stays, *ret_why is a sentence that the caller frees (NULL
 * without memory). Either is recorded. Returns 0 or a negative errno. */
int manager_reload(struct manager *m, const char *by, char **ret_why);

/* Called by volume_set_state(): tells the bus, and the next manager (cut-mark.h). */
void manager_volume_changed(struct manager *m, struct volume *v);

/* This machine goes on from a snapshot, or as a copy of another one: every key is polled at once. */
void manager_restored(struct manager *m);

/* Works out the volume's policy and whether a hold is possible on it, from configuration, role and the floors of its keys'
 * owners, once it has keys. */
void manager_volume_policy(struct manager *m, struct volume *v);

/* Begins a record about a volume (volume, uuid, key, use id). */
void manager_record_start(struct audit_message_record *r, const struct volume *v, const char *event, uint8_t priority,
                          bool durable);

/* Adds what the vault answered: verdict, status, code, request id, round trip. */
void manager_record_reply(struct audit_message_record *r, const struct vault_reply *y);

/* Adds the last answer about the volume's key, of several the one to tell (wrap.h), and then which it is. */
void manager_record_answer(struct audit_message_record *r, const struct volume *v);

/* Sends it; nobody waits. */
void manager_record(struct manager *m, const struct audit_message_record *r);
