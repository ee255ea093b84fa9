/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct batch {
        uint32_t expected;
        _Atomic uint32_t there;
        uint64_t until_usec;
};

static struct batch *map(int fd) {
        return mmap(NULL, sizeof(struct batch), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
}

int batch_new(unsigned n, uint64_t until_usec) {
        _cleanup_(closep) int fd = memfd_create("batch", MFD_CLOEXEC);
        struct batch *b;

        if (fd < 0 || ftruncate(fd, sizeof(*b)) < 0)
                return -errno;
        b = map(fd);
        if (b == MAP_FAILED)
                return -errno;
        b->expected = n;
        b->until_usec = until_usec;
        (void) munmap(b, sizeof(*b));
        return TAKE_FD(fd);
}

static int wait_for_all(struct batch *b, uint64_t until) {
        for (;;) {
                uint32_t there = atomic_load(&b->there);
                uint64_t now = now_boottime_usec(), left;
                struct timespec ts;

                if (there >= b->expected)
                        return 1;
                if (now >= until)
                        return 0;
                left = until - now;
                ts = (struct timespec) { (time_t) (left / USEC_PER_SEC), (long) (left % USEC_PER_SEC * 1000) };
                (void) syscall(SYS_futex, &b->there, FUTEX_WAIT, there, &ts, NULL, 0);
        }
}

int batch_meet(int fd, uint64_t wait_usec) {
        uint64_t until = now_boottime_usec() + wait_usec;
        struct batch *b;
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0 || (size_t) st.st_size != sizeof(*b))
                return -EBADMSG;
        b = map(fd);
        if (b == MAP_FAILED)
                return -errno;
        (void) atomic_fetch_add(&b->there, 1);
        (void) syscall(SYS_futex, &b->there, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
        r = wait_for_all(b, MIN_OF(until, b->until_usec));
        (void) munmap(b, sizeof(*b));
        return r;
}
