/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include "ops.h"

#include <blkid/blkid.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SIGNATURES_MAX 64

static void probe_freep(blkid_probe *p) { blkid_free_probe(*p); }

void device_close(struct device *d) {
        d->fd = safe_close(d->fd);
}

static bool path_is_below_dev(const char *path) {
        return startswith(path, "/dev/") && !strstr(path, "/../") && !strstr(path, "//");
}

static int measure(struct device *d) {
        int logical;

        if (ioctl(d->fd, BLKGETSIZE64, &d->size) < 0 || ioctl(d->fd, BLKSSZGET, &logical) < 0 ||
            ioctl(d->fd, BLKPBSZGET, &d->physical) < 0)
                return -errno;
        d->logical = (unsigned) logical;
        snprintf(d->path, sizeof(d->path), "/proc/self/fd/%d", d->fd);
        return 0;
}

int device_open(const char *path, struct device *ret, struct disk_reply *y) {
        _cleanup_(device_close) struct device d = DEVICE_NONE;
        struct stat st;
        int r;

        if (!path_is_below_dev(path))
                return op_fail(y, -EINVAL, EXIT_CODE_USAGE, "%s is not the path of a device below /dev", path);
        d.fd = open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY|O_NONBLOCK);
        if (d.fd < 0) {
                r = errno == ENOENT || errno == ENXIO ? -ENODEV : -errno;
                return op_fail(y, r, EXIT_CODE_FAILED, "%s cannot be opened: %s", path, strerror(errno));
        }
        if (fstat(d.fd, &st) < 0)
                return op_fail(y, -errno, EXIT_CODE_FAILED, "%s cannot be examined: %s", path, strerror(errno));
        if (!S_ISBLK(st.st_mode))
                return op_fail(y, -ENOTBLK, EXIT_CODE_FAILED, "%s is not a block device", path);
        d.major = major(st.st_rdev);
        d.minor = minor(st.st_rdev);
        r = measure(&d);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The size of %s cannot be read: %s", path, strerror(-r));
        *ret = d;
        d.fd = -EBADF;
        return 0;
}

/* Names of the devices above it, from sysfs; empty where there are none. */
static void name_holders(const struct device *d, char *buf, size_t size) {
        _cleanup_(closedirp) DIR *dir = NULL;
        char path[64];
        struct dirent *e;

        buf[0] = 0;
        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", d->major, d->minor);
        dir = opendir(path);
        while (dir && (e = readdir(dir)))
                if (e->d_name[0] != '.') {
                        size_t n = strlen(buf);

                        snprintf(buf + n, size - n, "%s%s", n ? ", " : "", e->d_name);
                }
}

/* The first mount point of the device, from mountinfo; empty where there is none. */
static void name_mount(const struct device *d, char *buf, size_t size) {
        _cleanup_(fclosep) FILE *f = fopen("/proc/self/mountinfo", "re");
        _cleanup_(freep) char *line = NULL;
        size_t n = 0;

        buf[0] = 0;
        while (f && getline(&line, &n, f) > 0) {
                unsigned major, minor;
                char where[256];

                if (sscanf(line, "%*u %*u %u:%u %*s %255s", &major, &minor, where) == 3 && major == d->major &&
                    minor == d->minor) {
                        snprintf(buf, size, "%s", where);
                        return;
                }
        }
}

int device_claim(struct device *d, const char *path, struct disk_reply *y) {
        char holders[256], mount[256];
        int fd;

        fd = open(d->path, O_RDWR|O_EXCL|O_CLOEXEC);
        if (fd < 0 && errno == EBUSY) {
                name_holders(d, holders, sizeof(holders));
                name_mount(d, mount, sizeof(mount));
                return op_fail(y, -EBUSY, EXIT_CODE_BUSY, "%s is in use%s%s%s%s: nothing was written", path,
                               holders[0] ? " by " : "", holders, mount[0] ? ", mounted on " : "", mount);
        }
        if (fd < 0)
                return op_fail(y, -errno, EXIT_CODE_FAILED, "%s cannot be opened for writing: %s", path,
                               strerror(errno));
        safe_close(d->fd);
        d->fd = fd;
        snprintf(d->path, sizeof(d->path), "/proc/self/fd/%d", d->fd);
        return 0;
}

static blkid_probe probe_new(const struct device *d) {
        blkid_probe p = blkid_new_probe();

        if (p && blkid_probe_set_device(p, d->fd, 0, 0) == 0 && blkid_probe_enable_superblocks(p, 1) == 0 &&
            blkid_probe_set_superblocks_flags(p, BLKID_SUBLKS_TYPE|BLKID_SUBLKS_LABEL|BLKID_SUBLKS_MAGIC|
                                                 BLKID_SUBLKS_BADCSUM) == 0 &&
            blkid_probe_enable_partitions(p, 1) == 0 &&
            blkid_probe_set_partitions_flags(p, BLKID_PARTS_MAGIC) == 0)
                return p;
        blkid_free_probe(p);
        return NULL;
}

int device_find_signature(const struct device *d, char *ret, size_t size) {
        _cleanup_(probe_freep) blkid_probe p = probe_new(d);
        const char *type = NULL, *label = NULL;
        int r;

        if (!p)
                return -EIO;
        r = blkid_do_safeprobe(p);
        if (r == 1)
                return 0;
        if (r == -2) {
                snprintf(ret, size, "several signatures that contradict each other");
                return 1;
        }
        if (r < 0)
                return -EIO;
        if (blkid_probe_lookup_value(p, "TYPE", &type, NULL) == 0)
                (void) blkid_probe_lookup_value(p, "LABEL", &label, NULL);
        else if (blkid_probe_lookup_value(p, "PTTYPE", &type, NULL) == 0) {
                snprintf(ret, size, "a partition table (%s)", type);
                return 1;
        }
        snprintf(ret, size, "%s%s%s%s", type ?: "a signature", label ? " labelled \"" : "", strempty(label),
                 label ? "\"" : "");
        return 1;
}

int device_wipe_signatures(const struct device *d) {
        _cleanup_(probe_freep) blkid_probe p = probe_new(d);
        int r;

        if (!p)
                return -EIO;
        for (int i = 0; i < SIGNATURES_MAX; i++) {
                r = blkid_do_probe(p);
                if (r == 1)
                        return fsync(d->fd) < 0 ? -EIO : 0;
                if (r < 0 || blkid_do_wipe(p, 0) < 0)
                        return -EIO;
        }
        return -EIO;
}

int device_write(const struct device *d, const void *data, size_t size, uint64_t offset) {
        int r = pwrite_all(d->fd, data, size, offset);

        return r < 0 ? r : fsync(d->fd) < 0 ? -errno : 0;
}
