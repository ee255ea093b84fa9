/* SPDX-License-Identifier: Apache-2.0 */

/* STEP_REMOVE, STEP_VERIFY, DEACTIVATE: the end of a mapping, and the proof that nothing is left of it. */

#include "array.h"
#include "reencryption.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define REMOVE_WAIT_USEC (2 * USEC_PER_SEC)
#define PAUSE_MIN_MSEC 10u
#define PAUSE_MAX_MSEC 160u
#define KEYS_WAIT_USEC (500 * USEC_PER_MSEC)

/* There is no event for "the last opener is gone": ask again, ever less often. */
static int remove_retried(int control, struct dm_id id, uint64_t wait_usec) {
        uint64_t until = now_boottime_usec() + wait_usec;
        unsigned pause = PAUSE_MIN_MSEC;
        int r;

        for (;;) {
                const struct timespec ts = { 0, (long) pause * 1000 * 1000 };

                r = dm_remove(control, id, false);
                if (r != -EBUSY || now_boottime_usec() >= until)
                        return r == -ENXIO ? 0 : r;
                (void) nanosleep(&ts, NULL);
                pause = MIN_OF(pause * 2, PAUSE_MAX_MSEC);
        }
}

/* Where udev keeps no links there may be a node that dmsetup made. */
static void remove_node(const struct dm_info *info) {
        char path[sizeof("/dev/mapper/") + DM_IOCTL_NAME_SIZE];
        struct stat st;

        snprintf(path, sizeof(path), "/dev/mapper/%s", info->name);
        if (!strchr(info->name, '/') && lstat(path, &st) >= 0 && S_ISBLK(st.st_mode) &&
            major(st.st_rdev) == info->major && minor(st.st_rdev) == info->minor)
                (void) unlink(path);
}


/* What stands on the mapping goes before it, the highest first. */
static void remove_above(const struct mapping *m) {
        struct stack stack = {};

        stack_add_above(&stack, m->info.major, m->info.minor, 0);
        for (unsigned depth = stack.n; depth > 0; depth--)
                for (size_t i = 0; i < stack.n; i++) {
                        const struct stack_device *d = &stack.d[i];
                        struct dm_info info;

                        if (d->depth != depth)
                                continue;
                        if (array_is(d->major, d->minor))
                                (void) array_stop(d->major, d->minor, USEC_PER_SEC);
                        else if (dm_query_dev(m->control, d->major, d->minor, &info) >= 0 &&
                                 remove_retried(m->control, (struct dm_id) { .name = info.name }, USEC_PER_SEC) >= 0)
                                remove_node(&info);
                }
}

static int remove_mapping(const struct mapping *m, uint64_t wait_usec, struct disk_reply *y) {
        int r;

        r = remove_retried(m->control, mapping_id(m), wait_usec);
        if (r < 0)
                return r;
        remove_node(&m->info);
        y->flags &= ~(uint32_t) (DISK_FLAG_MAPPED|DISK_FLAG_OURS|DISK_FLAG_SUSPENDED|DISK_FLAG_ERROR_TABLE);
        return 0;
}

static int remove_subs(const struct mapping *m, const struct subs *subs) {
        int r;

        r = subs_remove(m, subs, REMOVE_WAIT_USEC);
        if (r >= 0 && subs->has_tags)
                remove_node(&subs->tags);
        return r;
}

/* Where nobody is seen to use it: who may all the same. Nobody is killed for that. */
static void describe_rings(char *buf, size_t size) {
        _cleanup_(holders_free) struct holders found = {};
        char names[256];

        (void) holders_find_rings(&found);
        if (found.n == 0)
                return;
        holders_describe(&found, names, sizeof(names));
        snprintf(buf, size, ", nobody is seen to use it, but files registered with io_uring cannot be seen: %s", names);
}

/* " by NAME (PID), ...; mounted on ...", whatever there is of it. */
static void describe_users(const struct mapping *mapping, char *buf, size_t size) {
        _cleanup_(holders_free) struct holders found = {};
        _cleanup_(usage_done) struct usage u = {};
        struct mapping now = *mapping;
        struct disk_reply scratch = {};
        char names[256] = "", where[256] = "";

        if (dm_query(now.control, mapping_id(&now), &now.info) < 0 || usage_find(&u, &now, &scratch) < 0)
                return;
        (void) holders_find(&u.mounts, &u.stack, true, &found);
        holders_describe(&found, names, sizeof(names));
        usage_describe_mounts(&u, where, sizeof(where));
        snprintf(buf, size, "%s%s%s%s%s%s", *names ? ", used by " : "", names, *where ? ", mounted on " : "", where,
                 u.stack.n > 1 ? ", other devices are on top of it" : "", u.swap ? ", swapped to" : "");
        if (!*buf)
                describe_rings(buf, size);
}

int op_step_remove(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        char users[700] = "";
        struct subs subs = {};
        int r;

        r = mapping_find(&m, q, y);
        if (r < 0)
                return r;
        if (m.present) {
                remove_above(&m);
                r = remove_mapping(&m, REMOVE_WAIT_USEC, y);
        }
        subs_find(&m, &subs);
        if (r >= 0)
                r = remove_subs(&m, &subs);
        (void) keys_drop(q->uuid, 0);
        if (r >= 0)
                return 0;
        describe_users(&m, users, sizeof(users));
        (void) dm_remove(m.control, mapping_id(&m), true);
        if (r == -EBUSY)
                return op_fail(y, r, EXIT_CODE_BUSY, "%s: %s, its removal is pending%s", q->name,
                               y->flags & DISK_FLAG_ERROR_TABLE ? "cut" : "not cut", users);
        return op_fail(y, r, EXIT_CODE_FAILED, "The mapping of %s is not removed: %s%s", q->name, strerror(-r), users);
}

/* None of the volume's keys is left where this process can see them, and it could look. */
static int check_keys(const struct disk_request *q, const char *what, struct disk_reply *y) {
        int n = keys_drop(q->uuid, KEYS_WAIT_USEC);

        if (n < 0)
                return op_fail(y, n, EXIT_CODE_FAILED, "%s%s: the kernel's keyrings cannot be looked at for keys of it: %s", q->name, what,
                               strerror(-n));
        y->count = (uint32_t) n;
        return n == 0 ? 0 : op_fail(y, -EKEYREJECTED, EXIT_CODE_BUSY, "%s%s: %d keys of it are left in keyrings of the kernel", q->name, what, n);
}

static int take_name(const struct dm_info *info, void *userdata) {
        memcpy(userdata, info->name, DM_IOCTL_NAME_SIZE);
        return 1;
}

/* Any mapping of the same LUKS2 volume, under whatever name. Returns 1 (found), 0 or -errno. */
static int find_any_mapping(int control, const char *uuid, char ret_name[static DM_IOCTL_NAME_SIZE]) {
        char prefix[DM_IOCTL_UUID_SIZE];
        int r;

        r = dm_crypt_uuid(uuid, "x", prefix);
        if (r < 0)
                return r;
        prefix[strlen(prefix) - 1] = 0;
        return dm_list(control, prefix, take_name, ret_name);
}

int op_step_verify(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        char other[DM_IOCTL_NAME_SIZE], users[700] = "";
        struct subs subs = {};
        int r;

        if (!*q->name || !*q->uuid)
                return op_fail(y, -EINVAL, EXIT_CODE_USAGE, "The request names no volume");
        r = mapping_find(&m, q, y);
        if (r < 0)
                return r;
        (void) keys_drop(q->uuid, 0);
        if (m.present) {
                describe_users(&m, users, sizeof(users));
                return op_fail(y, -EBUSY, EXIT_CODE_BUSY, "%s still has a mapping, %s%s", q->name,
                               m.table.all_error ? "cut" : "not cut", users);
        }
        subs_find(&m, &subs);
        if (subs.has_tags)
                return op_fail(y, -EBUSY, EXIT_CODE_BUSY, "%s still has %s, which kept its integrity tags", q->name, subs.tags.name);
        if (subs.n > 0)
                return op_fail(y, -EBUSY, EXIT_CODE_BUSY, "%s still has %zu mappings of its reencryption, %s first", q->name,
                               subs.n, subs.d[0].name);
        r = find_any_mapping(m.control, q->uuid, other);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The mappings of this machine cannot be listed: %s",
                               strerror(-r));
        if (r > 0) {
                y->flags |= DISK_FLAG_MAPPED;
                return op_fail(y, -EBUSY, EXIT_CODE_BUSY, "%s is also mapped as %s, which is not ours", q->name, other);
        }
        return check_keys(q, "", y);
}

int op_deactivate(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        _cleanup_(usage_done) struct usage u = {};
        struct subs subs = {};
        char users[700] = "";
        int r;

        r = mapping_find(&m, q, y);
        if (r >= 0)
                r = usage_find(&u, &m, y);
        if (r < 0)
                return r;
        if (!m.present) {
                (void) keys_drop(q->uuid, 0);
                return 0;
        }
        /* Openers that come and go (udev's probing) are waited for; mounts, swap and devices on top are not. */
        if (usage_count_mounts(&u) > 0 || u.swap || u.stack.n > 1)
                r = -EBUSY;
        else
                r = remove_mapping(&m, REMOVE_WAIT_USEC, y);
        subs_find(&m, &subs);
        if (r >= 0 && subs.has_tags)
                r = remove_subs(&m, &subs);
        if (r < 0) {
                describe_users(&m, users, sizeof(users));
                return op_fail(y, r, r == -EBUSY ? EXIT_CODE_BUSY : EXIT_CODE_FAILED, "%s cannot be closed: %s%s",
                               q->name, strerror(-r), users);
        }
        y->flags &= ~(uint32_t) (DISK_FLAG_MOUNTED|DISK_FLAG_SWAP|DISK_FLAG_SYSTEM);
        return check_keys(q, " is closed", y);
}
