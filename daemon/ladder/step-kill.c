/* SPDX-License-Identifier: Apache-2.0 */

/* NOTICE, NO_CORES and STEP_KILL: the processes that use a volume, asked and then made to go. */

#include "namespaces.h"
#include "subs.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#define KILL_ROUNDS 3
#define KILL_WAIT_USEC (700 * USEC_PER_MSEC)
#define UNUSED_WAIT_USEC (1 * USEC_PER_SEC)
#define UNUSED_RETRY_MSEC 100
#define UNUSED_RETRY_MAX_MSEC 800
#define TURN_WAIT_USEC (4 * USEC_PER_SEC)
#define TURN_FILE "/run/cmkd/kill.lock"

/* The same for those who only have it mapped, which takes longer to find out, and is a race with the cut. */
static int tell_mapped(const struct stack *stack, int signal, struct holders *found, unsigned *count) {
        size_t told = found->n;
        unsigned sent = 0;
        int r;

        r = holders_find_maps(stack, found);
        if (r < 0)
                return r;
        const struct holders rest = { .h = found->h + told, .n = found->n - told };

        r = holders_signal(&rest, signal, 0, &sent, NULL);
        *count += sent;
        return r;
}

/* signal 0: they lose the right to dump core, and nothing else happens to them. */
static int tell_users(const struct disk_request *q, const struct usage *u, int signal, struct disk_reply *y) {
        _cleanup_(holders_free) struct holders found = {};
        int r;

        r = holders_find_open(&u->mounts, &u->stack, false, &found);
        if (r >= 0)
                r = holders_signal(&found, signal, 0, &y->count, NULL);
        if (r >= 0)
                r = tell_mapped(&u->stack, signal, &found, &y->count);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The users of %s cannot be told: %s", q->name, strerror(-r));
        holders_describe(&found, y->message, sizeof(y->message));
        return 0;
}

int op_notice(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        _cleanup_(usage_done) struct usage u = {};
        int r;

        r = usage_open(&m, &u, q, y);
        return r <= 0 || u.none ? MIN_OF(r, 0) : tell_users(q, &u, SIGTERM, y);
}

int op_no_cores(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(freep) char *list = calloc(1, DISK_CORES_LIST_MAX + 1);
        _cleanup_(usage_done) struct usage u = {};
        _cleanup_(closep) int control = -EBADF;
        struct dm_info info;
        ssize_t n;
        int r;

        control = dm_open_control();
        n = list && control >= 0 ? read(in_fd, list, DISK_CORES_LIST_MAX) : -1;
        if (n < 0)
                return op_fail(y, -errno, EXIT_CODE_FAILED, "The list of volumes cannot be read: %s", strerror(errno));
        for (char *line, *p = list; (line = strsep(&p, "\n"));)
                if (*line && dm_query(control, (struct dm_id) { .uuid = line }, &info) >= 0 && info.open_count > 0)
                        stack_add_above(&u.stack, info.major, info.minor, 0);
        if (u.stack.n == 0)
                return 0;
        r = usage_find_mounts(&u, y);
        return r < 0 ? r : tell_users(q, &u, 0, y);
}

/* SIGKILL to who was found, wait. Returns how many there were. */
static int kill_found(const struct holders *found, struct holders *ret_killed, struct holders *ret_left) {
        unsigned sent = 0;
        int r;

        r = holders_signal(found, SIGKILL, KILL_WAIT_USEC, &sent, ret_left);
        for (size_t i = 0; i < found->n && r >= 0; i++)
                if (!found->h[i].is_protected)
                        r = holders_add(ret_killed, &found->h[i]);
        return r < 0 ? r : (int) sent;
}

/* One round: who is there now. Those with something open do not wait until the maps of all are read. */
static int kill_round(const struct mapping *m, bool deep, struct disk_reply *y, struct holders *ret_killed,
                      struct holders *ret_left) {
        _cleanup_(holders_free) struct holders found = {}, mapped = {};
        _cleanup_(usage_done) struct usage u = {};
        int r, sent = 0;

        r = usage_find(&u, m, y);
        if (r >= 0)
                r = holders_find_open(&u.mounts, &u.stack, deep, &found);
        if (r >= 0)
                r = sent = kill_found(&found, ret_killed, ret_left);
        if (r >= 0)
                r = holders_find_maps(&u.stack, &mapped);
        if (r >= 0)
                r = kill_found(&mapped, ret_killed, ret_left);
        return r < 0 ? r : sent + r;
}

/* Most users of a file system that was shut down end by themselves. What can be unmounted the ordinary way has no user, and a
 * device that nobody has open then has none either: all of /proc need not be read, which is what costs where many volumes go at
 * once. Unmounted in our own namespace it goes from those that take part in it too. */
static bool has_no_user(const struct mapping *m, const struct usage *u) {
        _cleanup_(freep) struct namespaces *n = calloc(1, sizeof(*n));
        struct subs subs;
        struct dm_info now;
        int r;

        /* What a reencryption left below may be open while the mapping is not. */
        subs_find(m, &subs);
        if (subs.n > 0)
                return false;
        if (!n || u->swap || namespaces_unmount(u, false, UNUSED_WAIT_USEC, n) < 0)
                return false;
        r = dm_query(m->control, mapping_id(m), &now);
        return r == -ENXIO || (r >= 0 && now.open_count == 0);
}

/* Of many volumes that go at once one after the other has its users looked for: all of them together would take as long as each
 * of them may, and meanwhile most of the others' users end. Nobody depends on it: who waits long enough goes. */
static int take_turn(void) {
        _cleanup_(closep) int fd = open(TURN_FILE, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);

        return fd < 0 || flock(fd, LOCK_EX|LOCK_NB) >= 0 ? TAKE_FD(fd) : -EWOULDBLOCK;
}

/* Returns true once nobody uses it; false: they have to be looked for, and it is our turn. */
static bool ends_by_itself(const struct mapping *m, const struct usage *u, int *ret_turn) {
        uint64_t until = now_boottime_usec() + TURN_WAIT_USEC;
        int pause = UNUSED_RETRY_MSEC;

        if (has_no_user(m, u))
                return true;
        for (;;) {
                (void) poll(NULL, 0, pause);
                if (has_no_user(m, u))
                        return true;
                *ret_turn = take_turn();
                if (*ret_turn != -EWOULDBLOCK || now_boottime_usec() >= until)
                        return false;
                pause = MIN_OF(pause * 2, UNUSED_RETRY_MAX_MSEC);
        }
}

int op_step_kill(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(holders_free) struct holders killed = {}, left = {};
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        _cleanup_(usage_done) struct usage u = {};
        _cleanup_(closep) int turn = -EBADF;
        char names[512];
        int r;

        r = usage_open_own(&m, &u, q, y);
        if (r <= 0 || u.none)
                return MIN_OF(r, 0);
        if (ends_by_itself(&m, &u, &turn))
                return 0;
        for (unsigned i = 0; i < KILL_ROUNDS; i++) {
                holders_free(&left);
                r = kill_round(&m, i > 0, y, &killed, &left);
                if (r < 0)
                        return op_fail(y, r, EXIT_CODE_FAILED, "The users of %s cannot be found: %s", q->name,
                                       strerror(-r));
                if (r == 0 && i > 0)
                        break;
        }
        y->count = (uint32_t) killed.n;
        if (left.n > 0) {
                holders_describe(&left, names, sizeof(names));
                return op_fail(y, -EBUSY, EXIT_CODE_BUSY, "%u users of %s were killed, these are still there: %s",
                               y->count, q->name, names);
        }
        holders_describe(&killed, y->message, sizeof(y->message));
        return 0;
}
