/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Device-mapper by plain ioctl(2) on /dev/mapper/control: what the breaker and the steps of a teardown need of it.
 *
 *   id {uuid} ─► DM_TABLE_LOAD (error) ─► DM_DEV_SUSPEND (resume, noflush, skip lockfs) ─► DM_TABLE_STATUS: cut
 *
 * No allocation, no libdevmapper, no udev cookies: nothing here waits for another process. Buffers are on the stack,
 * some 5 KiB at most. A mapping that is addressed by its dm uuid cannot be confused with another of the same name: the
 * kernel looks it up anew in each call and fails with -ENXIO where it is gone (drivers/md/dm-ioctl.c). Only dm_cut(),
 * dm_resume(), dm_suspend() and dm_remove() may block, namely above a lower device that hangs. */

#include "util.h"

#define DM_IOCTL_NAME_SIZE 128u
#define DM_IOCTL_UUID_SIZE 129u
#define DM_CRYPT_UUID_PREFIX "CRYPT-LUKS2-"
#define DM_SUBDEV_UUID_PREFIX "CRYPT-SUBDEV-"     /* what libcryptsetup puts below such a mapping */
#define DM_INTEGRITY_UUID_PREFIX "CRYPT-INTEGRITY-"   /* ... its integrity tags, as of 2.6; as of 2.7 the one above */
#define DM_INTEGRITY_SUFFIX "_dif"

/* One of both, the other NULL. */
struct dm_id {
        const char *uuid;
        const char *name;
};

enum dm_state {
        DM_STATE_SUSPENDED = 1 << 0,
        DM_STATE_READ_ONLY = 1 << 1,
        DM_STATE_LIVE_TABLE = 1 << 2,
        DM_STATE_DEFERRED_REMOVE = 1 << 3,
        DM_STATE_INACTIVE_TABLE = 1 << 4,    /* loaded, not yet live: it may hold a key of its own */
};

struct dm_info {
        char name[DM_IOCTL_NAME_SIZE];
        char uuid[DM_IOCTL_UUID_SIZE];
        uint32_t major, minor;
        uint32_t state;                  /* enum dm_state */
        int32_t open_count;
};

struct dm_table {
        uint64_t sectors;
        uint32_t targets;
        bool all_error;                  /* at least one target, and each is `error` */
        char first_type[16];
};

enum dm_flag {
        DM_IO_NOFLUSH = 1 << 0,          /* do not write out what is under way */
        DM_IO_SKIP_LOCKFS = 1 << 1,      /* do not freeze the file system on it */
};

/* Opens the control device, making its node where udev has not (major 10, minor from /proc/misc, 236 before the module
 * is there). Allocates nothing. Returns the descriptor, or what open(2) and mknod(2) say: -ENODEV and -ENXIO mean that
 * device-mapper is not in this kernel. */
int dm_open_control(void);

/* State of a mapping. Returns 0, -ENXIO (there is none), -EINVAL (neither or both of uuid and name, or too long), or
 * what ioctl(2) says. Never blocks. */
int dm_query(int control, struct dm_id id, struct dm_info *ret);

/* Looks up a mapping by its device number. Errors of dm_query(). */
int dm_query_dev(int control, uint32_t major, uint32_t minor, struct dm_info *ret);

/* Types and sizes of the live table. The parameters of targets are not asked for: they may be keys. Errors of
 * dm_query(), and -E2BIG where the table has more targets than fit (some 40). */
int dm_query_table(int control, struct dm_id id, struct dm_table *ret);

/* Replaces the live table by one `error` target over the device and verifies that it is in place. sectors: used where
 * the live table cannot be asked, or there is none yet (0: one). A second cut finds the error table and does nothing. Works on suspended mappings.
 * Returns 0 (the live table is all `error`, the volume key is out of the kernel), -ENXIO (no such mapping), -EIO (the
 * kernel said yes, but the live table is another), -EINTR (a signal came while it blocked above a hung device: undone
 * by the kernel), or what ioctl(2) says. */
int dm_cut(int control, struct dm_id id, uint64_t sectors);

/* flags: enum dm_flag. Return 0, -ENXIO, -EINTR, or what ioctl(2) says. */
int dm_suspend(int control, struct dm_id id, unsigned flags);
int dm_resume(int control, struct dm_id id, unsigned flags);

/* Sends a message to the first target, "key wipe" for one. Returns 0, -ENXIO, -EINVAL (dm-crypt: not suspended), or
 * what ioctl(2) says. */
int dm_message(int control, struct dm_id id, const char *message);

/* Removes a mapping; deferred: when its last user goes. Returns 0, -ENXIO, -EBUSY (somebody has it open). */
int dm_remove(int control, struct dm_id id, bool deferred);

/* Calls f for each mapping whose dm uuid begins with that prefix until it returns other than 0. The kernel itself leaves out the
 * others (from Linux 5.13 on): what many mappings cost is not paid for each of them. Returns what f returned, 0, -EINVAL (the
 * prefix is empty or too long), -ENOMEM, -E2BIG (thousands of them), -EBADMSG (not what the kernel documents), or
 * what ioctl(2) says. */
int dm_list(int control, const char *prefix, int (*f)(const struct dm_info *info, void *userdata), void *userdata);

/* "CRYPT-LUKS2-<uuid without dashes>-<name>", the dm uuid that libcryptsetup gives the mapping NAME of a LUKS2 volume.
 * Returns 0 or -EINVAL (uuid not canonical, name empty or too long). */
int dm_crypt_uuid(const char *uuid, const char *name, char ret[static DM_IOCTL_UUID_SIZE]);

/* The other way: of a LUKS2 volume's mapping, made by whomever. Pure. Returns 0 or -EINVAL (another kind of mapping, or
 * a name that dm_mapping_name_is_valid() does not take). */
int dm_crypt_uuid_parse(const char *s, char ret_uuid[static 37], char ret_mapping[static DM_IOCTL_UUID_SIZE]);

/* Whether that is the dm uuid of the mapping that keeps a LUKS2 volume's integrity tags: "CRYPT-SUBDEV-<uuid>-<name>_dif" or
 * "CRYPT-INTEGRITY-...". Pure. Returns what follows the prefix, or NULL. */
const char *dm_integrity_uuid_parse(const char *s);

/* The last part of a dm uuid, after the volume's: the name that the mapping was made under, by whomever. Printable
 * ASCII without slash, and short enough for dm_crypt_uuid(). */
bool dm_mapping_name_is_valid(const char *s);
