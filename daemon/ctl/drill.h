/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmkctl drill: a cut, from beginning to end, on a volume that is made for it and thrown away.
 *
 *   drill.c ─► drill-disk.c     a file without a name in /var/lib/cmkd, a loop device over it
 *          │ DrillBegin, Format, Attach (the verbs of everybody, by the real vault)
 *          ├─► drill-holders.c  a file system in a mount namespace of its own, and four processes that use it
 *          │ Cut: from the manager's decision on what a revocation does
 *          ├─► drill-trail.c    when each step was done, from the trail: the manager's records and the kernel's
 *          ├─► drill-look.c     what is left
 *          │ DrillEnd
 *          └─► drill-report.c   claims and bounds, as a table or as JSON (pure)
 *
 * All that it makes goes with this process, or with cmkd's end of the drill: the file has no name, the loop device is
 * cleared by its last user, the mount by its namespace, the processes by the death of their parent, the mapping by cmkd,
 * which sees the connection close. Nothing has to be cleaned up by a later run. */

#include "bus.h"

#include "common/key-uri.h"

#define DRILL_MARKER_SIZE 64u            /* random bytes that the drill's file is full of */
#define DRILL_BLOCK 4096u
#define DRILL_MARGIN_USEC (2 * USEC_PER_SEC)      /* what the cooperative bound has for the node's own work */
#define DRILL_GONE_USEC (10 * USEC_PER_SEC)       /* until the last mapping is gone, after that */
#define DRILL_SIZE_MIN_MIB 32u
#define DRILL_SIZE_MAX_MIB 4096u

/* ---- drill-disk.c ---- */

struct drill_disk {
        int file, loop;
        char device[32];                 /* /dev/loopN; empty: none yet */
};

#define DRILL_DISK_NONE ((struct drill_disk) { .file = -EBADF, .loop = -EBADF })

/* Makes both; what has been made is in ret in any case, for drill_disk_release(). Returns an exit code. */
int drill_disk_make(uint64_t size, struct drill_disk *ret);

/* Gives the loop device back. The file stays open until drill_disk_done(). */
void drill_disk_release(struct drill_disk *d);
void drill_disk_done(struct drill_disk *d);

/* Waits until nothing is behind the loop device, for a short while: its last user may be udev. */
bool drill_disk_is_gone(const struct drill_disk *d);

/* Looks for the marker in all that the file holds. Returns 1 (found), 0, or -errno; *ret_size: how much was read. */
int drill_disk_search(const struct drill_disk *d, const uint8_t *marker, uint64_t *ret_size);

/* ---- drill-holders.c ---- */

enum drill_holder { HOLDER_WRITER, HOLDER_MAPPED, HOLDER_CWD, HOLDER_RAW, _DRILL_HOLDER_MAX };

/* Shared with the processes; times are CLOCK_BOOTTIME. */
struct drill_use {
        pid_t pid;
        uint64_t n;                      /* how often it could read or write */
        uint64_t last_usec;              /* when that began that succeeded last */
        uint64_t gone_usec;              /* 0: it is still there */
        int status;                      /* as of waitpid(2), once it is gone */
};

struct drill_page {
        pid_t keeper;                    /* has the namespace, holds nothing */
        int error;                       /* why it came to nothing */
        char what[96];                   /* what failed */
        uint64_t offset;                 /* of the marker's first block on the mapping */
        struct drill_use uses[_DRILL_HOLDER_MAX];
};

struct drill_holders {
        struct drill_page *page;
        int ready;                       /* a byte comes when all hold */
};

/* Makes a file system on node, mounts it where only the holders see it, fills it with the marker, and starts them. Returns
 * an exit code; what has been started is in ret in any case, for drill_holders_stop(). */
int drill_holders_start(const char *node, const uint8_t *marker, struct drill_holders *ret);

/* Waits until all four are gone, at most so long. */
bool drill_holders_wait(struct drill_holders *h, uint64_t timeout_usec);

/* Ends whatever is left of them. */
void drill_holders_stop(struct drill_holders *h);

/* ---- drill-trail.c ---- */

#define DRILL_STEPS_MAX 16u

struct drill_step {
        char name[16];                   /* "open", "cut", ... */
        uint64_t at_usec;                /* since the decision */
        char result[64];
};

/* All zero to begin with. What was not seen is 0. */
struct drill_times {
        uint64_t first, last;            /* numbers of the records that are the drill's */
        uint64_t unwrap_usec, challenge_usec;    /* round trips of the vault */
        uint64_t decided_usec;           /* CLOCK_BOOTTIME of the manager's decision; the others since then */
        uint64_t cut_usec, key_usec, removed_usec;
        bool key_by_kernel;              /* the kernel's own record of the key's end was seen */
        bool removed, lingering;
        char uuid[37];                   /* as the trail has it: with Privacy=strict it is another */
        struct drill_step steps[DRILL_STEPS_MAX];
        size_t n_steps;
};

struct record;
struct reader;

/* Pure: takes in one record of the trail. uuid: of the drill's volume; records of others are left alone. */
void drill_times_note(struct drill_times *t, const char *id, const char *uuid, const struct record *r);

/* Opens the trail behind its last record. Returns an exit code. */
int drill_trail_open(struct reader **ret);

/* Reads on until the cut is told of from its beginning to its end, at most so long. Returns 0, -ETIMEDOUT or -errno. */
int drill_trail_read(struct reader *r, const char *id, const char *uuid, uint64_t timeout_usec,
                     struct drill_times *t);

/* ---- drill-look.c ---- */

/* Whether there is a mapping of that name, or of the LUKS2 volume of that UUID under whatever name. */
bool drill_has_mapping(const char *name, const char *uuid);

/* In how many mount namespaces a device is mounted. */
unsigned drill_count_mounts(unsigned major, unsigned minor);

/* How many keys of the volume are in keyrings that this process may look at. */
unsigned drill_count_keys(const char *uuid);

/* ---- drill-report.c ---- */

enum drill_claim {
        CLAIM_CONTROL, CLAIM_POLICY, CLAIM_CUT, CLAIM_KEY, CLAIM_READERS, CLAIM_KILLED, CLAIM_UNMOUNTED, CLAIM_REMOVED,
        CLAIM_KEYRING, CLAIM_CIPHERTEXT, CLAIM_CLEAN,
        _DRILL_CLAIM_MAX,
};

enum drill_verdict { DRILL_UNTESTED, DRILL_HOLDS, DRILL_FAILS };

struct drill_policy {
        uint64_t poll_usec, confirm_usec, notice_usec, lease_usec, grace_usec, hold_usec;
        char on_revoked[16], on_unreachable[16];
};

struct drill_report {
        char id[37], uuid[37], key[KEY_URI_MAX], device[32];
        const char *role;
        uint64_t size_mib;
        struct drill_policy policy;
        struct drill_times times;
        struct drill_use uses[_DRILL_HOLDER_MAX];
        struct { enum drill_verdict verdict; char detail[160]; } claims[_DRILL_CLAIM_MAX];
};

const char *drill_holder_to_string(enum drill_holder h);

/* What was seen of a claim; format: for people. */
void drill_claim(struct drill_report *r, enum drill_claim c, bool holds, const char *format, ...) _printf_(4, 5);

/* What follows from times, uses and policy alone: CUT, KEY, READERS, KILLED, POLICY. */
void drill_judge(struct drill_report *r);

/* Whether the ladder's step of that name did what it had to. */
bool drill_step_is_done(const struct drill_times *t, const char *name);

/* Every claim up to and without that one holds. */
bool drill_holds(const struct drill_report *r, enum drill_claim before);

/* From the values of the volume's property Policy: "30 ([Policy])", "cut (default)". Returns 0, or -EBADMSG where one is
 * missing or is not understood. */
int drill_policy_parse(struct json_object *policy, struct drill_policy *ret);

/* USEC_INFINITY: there is none, since the policy only reports. */
uint64_t drill_bound_cooperative(const struct drill_policy *p, const struct drill_times *t);
uint64_t drill_bound_blocked(const struct drill_policy *p);

/* "cut, keyring": the claims that do not hold; "" where all do. */
void drill_failed_claims(const struct drill_report *r, char *buf, size_t size);

/* Both return an exit code: FAILED where the result cannot be written. */
int drill_print(const struct drill_report *r);
int drill_print_json(const struct drill_report *r);
