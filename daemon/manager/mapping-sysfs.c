/* SPDX-License-Identifier: Apache-2.0 */
#include "mapping-sysfs.h"

#include <dirent.h>
#include <unistd.h>

#include "common/stack.h"

#define SYSFS_DEVICE "/sys/dev/block/%u:%u"

bool mapping_sysfs_exists(uint32_t major, uint32_t minor) {
        char path[64];

        snprintf(path, sizeof(path), SYSFS_DEVICE, major, minor);
        return access(path, F_OK) >= 0;
}

int mapping_sysfs_read(uint32_t major, uint32_t minor, struct mapping_seen *ret) {
        _cleanup_(freep) char *text = NULL;
        struct mapping_seen s = { .major = major, .minor = minor };
        char path[64];
        int r;

        snprintf(path, sizeof(path), SYSFS_DEVICE "/dm/uuid", major, minor);
        r = read_small_file(path, 256, &text, NULL);
        if (r < 0)
                return r == -ENOENT && mapping_sysfs_exists(major, minor) ? -EINVAL : r;
        text[strcspn(text, "\n")] = 0;
        r = dm_crypt_uuid_parse(text, s.uuid, s.mapping);
        if (r >= 0)
                *ret = s;
        return r;
}

int mapping_sysfs_for_each(int (*f)(const struct mapping_seen *s, void *user), void *user) {
        _cleanup_(closedirp) DIR *d = opendir("/sys/block");
        struct mapping_seen s;
        struct dirent *e;
        uint32_t major, minor;
        int r = 0;

        if (!d)
                return -errno;
        while (r == 0 && (e = readdir(d))) {
                char path[300];

                snprintf(path, sizeof(path), "/sys/block/%s/dev", e->d_name);
                if (startswith(e->d_name, "dm-") && stack_read_dev(path, &major, &minor) >= 0 &&
                    mapping_sysfs_read(major, minor, &s) >= 0)
                        r = f(&s, user);
        }
        return r;
}

struct list {
        struct mapping_seen *s;
        size_t n;
};

static int append(const struct mapping_seen *s, void *user) {
        struct list *l = user;
        struct mapping_seen *more = reallocarray(l->s, l->n + 1, sizeof(*more));

        if (!more)
                return -ENOMEM;
        l->s = more;
        l->s[l->n++] = *s;
        return 0;
}

int mapping_sysfs_list(struct mapping_seen **ret, size_t *ret_n) {
        struct list l = {};
        int r = mapping_sysfs_for_each(append, &l);

        if (r < 0) {
                free(l.s);
                return r;
        }
        *ret = l.s;
        *ret_n = l.n;
        return 0;
}

/* The disk of a partition, by the directory that the partition's is in. */
static int read_disk(struct below *b) {
        char path[128], link[512];
        char *slash;
        ssize_t n;

        snprintf(path, sizeof(path), SYSFS_DEVICE "/partition", b->major, b->minor);
        if (access(path, F_OK) < 0)
                return -ENOENT;
        snprintf(path, sizeof(path), SYSFS_DEVICE, b->major, b->minor);
        n = readlink(path, link, sizeof(link) - 1);
        if (n < 0)
                return -errno;
        link[n] = 0;
        for (int i = 0; i < 2; i++) {
                slash = strrchr(link, '/');
                if (!slash)
                        return -EINVAL;
                if (i == 0)
                        *slash = 0;
        }
        snprintf(b->name, sizeof(b->name), "%.64s", slash + 1);
        snprintf(path, sizeof(path), SYSFS_DEVICE "/../dev", b->major, b->minor);
        return stack_read_dev(path, &b->major, &b->minor);
}

/* What keeps the integrity tags of the volume above it: of the volume, not what it stands on. */
static bool is_integrity(const struct below *b) {
        _cleanup_(freep) char *text = NULL;
        char path[64];

        snprintf(path, sizeof(path), SYSFS_DEVICE "/dm/uuid", b->major, b->minor);
        if (read_small_file(path, 256, &text, NULL) < 0)
                return false;
        text[strcspn(text, "\n")] = 0;
        return dm_integrity_uuid_parse(text);
}

/* The one device that this one is made of. Returns 1, 0 (none, or more than one) or -errno. */
static int read_slave(const struct below *of, struct below *ret) {
        _cleanup_(closedirp) DIR *d = NULL;
        struct dirent *e;
        char path[300];
        int n = 0;

        snprintf(path, sizeof(path), SYSFS_DEVICE "/slaves", of->major, of->minor);
        d = opendir(path);
        if (!d)
                return -errno;
        while ((e = readdir(d))) {
                if (e->d_name[0] == '.')
                        continue;
                snprintf(ret->name, sizeof(ret->name), "%.64s", e->d_name);
                snprintf(path, sizeof(path), SYSFS_DEVICE "/slaves/%.64s/dev", of->major, of->minor, e->d_name);
                if (stack_read_dev(path, &ret->major, &ret->minor) >= 0)
                        n++;
        }
        return n == 1;
}

bool mapping_sysfs_has_other(uint32_t major, uint32_t minor, const char *name) {
        _cleanup_(closedirp) DIR *d = NULL;
        struct dirent *e;
        char path[300];

        snprintf(path, sizeof(path), SYSFS_DEVICE "/slaves", major, minor);
        d = opendir(path);
        while (d && (e = readdir(d))) {
                uint32_t other_major, other_minor;

                if (e->d_name[0] == '.' || streq(e->d_name, name))
                        continue;
                snprintf(path, sizeof(path), SYSFS_DEVICE "/slaves/%.64s/dev", major, minor, e->d_name);
                if (stack_read_dev(path, &other_major, &other_minor) >= 0 && mapping_sysfs_exists(other_major, other_minor))
                        return true;
        }
        return false;
}

int mapping_sysfs_below(uint32_t major, uint32_t minor, struct below *ret, size_t max) {
        struct below at = { .major = major, .minor = minor }, next = {};
        size_t n = 0;
        int r;

        r = read_slave(&at, &next);
        if (r > 0 && is_integrity(&next)) {
                at = next;
                r = read_slave(&at, &next);
        }
        if (r < 0)
                return r;
        while (r > 0 && n < max) {
                ret[n++] = at = next;
                if (read_disk(&next) >= 0 && n < max)
                        ret[n++] = at = next;
                r = read_slave(&at, &next);
        }
        return (int) n;
}
