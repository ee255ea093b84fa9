/* SPDX-License-Identifier: Apache-2.0 */
#include "udev.h"

#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <systemd/sd-device.h>
#include <time.h>
#include <unistd.h>

#include "common/util.h"
#include "crypttab.h"

#define CRYPTTAB "/etc/crypttab"
#define CRYPTTAB_MAX (1024u * 1024u)
#define UDEV_CONTROL "/run/udev/control"

static void device_unrefp(sd_device **d) { sd_device_unref(*d); }

int unit_path_unescape(const char *instance, char *ret, size_t size) {
        size_t n = 0;

        if (size < 2)
                return -EINVAL;
        ret[n++] = '/';
        for (const char *p = instance; *p; p++) {
                char c = *p == '-' ? '/' : *p;

                if (*p == '\\') {
                        int high = p[1] == 'x' ? hex_digit(p[2]) : -1, low = high >= 0 ? hex_digit(p[3]) : -1;

                        if (low < 0 || (high == 0 && low == 0))
                                return -EINVAL;
                        c = (char) (high * 16 + low);
                        p += 3;
                }
                if (n + 1 >= size)
                        return -EINVAL;
                ret[n++] = c;
        }
        ret[n] = 0;
        return 0;
}

int udev_device_node(const char *instance, char ret[static 257]) {
        _cleanup_(device_unrefp) sd_device *d = NULL;
        char path[PATH_MAX];
        const char *node;
        int r;

        if (!startswith(instance, "sys-devices-") || unit_path_unescape(instance, path, sizeof(path)) < 0)
                return -ENXIO;
        r = sd_device_new_from_syspath(&d, path);
        if (r >= 0)
                r = sd_device_get_devname(d, &node);
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;
        return snprintf(ret, 257, "%s", node) < 257 ? 0 : -ENAMETOOLONG;
}

static const char *property(sd_device *d, const char *key) {
        const char *value;

        return sd_device_get_property_value(d, key, &value) >= 0 ? value : "";
}

bool udev_is_in_crypttab(const char *node) {
        _cleanup_(device_unrefp) sd_device *d = NULL;
        _cleanup_(freep) char *text = NULL;
        struct crypttab_device what;
        struct stat st;
        size_t n = 0;

        if (read_small_file(CRYPTTAB, CRYPTTAB_MAX, &text, NULL) < 0 || stat(node, &st) < 0 ||
            sd_device_new_from_devnum(&d, 'b', st.st_rdev) < 0)
                return false;
        what = (struct crypttab_device) {
                .uuid = property(d, "ID_FS_UUID"), .label = property(d, "ID_FS_LABEL"),
                .partuuid = property(d, "ID_PART_ENTRY_UUID"), .partlabel = property(d, "ID_PART_ENTRY_NAME"),
        };
        what.paths[n++] = node;
        for (const char *link = sd_device_get_devlink_first(d); link && n + 1 < CRYPTTAB_LINKS_MAX;
             link = sd_device_get_devlink_next(d))
                what.paths[n++] = link;
        what.paths[n] = NULL;
        return crypttab_names(text, &what);
}

/* Watches the directory of a path, or the nearest one above it that exists. */
static int watch_parent(int fd, const char *path) {
        char dir[PATH_MAX];
        char *slash;

        snprintf(dir, sizeof(dir), "%s", path);
        while ((slash = strrchr(dir, '/')) && slash != dir) {
                *slash = 0;
                if (inotify_add_watch(fd, dir, IN_CREATE|IN_MOVED_TO|IN_DELETE_SELF|IN_MOVE_SELF) >= 0)
                        return 0;
                if (errno != ENOENT)
                        return -errno;
        }
        return -ENOENT;
}

static uint64_t now_usec(void) {
        struct timespec t;

        clock_gettime(CLOCK_BOOTTIME, &t);
        return (uint64_t) t.tv_sec * USEC_PER_SEC + (uint64_t) t.tv_nsec / 1000;
}

int wait_for_link(const char *path, uint64_t timeout_usec) {
        uint64_t end = now_usec() + timeout_usec, now;
        char events[4096];
        int r;

        for (;;) {
                _cleanup_(closep) int fd = inotify_init1(IN_CLOEXEC|IN_NONBLOCK);
                struct pollfd p = { .fd = fd, .events = POLLIN };

                if (fd < 0)
                        return -errno;
                r = watch_parent(fd, path);
                /* looked at after the watch is set: nothing is missed in between */
                if (access(path, F_OK) >= 0)
                        return 0;
                if (r < 0 || access(UDEV_CONTROL, F_OK) < 0)
                        return r < 0 ? r : -ENOENT;
                now = now_usec();
                if (now >= end)
                        return -ETIMEDOUT;
                if (poll(&p, 1, (int) MIN_OF((end - now) / USEC_PER_MSEC + 1, (uint64_t) INT_MAX)) < 0 && errno != EINTR)
                        return -errno;
                (void) !read(fd, events, sizeof(events));
        }
}
