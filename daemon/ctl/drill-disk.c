/* SPDX-License-Identifier: Apache-2.0 */
#include "drill.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define DIRECTORY "/var/lib/cmkd"
#define TRIES 64
#define GONE_WAIT_USEC (10 * USEC_PER_SEC)
#define CHUNK (1u << 20)

/* Sparse, but full in the end: twice as much as that must be free, for whoever else writes there. */
static int check_space(uint64_t size) {
        struct statvfs s;
        uint64_t left;

        if (statvfs(DIRECTORY, &s) < 0)
                return fail(EXIT_CODE_FAILED, DIRECTORY ": %s", strerror(errno));
        left = (uint64_t) s.f_bavail * s.f_frsize;
        if (left >= 2 * size)
                return EXIT_CODE_DONE;
        return fail(EXIT_CODE_FAILED, "no drill now: %llu MiB are free in " DIRECTORY ", and twice the volume's size, "
                    "%llu MiB, must be", (unsigned long long) (left >> 20), (unsigned long long) (2 * size >> 20));
}

/* Without a name from its first moment where the file system can do that: there is nothing to be left behind. */
static int open_file(void) {
        char path[] = DIRECTORY "/drill.XXXXXX";
        int fd = open(DIRECTORY, O_TMPFILE|O_RDWR|O_CLOEXEC, 0600);

        if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
                return fd;
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
                (void) unlink(path);
        return fd;
}

/* Somebody else may take the device that was free a moment ago. */
static int open_loop(struct drill_disk *d) {
        struct loop_config c = { .fd = (uint32_t) d->file, .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };
        _cleanup_(closep) int control = open("/dev/loop-control", O_RDWR|O_CLOEXEC);

        if (control < 0)
                return -errno;
        snprintf((char *) c.info.lo_file_name, sizeof(c.info.lo_file_name), "cmkctl drill");
        for (int i = 0; i < TRIES; i++) {
                int n = ioctl(control, LOOP_CTL_GET_FREE);

                if (n < 0)
                        return -errno;
                snprintf(d->device, sizeof(d->device), "/dev/loop%d", n);
                d->loop = open(d->device, O_RDWR|O_CLOEXEC);
                if (d->loop >= 0 && ioctl(d->loop, LOOP_CONFIGURE, &c) >= 0)
                        return 0;
                if (errno != EBUSY && errno != ENOENT && errno != ENXIO)
                        return -errno;
                d->loop = safe_close(d->loop);
        }
        return -EBUSY;
}

int drill_disk_make(uint64_t size, struct drill_disk *d) {
        int code, r;

        code = check_space(size);
        if (code != EXIT_CODE_DONE)
                return code;
        d->file = open_file();
        if (d->file < 0 || ftruncate(d->file, (off_t) size) < 0)
                return fail(EXIT_CODE_FAILED, "cannot make a file in " DIRECTORY ": %s", strerror(errno));
        r = open_loop(d);
        return r < 0 ? fail(EXIT_CODE_FAILED, "cannot make a loop device: %s", strerror(-r)) : EXIT_CODE_DONE;
}

void drill_disk_release(struct drill_disk *d) {
        d->loop = safe_close(d->loop);
}

void drill_disk_done(struct drill_disk *d) {
        d->loop = safe_close(d->loop);
        d->file = safe_close(d->file);
}

/* By sysfs: to open it would be to use it. */
static bool has_file(const char *device) {
        char path[64];

        snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", device + strlen("/dev/"));
        return access(path, F_OK) >= 0;
}

bool drill_disk_is_gone(const struct drill_disk *d) {
        uint64_t until = now_boottime_usec() + GONE_WAIT_USEC;

        while (*d->device && has_file(d->device)) {
                if (now_boottime_usec() > until)
                        return false;
                (void) nanosleep(&(struct timespec) { .tv_nsec = 20 * 1000 * 1000 }, NULL);
        }
        return true;
}

/* One stretch of data. keep: what the last chunk ended with is looked at again with the next. */
static int search(int fd, off_t from, off_t to, const uint8_t *marker, uint8_t *buffer, uint64_t *size) {
        size_t keep = 0;

        while (from < to) {
                size_t want = (size_t) MIN_OF((off_t) CHUNK, to - from);
                ssize_t n = pread(fd, buffer + keep, want, from);

                if (n < 0)
                        return -errno;
                if (n == 0)
                        return 0;
                if (memmem(buffer, keep + (size_t) n, marker, DRILL_MARKER_SIZE))
                        return 1;
                *size += (uint64_t) n;
                from += n;
                n += (ssize_t) keep;
                keep = MIN_OF((size_t) n, (size_t) DRILL_MARKER_SIZE - 1);
                memmove(buffer, buffer + n - keep, keep);
        }
        return 0;
}

int drill_disk_search(const struct drill_disk *d, const uint8_t *marker, uint64_t *ret_size) {
        _cleanup_(freep) uint8_t *buffer = malloc(CHUNK + DRILL_MARKER_SIZE);
        uint64_t size = 0;
        off_t at = 0, end;
        int r = 0;

        if (!buffer)
                return -ENOMEM;
        while (r == 0 && (at = lseek(d->file, at, SEEK_DATA)) >= 0) {
                end = lseek(d->file, at, SEEK_HOLE);
                if (end < 0)
                        return -errno;
                r = search(d->file, at, end, marker, buffer, &size);
                at = end;
        }
        if (r == 0 && at < 0 && errno != ENXIO)
                return -errno;
        if (r >= 0)
                *ret_size = size;
        return r;
}
