/* SPDX-License-Identifier: Apache-2.0 */
#include "probes-old.h"

#include "event.h"
#include "probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <limits.h>
#include <unistd.h>

unsigned probes_unpin(const char *dir, const char *prefix) {
        _cleanup_(closedirp) DIR *d = opendir(dir);
        struct dirent *e;
        unsigned n = 0;

        while (d && (e = readdir(d)))
                if (e->d_name[0] != '.' && startswith(e->d_name, prefix))
                        n += unlinkat(dirfd(d), e->d_name, 0) >= 0;
        return n;
}

uint64_t probes_sum_cpus(int map_fd, uint32_t key) {
        int n = libbpf_num_possible_cpus();
        _cleanup_(freep) uint64_t *values = calloc(n > 0 ? (size_t) n : 1, sizeof(*values));
        uint64_t sum = 0;

        if (n <= 0 || !values || bpf_map_lookup_elem(map_fd, &key, values) < 0)
                return 0;
        for (int i = 0; i < n; i++)
                sum += values[i];
        return sum;
}

/* The next directory of bpffs beside dir. */
static struct dirent *next_beside(DIR *d, const char *dir) {
        const char *own = strrchr(dir, '/') + 1;
        struct dirent *e;

        while ((e = readdir(d)))
                if (e->d_name[0] != '.' && !streq(e->d_name, own))
                        return e;
        return NULL;
}

void probes_old_detach(const char *dir) {
        _cleanup_(closedirp) DIR *d = opendir(PROBES_ROOT);
        char path[sizeof(PROBES_ROOT) + NAME_MAX + 1];
        struct dirent *e;

        while (d && (e = next_beside(d, dir))) {
                snprintf(path, sizeof(path), PROBES_ROOT "/%s", e->d_name);
                (void) probes_unpin(path, "link-");
        }
}

static int open_map(const struct probes_old *o, const char *name) {
        char path[sizeof(o->path) + NAME_MAX];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", o->path, name);
        fd = bpf_obj_get(path);
        return fd < 0 ? -errno : fd;
}

/* The kinds of another version are others, and there may be more or fewer: their sum is what can be said. */
static uint64_t sum_lost(const struct probes_old *o) {
        _cleanup_(closep) int lost_fd = open_map(o, "lost"), reported_fd = open_map(o, "reported");
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info);
        uint64_t sum = 0;

        if (lost_fd < 0 || bpf_obj_get_info_by_fd(lost_fd, &info, &size) < 0)
                return 0;
        for (uint32_t kind = 0; kind < info.max_entries; kind++) {
                uint64_t lost = probes_sum_cpus(lost_fd, kind), reported = 0;

                if (reported_fd >= 0)
                        (void) bpf_map_lookup_elem(reported_fd, &kind, &reported);
                sum += lost > reported ? lost - reported : 0;
        }
        return sum;
}

int probes_old_next(const char *dir, struct probes_old *ret) {
        _cleanup_(closedirp) DIR *d = opendir(PROBES_ROOT);
        struct dirent *e = d ? next_beside(d, dir) : NULL;
        char version[16];

        if (!e)
                return 0;
        snprintf(version, sizeof(version), "v%u-", CMKD_EVENT_VERSION);
        *ret = (struct probes_old) { .is_known = startswith(e->d_name, version) };
        snprintf(ret->path, sizeof(ret->path), PROBES_ROOT "/%.200s", e->d_name);
        ret->events_fd = open_map(ret, "events");
        ret->lost = sum_lost(ret);
        return 1;
}

bool probes_old_any(void) {
        _cleanup_(closedirp) DIR *d = opendir(PROBES_ROOT);
        char path[sizeof(PROBES_ROOT) + NAME_MAX + sizeof("/events")];
        struct dirent *e;

        while (d && (e = next_beside(d, "/"))) {
                snprintf(path, sizeof(path), PROBES_ROOT "/%s/events", e->d_name);
                if (access(path, F_OK) >= 0)
                        return true;
        }
        return false;
}

int probes_old_done(struct probes_old *o, bool remove) {
        o->events_fd = safe_close(o->events_fd);
        if (!remove)
                return 0;
        (void) probes_unpin(o->path, "");
        return rmdir(o->path) < 0 ? -errno : 0;
}
