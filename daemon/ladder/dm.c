/* SPDX-License-Identifier: Apache-2.0 */
#include "dm.h"
#include "subs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int find_by_number(struct mapping *m, const struct disk_request *q, struct disk_reply *y) {
        struct dm_info info;
        int r;

        if (q->dev_major == 0 && q->dev_minor == 0)
                return op_fail(y, -EINVAL, EXIT_CODE_USAGE, "The request names no volume");
        r = dm_query_dev(m->control, q->dev_major, q->dev_minor, &info);
        if (r == -ENXIO || r == -ENODEV || r == -EINVAL)
                return 0;
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "Device %u:%u cannot be asked for: %s", q->dev_major,
                               q->dev_minor, strerror(-r));
        if (!startswith(info.uuid, DM_CRYPT_UUID_PREFIX))
                return op_fail(y, -EPERM, EXIT_CODE_POLICY, "Device %u:%u is not the mapping of a LUKS2 volume",
                               q->dev_major, q->dev_minor);
        memcpy(m->dm_uuid, info.uuid, sizeof(m->dm_uuid));
        return 1;
}

static void fill_reply(const struct mapping *m, struct disk_reply *y) {
        y->flags |= DISK_FLAG_MAPPED|DISK_FLAG_OURS;
        if (m->info.state & DM_STATE_SUSPENDED)
                y->flags |= DISK_FLAG_SUSPENDED;
        if (m->info.state & DM_STATE_READ_ONLY)
                y->flags |= DISK_FLAG_READ_ONLY;
        if (m->table.all_error)
                y->flags |= DISK_FLAG_ERROR_TABLE;
        y->dev_major = m->info.major;
        y->dev_minor = m->info.minor;
        y->sectors = m->table.sectors;
}

int mapping_find(struct mapping *m, const struct disk_request *q, struct disk_reply *y) {
        int r;

        *m = (struct mapping) MAPPING_NONE;
        memcpy(y->name, q->name, sizeof(y->name));
        memcpy(y->uuid, q->uuid, sizeof(y->uuid));
        m->control = dm_open_control();
        if (m->control < 0)
                return op_fail(y, m->control, EXIT_CODE_FAILED, "Device-mapper cannot be reached: %s",
                               strerror(-m->control));
        if (*q->uuid && *q->mapping)
                r = dm_crypt_uuid(q->uuid, q->mapping, m->dm_uuid) < 0
                        ? op_fail(y, -EINVAL, EXIT_CODE_USAGE, "The request names no volume") : 1;
        else
                r = find_by_number(m, q, y);
        if (r <= 0)
                return r;
        r = dm_query(m->control, mapping_id(m), &m->info);
        if (r == -ENXIO)
                return 0;
        if (r >= 0)
                r = dm_query_table(m->control, mapping_id(m), &m->table);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The mapping of %s cannot be asked for: %s", q->name,
                               strerror(-r));
        m->present = true;
        fill_reply(m, y);
        return 0;
}

void mapping_done(struct mapping *m) {
        m->control = safe_close(m->control);
}

bool mapping_part_waits(const struct mapping *m) {
        struct subs subs;

        if (!m->present)
                return false;
        subs_find(m, &subs);
        for (size_t i = 0; i < subs.n; i++)
                if (subs.d[i].state & DM_STATE_SUSPENDED)
                        return true;
        return false;
}

static void note_swap(const char *path _unused_, void *userdata) {
        *(bool *) userdata = true;
}

static int read_own(struct mounts *ret) {
        _cleanup_(closep) int proc = open("/proc", O_RDONLY|O_DIRECTORY|O_CLOEXEC);

        return proc < 0 ? -errno : mounts_read_own(proc, ret);
}

static int find_mounts(struct usage *u, int (*read_mounts)(struct mounts *ret), struct disk_reply *y) {
        int r;

        r = read_mounts(&u->mounts);
        if (r >= 0)
                r = mounts_mark(&u->mounts, &u->stack);
        return r < 0 ? op_fail(y, r, EXIT_CODE_FAILED, "The mounts of this machine cannot be read: %s", strerror(-r)) : 0;
}

int usage_find_mounts(struct usage *u, struct disk_reply *y) {
        return find_mounts(u, mounts_read, y);
}

static int find_usage(struct usage *u, const struct mapping *m, int (*read_mounts)(struct mounts *ret), struct disk_reply *y) {
        struct subs subs;
        int r;

        if (!m->present)
                return 0;
        stack_add_above(&u->stack, m->info.major, m->info.minor, 0);
        subs_find(m, &subs);
        for (size_t i = 0; i < subs.n; i++)
                (void) stack_add(&u->stack, subs.d[i].major, subs.d[i].minor, 0);
        /* A mount, swap and whatever stands on a device have it open. */
        u->none = m->info.open_count == 0 && subs.n == 0;
        if (u->none)
                return 0;
        r = find_mounts(u, read_mounts, y);
        if (r < 0)
                return r;
        (void) usage_for_each_swap(u, note_swap, &u->swap);
        if (usage_count_mounts(u) > 0)
                y->flags |= DISK_FLAG_MOUNTED;
        if (u->swap)
                y->flags |= DISK_FLAG_SWAP;
        if (usage_of_system(u))
                y->flags |= DISK_FLAG_SYSTEM;
        return 0;
}

int usage_find(struct usage *u, const struct mapping *m, struct disk_reply *y) {
        return find_usage(u, m, mounts_read, y);
}

int usage_find_own(struct usage *u, const struct mapping *m, struct disk_reply *y) {
        return find_usage(u, m, read_own, y);
}

void usage_done(struct usage *u) {
        mounts_free(&u->mounts);
}

const char *usage_of_system(const struct usage *u) {
        if (u->swap)
                return "swap";
        for (const char *const *place = system_places; *place; place++) {
                const struct mount *m = mounts_find_path(&u->mounts, *place);

                if (m && m->on_volume)
                        return *place;
        }
        return NULL;
}

/* Where the root of this system is on the volume all processes use it: nothing is killed or unmounted. The end of such a
 * volume is a power off. */
static int refuse_root(const struct usage *u, const struct disk_request *q, struct disk_reply *y) {
        const struct mount *root = mounts_find_path(&u->mounts, "/");

        if (!root || !root->on_volume)
                return 0;
        return op_fail(y, -EPERM, EXIT_CODE_POLICY, "%s carries the root of this system, which all processes use: nothing "
                                                    "is killed or unmounted", q->name);
}

static int open_usage(struct mapping *m, struct usage *u, const struct disk_request *q, int (*read_mounts)(struct mounts *ret),
                      struct disk_reply *y) {
        int r;

        r = mapping_find(m, q, y);
        if (r >= 0)
                r = find_usage(u, m, read_mounts, y);
        if (r < 0 || !m->present)
                return r < 0 ? r : 0;
        r = refuse_root(u, q, y);
        return r < 0 ? r : 1;
}

int usage_open(struct mapping *m, struct usage *u, const struct disk_request *q, struct disk_reply *y) {
        return open_usage(m, u, q, mounts_read, y);
}

int usage_open_own(struct mapping *m, struct usage *u, const struct disk_request *q, struct disk_reply *y) {
        return open_usage(m, u, q, read_own, y);
}

unsigned usage_count_mounts(const struct usage *u) {
        unsigned n = 0;

        for (size_t i = 0; i < u->mounts.n; i++)
                n += u->mounts.m[i].on_volume;
        return n;
}

void usage_describe_mounts(const struct usage *u, char *buf, size_t size) {
        const char *comma = "";
        size_t n = 0;

        *buf = 0;
        for (size_t i = 0; i < u->mounts.n; i++) {
                const struct mount *m = &u->mounts.m[i];
                int k;

                if (!m->on_volume)
                        continue;
                if (m->ns == u->mounts.own_ns)
                        k = snprintf(buf + n, size - n, "%s%s", comma, m->line.point);
                else
                        k = snprintf(buf + n, size - n, "%s%s (namespace of process %d)", comma, m->line.point, m->pid);
                if (k < 0 || (size_t) k >= size - n)
                        return;
                n += (size_t) k;
                comma = ", ";
        }
}

static bool swap_is_on(const struct usage *u, const char *path) {
        _cleanup_(closep) int fd = open(path, O_PATH|O_CLOEXEC);
        struct stat st;
        uint64_t id;

        if (fd < 0)
                return false;
        if (fd_mount_id(fd, &id) >= 0 && mounts_have_id(&u->mounts, id))
                return true;
        /* Not a file on the volume, so asking is safe. */
        return fstat(fd, &st) >= 0 && S_ISBLK(st.st_mode) &&
               stack_find(&u->stack, major(st.st_rdev), minor(st.st_rdev));
}

unsigned usage_for_each_swap(const struct usage *u, void (*f)(const char *path, void *userdata), void *userdata) {
        _cleanup_(freep) char *text = NULL;
        unsigned n = 0;

        if (read_small_file("/proc/swaps", 1024 * 1024, &text, NULL) < 0)
                return 0;
        for (char *line, *p = text; (line = strsep(&p, "\n"));) {
                const char *path = swap_line_path(line);

                if (!path || !swap_is_on(u, path))
                        continue;
                f(path, userdata);
                n++;
        }
        return n;
}
