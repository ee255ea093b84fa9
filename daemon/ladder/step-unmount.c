/* SPDX-License-Identifier: Apache-2.0 */

/* STEP_UNMOUNT: swap off, unmount in every namespace, free loop devices; what does not go by that is made to. */

#include "namespaces.h"
#include "swap.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <signal.h>
#include <sys/ioctl.h>

#define UNMOUNT_WAIT_USEC (1500 * USEC_PER_MSEC)
#define SWAPOFF_WAIT_MSEC 1500

static void swap_off(const char *path, void *userdata) {
        int error = swap_switch_off(path, SWAPOFF_WAIT_MSEC);

        *(unsigned *) userdata += error != 0 && error != EINVAL;
}

static void free_loops(const struct stack *stack) {
        for (size_t i = 0; i < stack->n; i++) {
                _cleanup_(closep) int fd = -EBADF;

                if (stack->d[i].major != LOOP_MAJOR)
                        continue;
                fd = block_open(stack->d[i].major, stack->d[i].minor, O_RDONLY);
                if (fd >= 0)
                        (void) ioctl(fd, LOOP_CLR_FD, 0);
        }
}

/* A mount that was locked when a user made a namespace of his own is freed only by the end of that namespace's
 * processes. In the namespaces of system services there are none such: those are never touched for it. */
static int kill_locked(const struct namespaces *n) {
        for (size_t i = 0; i < n->n; i++) {
                _cleanup_(holders_free) struct holders found = {};
                const struct namespace_result *x = &n->r[i];
                unsigned sent = 0;
                int r;

                if (!x->is_locked || x->ns == n->own_ns)
                        continue;
                r = holders_find_in_namespace(x->ns, &found);
                for (size_t k = 0; k < found.n; k++)
                        if (found.h[k].pid == 1)
                                r = -EPERM;
                if (r >= 0)
                        r = holders_signal(&found, SIGKILL, USEC_PER_SEC, &sent, NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int one_round(const struct mapping *m, bool detach, struct disk_reply *y, struct namespaces *ret) {
        _cleanup_(usage_done) struct usage u = {};
        int r;

        r = usage_find(&u, m, y);
        if (r >= 0)
                r = namespaces_unmount(&u, detach, UNMOUNT_WAIT_USEC, ret);
        for (size_t i = 0; r >= 0 && i < ret->n; i++)
                y->count += ret->r[i].unmounted;
        free_loops(&u.stack);
        return r;
}

static int check(const struct mapping *m, const struct disk_request *q, unsigned swaps, int error,
                 struct disk_reply *y) {
        _cleanup_(usage_done) struct usage u = {};
        char where[512];
        int r;

        y->flags &= ~(uint32_t) (DISK_FLAG_MOUNTED|DISK_FLAG_SWAP|DISK_FLAG_SYSTEM);
        r = usage_find(&u, m, y);
        if (r < 0)
                return r;
        if (usage_count_mounts(&u) > 0) {
                usage_describe_mounts(&u, where, sizeof(where));
                return op_fail(y, error < 0 ? error : -EBUSY, EXIT_CODE_BUSY, "%s is still mounted on %s (%s)", q->name,
                               where, strerror(error < 0 ? -error : EBUSY));
        }
        if (swaps > 0 && u.swap)
                return op_fail(y, -EBUSY, EXIT_CODE_BUSY, "%s is still swapped to", q->name);
        return 0;
}

int op_step_unmount(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(freep) struct namespaces *n = calloc(1, sizeof(*n));
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        _cleanup_(usage_done) struct usage u = {};
        unsigned swaps = 0, left = 1;
        int r, error = 0;

        if (!n)
                return -ENOMEM;
        r = usage_open(&m, &u, q, y);
        if (r <= 0)
                return r;
        (void) usage_for_each_swap(&u, swap_off, &swaps);
        /* As it should be; after the end of those that hold a locked mount; and at last whatever is left. */
        for (unsigned i = 0; i < 3 && left > 0; i++) {
                *n = (struct namespaces) {};
                r = one_round(&m, i == 2, y, n);
                if (r >= 0)
                        r = kill_locked(n);
                if (r < 0)
                        return op_fail(y, r, EXIT_CODE_FAILED, "%s cannot be unmounted: %s", q->name, strerror(-r));
                left = 0;
                for (size_t k = 0; k < n->n; k++) {
                        left += n->r[k].left;
                        error = n->r[k].left > 0 ? n->r[k].error : error;
                }
        }
        return check(&m, q, swaps, error, y);
}
