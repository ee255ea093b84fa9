/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The mapping that a request means, and who uses it: what each step of the ladder begins with.
 *
 *   request {name, uuid} ─► dm uuid ─► mapping ─► stack (sysfs) ─► mounts (all namespaces) ─► holders
 *
 * A mapping is found by its dm uuid, never by its name or number alone: those are used again by others. Only where a
 * request has no UUID does its device number count, and then only if a LUKS2 mapping has it. A mapping that is not
 * there is no error to any step: what it was to do is done. */

#include "holders.h"
#include "ops.h"

#include "common/dm-ioctl.h"

struct mapping {
        int control;                     /* /dev/mapper/control */
        bool present;
        char dm_uuid[DM_IOCTL_UUID_SIZE];
        struct dm_info info;             /* where it is present */
        struct dm_table table;
};

#define MAPPING_NONE { .control = -EBADF }

/* The id for dm-ioctl.h's calls. */
static inline struct dm_id mapping_id(const struct mapping *m) { return (struct dm_id) { .uuid = m->dm_uuid }; }

/* Finds the mapping and fills y's flags, device, sectors, name and uuid. Fills y on failure: -EINVAL (the request names
 * nothing), -EPERM (a device number that is no LUKS2 mapping's), or what open(2) and ioctl(2) say. */
int mapping_find(struct mapping *m, const struct disk_request *q, struct disk_reply *y);
void mapping_done(struct mapping *m);

/* Whether one of cryptsetup's mappings below it (subs.h) is suspended, as the part is that is being encrypted: whoever uses that waits. A header
 * does not say so of all of that time. */
bool mapping_part_waits(const struct mapping *m);

/* What stands on a mapping. */
struct usage {
        struct stack stack;
        struct mounts mounts;
        bool swap;                       /* one of the stack, or a file on it, is swapped to */
        bool none;                       /* nobody had it open when the mapping was found: no mounts were read */
};

/* Fills u, which must be zeroed. Fills y on failure: -ENOMEM, or what opening /proc says. */
int usage_find(struct usage *u, const struct mapping *m, struct disk_reply *y);

/* The same with the mounts of the calling process's namespace only: all there is on most machines, and the others are most of
 * the work. */
int usage_find_own(struct usage *u, const struct mapping *m, struct disk_reply *y);

/* Only the mounts, of a stack that is filled already: of several mappings. As usage_find(). */
int usage_find_mounts(struct usage *u, struct disk_reply *y);

void usage_done(struct usage *u);

/* Says what of the volume the system cannot do without, or NULL: swap, or one of the places listed in dm.c. */
const char *usage_of_system(const struct usage *u);

/* What NOTICE, KILL and UNMOUNT begin with: the mapping, what is on it, and not the root of this system. Returns 1 (there
 * is something to do), 0 (there is no such mapping), or an error as of op_fail(). */
int usage_open(struct mapping *m, struct usage *u, const struct disk_request *q, struct disk_reply *y);

/* The same with usage_find_own(). */
int usage_open_own(struct mapping *m, struct usage *u, const struct disk_request *q, struct disk_reply *y);

unsigned usage_count_mounts(const struct usage *u);

/* "/mnt/a, /mnt/b (namespace of process 912)", cut off to fit. */
void usage_describe_mounts(const struct usage *u, char *buf, size_t size);

/* Calls f for each swap area of the stack, with its path as swapoff(2) wants it. Returns how many there were. */
unsigned usage_for_each_swap(const struct usage *u, void (*f)(const char *path, void *userdata), void *userdata);

/* Takes keys of the volume ("cryptsetup:UUID-d...") out of the keyrings that this process can see. Returns how many are
 * left after at most wait_usec (keys of a process that ends go a little later), or what reading /proc/keys says: nobody knows. */
int keys_drop(const char *uuid, uint64_t wait_usec);
