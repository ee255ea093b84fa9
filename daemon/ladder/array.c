/* SPDX-License-Identifier: Apache-2.0 */
#include "array.h"

#include "loops.h"

#include <fcntl.h>
#include <linux/major.h>
#include <linux/raid/md_u.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define SYSFS_ARRAY "/sys/dev/block/%u:%u/md"
#define LOOK_AGAIN_MSEC 20
#define PAUSE_MIN_MSEC 10u
#define PAUSE_MAX_MSEC 160u

bool array_is(uint32_t major, uint32_t minor) {
        char path[64];

        snprintf(path, sizeof(path), SYSFS_ARRAY, major, minor);
        return access(path, F_OK) >= 0;
}

static int open_file(const struct stack_device *d, const char *name, int flags) {
        char path[96];
        int fd;

        snprintf(path, sizeof(path), SYSFS_ARRAY "/%s", d->major, d->minor, name);
        fd = open(path, flags|O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static bool is_clean(int state_fd) {
        char text[32] = "";

        return pread(state_fd, text, sizeof(text) - 1, 0) > 0 && (startswith(text, "clean") || startswith(text, "read"));
}

int array_settle(const void *user) {
        _cleanup_(closep) int state = -EBADF, delay = -EBADF, fd = -EBADF;
        const struct stack_device *d = user;

        state = open_file(d, "array_state", O_RDONLY);
        delay = open_file(d, "safe_mode_delay", O_WRONLY);
        if (state < 0 || delay < 0)
                return state < 0 ? -state : -delay;
        /* a shorter delay begins at once; the kernel tells of the new state, but not in each version and case */
        if (write(delay, "0.001", 5) < 0)
                return errno;
        for (unsigned i = 0; !is_clean(state); i++) {
                struct pollfd p = { state, POLLPRI, 0 };

                if (i == 1000 / LOOK_AGAIN_MSEC)
                        return EBUSY;
                (void) poll(&p, 1, LOOK_AGAIN_MSEC);
        }
        /* Whoever writes it down holds the array's lock meanwhile. This waits for the lock and then finds nothing to do. */
        fd = block_open(d->major, d->minor, O_RDONLY);
        if (fd < 0)
                return -fd;
        (void) ioctl(fd, RESTART_ARRAY_RW, 0);
        return 0;
}

/* There is no event for "the last opener is gone": ask again, ever less often. */
int array_stop(uint32_t major, uint32_t minor, uint64_t wait_usec) {
        uint64_t until = now_boottime_usec() + wait_usec;
        unsigned pause = PAUSE_MIN_MSEC;

        for (;;) {
                const struct timespec ts = { 0, (long) pause * 1000 * 1000 };
                int fd = block_open(major, minor, O_RDONLY), r = 0;

                if (fd < 0)
                        return fd == -ENXIO || fd == -ENODEV ? 0 : fd;
                r = ioctl(fd, STOP_ARRAY, 0) < 0 ? -errno : 0;
                safe_close(fd);
                if (r == -ENODEV || r == -ENXIO)
                        return 0;
                if (r != -EBUSY || now_boottime_usec() >= until)
                        return r;
                (void) nanosleep(&ts, NULL);
                pause = MIN_OF(pause * 2, PAUSE_MAX_MSEC);
        }
}
