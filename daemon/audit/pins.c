/* SPDX-License-Identifier: Apache-2.0 */
#include "pins.h"

#include <bpf/bpf.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define PINS_MAX 128u
#define LOOKS_AT_MOST 10u                  /* at the directory alone, in a row */

struct pin {
        char name[PIN_NAME_MAX];
        int fd;
        struct stat seen;                  /* the inode that was found to be of what is held */
        bool is_gone;                      /* and could not be put back: said already */
        bool was_missing;
};

struct pins {
        char dir[128];
        struct stat seen;                  /* the directory, at the last look */
        unsigned looks;                    /* at which it was the same */
        size_t n;
        struct pin pins[PINS_MAX];
};

int pins_new(const char *dir, struct pins **ret) {
        struct pins *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        snprintf(p->dir, sizeof(p->dir), "%s", dir);
        *ret = p;
        return 0;
}

struct pins *pins_free(struct pins *p) {
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->n; i++)
                safe_close(p->pins[i].fd);
        free(p);
        return NULL;
}

static struct pin *find(const struct pins *p, const char *name) {
        for (size_t i = 0; i < p->n; i++)
                if (streq(p->pins[i].name, name))
                        return (struct pin *) p->pins + i;
        return NULL;
}

int pins_hold(struct pins *p, const char *name, int fd) {
        struct pin *pin = find(p, name);

        if (!pin && p->n == PINS_MAX) {
                safe_close(fd);
                return -ENOSPC;
        }
        if (pin)
                safe_close(pin->fd);
        else
                pin = p->pins + p->n++;
        *pin = (struct pin) { .fd = fd };
        p->looks = 0;
        snprintf(pin->name, sizeof(pin->name), "%s", name);
        return 0;
}

int pins_fd(const struct pins *p, const char *name) {
        const struct pin *pin = find(p, name);

        return pin ? pin->fd : -ENOENT;
}

void pins_was_missing(struct pins *p, const char *name) {
        struct pin *pin = find(p, name);

        if (pin)
                pin->was_missing = true;
        p->looks = 0;
}

int pin_object_of(int fd, struct pin_object *ret) {
        char path[64], name[64] = "", *kind;
        struct pin_object o = {};
        struct bpf_map_info info = {};     /* each kind's begins with a type and the number */
        uint32_t size = sizeof(info);

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, name, sizeof(name) - 1) < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
                return -errno;
        /* "anon_inode:bpf-map"; links are bpf_link or bpf-link, as they were made or taken out of bpffs */
        kind = strstr(name, "bpf");
        snprintf(o.kind, sizeof(o.kind), "%s", kind && strlen(kind) > 4 ? kind + 4 : "");
        o.id = info.id;
        *ret = o;
        return 0;
}

static bool is_same_inode(const struct stat *a, const struct stat *b) {
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
               a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* An inode of bpffs stands for the same thing as long as it is there: that one is looked into once. */
static bool is_there(struct pin *pin, const char *path) {
        struct pin_object held, pinned;
        _cleanup_(closep) int fd = -EBADF;
        struct stat st;

        if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
                return false;
        if (is_same_inode(&st, &pin->seen))
                return true;
        fd = bpf_obj_get(path);
        if (fd < 0 || pin_object_of(fd, &pinned) < 0 || pin_object_of(pin->fd, &held) < 0 || pinned.id != held.id ||
            !streq(pinned.kind, held.kind))
                return false;
        pin->seen = st;
        return true;
}

/* Only the directory and the one above it are ever made: without a bpffs there is nothing to put anything back into. */
static int put_back(const struct pins *p, const struct pin *pin, const char *path) {
        char parent[sizeof(p->dir)];

        snprintf(parent, sizeof(parent), "%s", p->dir);
        *strrchr(parent, '/') = 0;
        if ((mkdir(parent, 0700) < 0 && errno != EEXIST) || (mkdir(p->dir, 0700) < 0 && errno != EEXIST))
                return -errno;
        if (unlink(path) < 0 && errno == EISDIR)
                (void) rmdir(path);
        return bpf_obj_pin(pin->fd, path) < 0 ? -errno : 0;
}

/* Who removes or replaces a pin changes the directory. Its time has the kernel's tick for a unit: what was done within the tick of the last
 * look is seen at a second one. Somebody who mounts a file over a pin does not change it: now and then each pin is looked at anyway. */
static bool is_unchanged(struct pins *p) {
        struct stat st = {};
        bool is_same = lstat(p->dir, &st) >= 0 && is_same_inode(&st, &p->seen);

        p->seen = st;
        p->looks = is_same ? p->looks + 1 : 0;
        if (p->looks > LOOKS_AT_MOST)
                p->looks = 1;
        return p->looks > 1;
}

void pins_check(struct pins *p, pins_missing missing, void *user) {
        if (is_unchanged(p))
                return;
        for (size_t i = 0; i < p->n; i++) {
                struct pin *pin = p->pins + i;
                char path[PATH_MAX];
                int r = 0;

                if (pin->was_missing)
                        missing(user, pin->name, 0, true);
                pin->was_missing = false;
                snprintf(path, sizeof(path), "%s/%s", p->dir, pin->name);
                if (!is_there(pin, path)) {
                        r = put_back(p, pin, path);
                        if (!pin->is_gone)
                                missing(user, pin->name, r, false);
                }
                pin->is_gone = r < 0;
                if (r < 0)
                        p->looks = 0;
        }
}
