/* SPDX-License-Identifier: Apache-2.0 */
#include "belonging.h"

#include "linked.h"
#include "pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <limits.h>

#define MAPS_MAX 64u

struct program {
        char name[BPF_OBJ_NAME_LEN];
        uint32_t origin;
        uint32_t maps[MAPS_MAX];
        size_t n_maps;
};

static int program_of(int link_fd, struct program *ret) {
        struct program p = {};
        struct bpf_prog_info info = { .nr_map_ids = MAPS_MAX, .map_ids = (uintptr_t) p.maps };
        struct pin_object o;
        int r;

        r = pin_object_of(link_fd, &o);
        if (r < 0)
                return r;
        if (!startswith(o.kind, "link"))
                return -EMEDIUMTYPE;
        r = linked_program(link_fd, &info);
        if (r < 0)
                return r;
        memcpy(p.name, info.name, sizeof(p.name));
        p.origin = info.btf_id;
        p.n_maps = MIN_OF(info.nr_map_ids, MAPS_MAX);
        *ret = p;
        return 0;
}

static bool uses(const struct program *p, uint32_t map) {
        for (size_t i = 0; i < p->n_maps; i++)
                if (p->maps[i] == map)
                        return true;
        return false;
}

static int map_at(const char *path, uint32_t *ret) {
        _cleanup_(closep) int fd = bpf_obj_get(path);
        struct pin_object o;
        int r;

        if (fd < 0)
                return -errno;
        r = pin_object_of(fd, &o);
        if (r < 0)
                return r;
        if (!startswith(o.kind, "map"))
                return -EMEDIUMTYPE;
        *ret = o.id;
        return 0;
}

/* The kernel cuts names. */
static bool is_name(const char *kernel, const char *name) {
        return strncmp(kernel, name, BPF_OBJ_NAME_LEN - 1) == 0;
}

/* One of the names whose map has another number than the one that is pinned so. */
static const char *find_other(const struct program *p, const char *const *names, const uint32_t *pinned, size_t n) {
        for (size_t i = 0; i < p->n_maps; i++) {
                struct bpf_map_info info = {};
                _cleanup_(closep) int fd = -EBADF;
                uint32_t size = sizeof(info);
                size_t k;

                for (k = 0; k < n && pinned[k] != p->maps[i]; k++)
                        ;
                if (k < n)
                        continue;
                fd = bpf_map_get_fd_by_id(p->maps[i]);
                if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
                        continue;
                for (k = 0; k < n; k++)
                        if (is_name(info.name, names[k]))
                                return names[k];
        }
        return NULL;
}

/* Of the maps that no program uses: which is not among those that cmkd-audit itself noted down. Before it did, none is. */
static const char *find_not_own(const char *dir, const char *const *names, const uint32_t *pinned, const bool *used, size_t n) {
        _cleanup_(closep) int own_fd = -EBADF;
        char path[PATH_MAX];
        uint32_t key;

        snprintf(path, sizeof(path), "%s/own", dir);
        own_fd = bpf_obj_get(path);
        if (own_fd < 0 || bpf_map_get_next_key(own_fd, NULL, &key) < 0)
                return NULL;
        for (size_t i = 0; i < n; i++)
                if (!used[i] && bpf_map_lookup_elem(own_fd, pinned + i, &key) < 0)
                        return names[i];
        return NULL;
}

/* The program of the next link in dir, which d is of. Returns false: there are no more. */
static bool next_link(DIR *d, const char *dir, struct program *ret) {
        struct dirent *e;

        while (d && (e = readdir(d))) {
                char path[PATH_MAX];
                _cleanup_(closep) int fd = -EBADF;

                if (!startswith(e->d_name, "link-"))
                        continue;
                snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
                fd = bpf_obj_get(path);
                if (fd >= 0 && program_of(fd, ret) >= 0)
                        return true;
        }
        return false;
}

const char *belonging_find_foreign_map(const char *dir, const char *const *maps, size_t n) {
        _cleanup_(closedirp) DIR *d = NULL;
        uint32_t pinned[MAPS_MAX];
        bool used[MAPS_MAX] = {};
        const char *other = NULL;
        char path[PATH_MAX];
        struct program p;

        for (size_t i = 0; i < n; i++) {
                snprintf(path, sizeof(path), "%s/%s", dir, maps[i]);
                if (map_at(path, pinned + i) < 0)
                        return maps[i];
        }
        d = opendir(dir);
        while (!other && next_link(d, dir, &p)) {
                for (size_t i = 0; i < n; i++)
                        used[i] = used[i] || uses(&p, pinned[i]);
                other = find_other(&p, maps, pinned, n);
        }
        return other ? other : find_not_own(dir, maps, pinned, used, n);
}

static bool has_origin(const struct belonging *b, uint32_t origin) {
        for (size_t i = 0; i < b->n; i++)
                if (b->origins[i] == origin)
                        return true;
        return false;
}

void belonging_begin(struct belonging *b, const char *dir, const char *map) {
        _cleanup_(closedirp) DIR *d = opendir(dir);
        char path[PATH_MAX];
        struct program p;
        uint32_t id;

        *b = (struct belonging) {};
        snprintf(path, sizeof(path), "%s/%s", dir, map);
        if (map_at(path, &id) < 0)
                return;
        while (b->n < ELEMENTSOF(b->origins) && next_link(d, dir, &p))
                if (uses(&p, id) && !has_origin(b, p.origin))
                        b->origins[b->n++] = p.origin;
}

bool belonging_has_link(const struct belonging *b, int link_fd, const char *program) {
        struct program p;

        return program_of(link_fd, &p) >= 0 && is_name(p.name, program) && has_origin(b, p.origin);
}
