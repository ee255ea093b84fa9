/* SPDX-License-Identifier: Apache-2.0 */

/* STEP_OPEN, SHUT, CUT, THAW, FLUSH: from a file system that is in use to a device that nobody can read. */

#include "apart.h"
#include "array.h"
#include "dm.h"
#include "reencryption.h"
#include "roots.h"
#include "superblock.h"
#include "swap.h"

#include "common/batch.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* One number and one meaning for ext4, xfs and f2fs (fs/ext4/ext4.h, fs/xfs/libxfs/xfs_fs.h, fs/f2fs/f2fs.h): 2 is
 * "without flushing the log". */
#define FS_IOC_SHUT _IOR('X', 125, uint32_t)
#define SHUT_NO_LOG_FLUSH 2u

/* Part of what the manager gives a step, so that the step itself can say what hangs. */
#define ROOTS_WAIT_MSEC 800u
#define UNMOUNTED_WAIT_MSEC 300u
#define SWAPOFF_WAIT_MSEC 300u
#define SETTLE_WAIT_MSEC 250u
/* For the volumes below the same stack to be suspended too. */
#define BATCH_WAIT_USEC (500 * USEC_PER_MSEC)

/* One root for each file system, the highest in the stack first. */
struct roots {
        int fd[ROOTS_MAX];
        unsigned depth[ROOTS_MAX];
        size_t n;
        struct stack seen, opened;
        int error;                       /* of the last that could not be opened */
};

static void roots_done(struct roots *roots) {
        for (size_t i = 0; i < roots->n; i++)
                safe_close(roots->fd[i]);
}

static bool is_wanted(const struct roots *roots, uint32_t major, uint32_t minor) {
        return roots->n < ROOTS_MAX && !stack_find(&roots->opened, major, minor);
}

/* Takes over fd, which may be an error. */
static void add_root(struct roots *roots, uint32_t major, uint32_t minor, unsigned depth, int fd) {
        size_t at = roots->n;

        (void) stack_add(&roots->seen, major, minor, 0);
        if (fd < 0) {
                roots->error = fd;
                return;
        }
        (void) stack_add(&roots->opened, major, minor, 0);
        for (; at > 0 && roots->depth[at - 1] < depth; at--) {
                roots->fd[at] = roots->fd[at - 1];
                roots->depth[at] = roots->depth[at - 1];
        }
        roots->fd[at] = fd;
        roots->depth[at] = depth;
        roots->n++;
}

/* A file on a file system that is shut down cannot be opened, and swap to it not be switched off. So that is done before;
 * where it takes too long the file system is not shut down, and there is another attempt after the cut. */
struct swapped {
        struct stack keeps;              /* file systems */
        char last[256];
};

static void swap_file_off(const char *path, void *userdata) {
        struct swapped *s = userdata;
        struct stat st;

        if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || swap_switch_off(path, SWAPOFF_WAIT_MSEC) == 0)
                return;
        (void) stack_add(&s->keeps, major(st.st_dev), minor(st.st_dev), 0);
        snprintf(s->last, sizeof(s->last), "%s", path);
}

static int pack(const struct roots *roots, const struct disk_request *q, int *ret_fd, struct disk_reply *y) {
        int fd = roots_pack(roots->fd, roots->n);

        if (fd < 0)
                return op_fail(y, fd, EXIT_CODE_FAILED, "The roots of %s cannot be kept: %s", q->name, strerror(-fd));
        if (roots->n < roots->seen.n)
                snprintf(y->message, sizeof(y->message), "%zu of %zu file systems on %s cannot be opened: %s",
                         roots->seen.n - roots->n, roots->seen.n, q->name, strerror(-roots->error));
        *ret_fd = fd;
        return 0;
}

static void open_roots(struct roots *roots, const struct usage *u, const struct swapped *swapped) {
        for (size_t i = 0; i < u->mounts.n; i++) {
                const struct mount *mount = &u->mounts.m[i];
                const struct stack_device *d = stack_find(&u->stack, mount->line.major, mount->line.minor);

                if (!mount->on_volume || !d || streq(mount->line.type, "overlay") ||
                    stack_find(&swapped->keeps, d->major, d->minor))
                        continue;
                (void) stack_add(&roots->seen, d->major, d->minor, 0);
                if (is_wanted(roots, d->major, d->minor))
                        add_root(roots, d->major, d->minor, d->depth, mount_open_root(mount));
        }
}

/* Those that no mount of ours leads to. What is in other namespaces is reached like that too, sooner than by looking for it. */
static void open_unmounted(struct roots *roots, const struct usage *u, const struct swapped *swapped) {
        uint64_t until = now_boottime_usec() + UNMOUNTED_WAIT_MSEC * USEC_PER_MSEC;

        for (size_t i = 0; i < u->stack.n; i++) {
                const struct stack_device *d = &u->stack.d[i];
                uint64_t now = now_boottime_usec();
                int fd;

                if (now >= until || !is_wanted(roots, d->major, d->minor) || stack_find(&swapped->keeps, d->major, d->minor))
                        continue;
                fd = superblock_open(d->major, d->minor, (unsigned) ((until - now) / USEC_PER_MSEC) + 1);
                if (fd != -ENOENT)
                        add_root(roots, d->major, d->minor, d->depth, fd);
        }
}

/* Whether no other namespace can have one: one device, and its only file system was opened. */
static bool roots_are_all(const struct roots *roots, const struct usage *u, const struct mapping *m) {
        for (size_t i = 0; i < u->stack.n; i++)
                if (u->stack.d[i].major != 0 && (u->stack.d[i].major != m->info.major || u->stack.d[i].minor != m->info.minor))
                        return false;
        return roots->error == 0 && stack_find(&roots->opened, m->info.major, m->info.minor);
}

int op_step_open(const struct disk_request *q, int in_fd _unused_, int *ret_fd, struct disk_reply *y) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        _cleanup_(usage_done) struct usage own = {}, u = {};
        _cleanup_(roots_done) struct roots roots = {};
        struct swapped swapped = {};
        int r;

        r = mapping_find(&m, q, y);
        if (r >= 0)
                r = usage_find_own(&own, &m, y);
        if (r < 0)
                return r;
        (void) usage_for_each_swap(&own, swap_file_off, &swapped);
        open_roots(&roots, &own, &swapped);
        if (!own.none && !roots_are_all(&roots, &own, &m)) {
                roots.error = 0;
                open_unmounted(&roots, &own, &swapped);
        }
        if (!roots_are_all(&roots, &own, &m)) {
                r = usage_find(&u, &m, y);
                if (r < 0)
                        return r;
                roots.error = 0;
                open_roots(&roots, &u, &swapped);
        }
        y->count = (uint32_t) roots.n;
        if (roots.n > 0)
                return pack(&roots, q, ret_fd, y);
        if (roots.error < 0)
                return op_fail(y, roots.error, EXIT_CODE_FAILED, "None of the %zu file systems on %s can be opened: %s",
                               roots.seen.n, q->name, strerror(-roots.error));
        if (*swapped.last)
                snprintf(y->message, sizeof(y->message), "Swap to %s takes long to switch off: not shut down", swapped.last);
        return 0;
}

/* What a step did to all of them: the first error that is none of those that are all right. */
static int worst(const int *errors, int n, const int *fine, size_t n_fine) {
        for (int i = 0; i < n; i++) {
                bool is_fine = errors[i] == 0;

                for (size_t k = 0; k < n_fine; k++)
                        is_fine |= errors[i] == fine[k];
                if (!is_fine)
                        return errors[i];
        }
        return 0;
}

static int shut_one(int fd) {
        uint32_t how = SHUT_NO_LOG_FLUSH;

        return ioctl(fd, FS_IOC_SHUT, &how) < 0 ? errno : 0;
}

/* What is not written to any more is marked clean now and not in a while: an array that is not would be synchronized when
 * its members are back. */
static void settle_arrays(const struct disk_request *q) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        struct disk_reply scratch = {};
        struct stack stack = {};

        if (mapping_find(&m, q, &scratch) < 0 || !m.present)
                return;
        stack_add_above(&stack, m.info.major, m.info.minor, 0);
        for (size_t i = 0; i < stack.n; i++)
                if (array_is(stack.d[i].major, stack.d[i].minor))
                        (void) apart(array_settle, &stack.d[i], SETTLE_WAIT_MSEC);
}

int op_step_shut(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        static const int fine[] = { EIO, ENOTTY, EOPNOTSUPP };
        int errors[ROOTS_MAX], n, r;

        if (in_fd < 0)
                return 0;
        n = roots_each(in_fd, false, shut_one, ROOTS_WAIT_MSEC, errors);
        r = n < 0 ? -n : worst(errors, n, fine, ELEMENTSOF(fine));
        if (r > 0)
                return op_fail(y, -r, EXIT_CODE_FAILED, "The file system of %s does not shut down: %s", q->name,
                               strerror(r));
        settle_arrays(q);
        if (worst(errors, n, fine, 1) != 0)
                snprintf(y->message, sizeof(y->message),
                         "The file system of %s cannot be shut down: its cache is read until its users are gone",
                         q->name);
        return 0;
}

/* What a volume stands on while it is being reencrypted. What waits in one of those that is suspended (cryptsetup was about to
 * replace its table) would keep the volume's mapping from being suspended for its own: those go first. */
static int cut_suspended_below(const struct mapping *m, struct subs *ret) {
        subs_find(m, ret);
        if (ret->n == 0)
                return 0;
        subs_kill_writers(ret);
        return subs_cut(m, ret, true);
}

static int cut_all(const struct mapping *m, struct subs *ret, uint64_t sectors) {
        int r = 0, suspended, below;

        suspended = cut_suspended_below(m, ret);
        if (m->present)
                r = dm_cut(m->control, mapping_id(m), sectors);
        below = subs_cut(m, ret, false);
        if (suspended < 0)
                below = suspended;
        return r < 0 && r != -ENXIO ? r : below < 0 ? below : r;
}

/* One of the volumes below a stack, which are all suspended before one of them gives an error: see common/batch.h. */
static void meet_suspended(const struct mapping *m, int in_fd) {
        struct subs subs = {};

        if (m->present) {
                (void) cut_suspended_below(m, &subs);
                (void) dm_suspend(m->control, mapping_id(m), DM_IO_NOFLUSH|DM_IO_SKIP_LOCKFS);
        }
        (void) batch_meet(in_fd, BATCH_WAIT_USEC);
}

int op_step_cut(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        struct subs subs = {};
        int r;

        r = mapping_find(&m, q, y);
        if (in_fd >= 0)
                meet_suspended(&m, in_fd);
        if (r < 0)
                return r;
        r = cut_all(&m, &subs, q->sectors);
        if (r == -ENXIO) {
                y->flags &= ~(uint32_t) (DISK_FLAG_MAPPED|DISK_FLAG_OURS);
                return 0;
        }
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s is still readable: its error table is not in place: %s",
                               q->name, strerror(-r));
        if (m.present)
                y->flags = (y->flags & ~(uint32_t) DISK_FLAG_SUSPENDED) | DISK_FLAG_ERROR_TABLE;
        if (subs.n > 0)
                snprintf(y->message, sizeof(y->message), "It was being reencrypted: %zu mappings below it were cut too", subs.n);
        return 0;
}

static int thaw_one(int fd) {
        return ioctl(fd, FITHAW, 0) < 0 ? errno : 0;
}

int op_step_thaw(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        /* EINVAL: it was not frozen. */
        static const int fine[] = { EINVAL, EOPNOTSUPP, ENOTTY };
        int errors[ROOTS_MAX], n, r;

        if (in_fd < 0)
                return 0;
        n = roots_each(in_fd, true, thaw_one, ROOTS_WAIT_MSEC, errors);
        r = n < 0 ? -n : worst(errors, n, fine, ELEMENTSOF(fine));
        if (r > 0)
                return op_fail(y, -r, EXIT_CODE_FAILED, "The file system of %s does not thaw: %s", q->name, strerror(r));
        return 0;
}

int op_step_flush(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        struct stack stack = {};
        int r, failed = 0;

        r = mapping_find(&m, q, y);
        if (r < 0 || !m.present)
                return r;
        stack_add_above(&stack, m.info.major, m.info.minor, 0);
        for (size_t i = 0; i < stack.n; i++) {
                _cleanup_(closep) int fd = block_open(stack.d[i].major, stack.d[i].minor, O_RDONLY);

                if (fd < 0)
                        r = fd;
                else
                        r = ioctl(fd, BLKFLSBUF, 0) < 0 ? -errno : 0;
                /* A device that went meanwhile has no cache. */
                if (r < 0 && r != -ENXIO && r != -ENODEV)
                        failed = r;
                else
                        y->count++;
        }
        if (failed < 0)
                return op_fail(y, failed, EXIT_CODE_FAILED, "What is cached of the device of %s is not dropped: %s",
                               q->name, strerror(-failed));
        return 0;
}
