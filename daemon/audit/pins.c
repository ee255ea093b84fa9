/* SPDX-License-Identifier: Apache-2.0 */
#include "pins.h"

#include <bpf/bpf.h>
#include <limits.h>
#include <unistd.h>

#define PINS_MAX 128u

struct pin {
        char name[PIN_NAME_MAX];
        int fd;
        bool is_gone;                      /* and could not be put back: said already */
        bool was_missing;
};

struct pins {
        char dir[128];
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
}

static int put_back(const struct pins *p, const struct pin *pin, const char *path) {
        int r;

        r = mkdir_parents(p->dir, 0700);
        if (r < 0)
                return r;
        return bpf_obj_pin(pin->fd, path) < 0 ? -errno : 0;
}

void pins_check(struct pins *p, pins_missing missing, void *user) {
        for (size_t i = 0; i < p->n; i++) {
                struct pin *pin = p->pins + i;
                char path[PATH_MAX];
                int r = 0;

                if (pin->was_missing)
                        missing(user, pin->name, 0, true);
                pin->was_missing = false;
                snprintf(path, sizeof(path), "%s/%s", p->dir, pin->name);
                if (access(path, F_OK) < 0) {
                        r = put_back(p, pin, path);
                        if (!pin->is_gone)
                                missing(user, pin->name, r, false);
                }
                pin->is_gone = r < 0;
        }
}
