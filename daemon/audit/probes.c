/* SPDX-License-Identifier: Apache-2.0 */
#include "probes.h"

#include "belonging.h"
#include "load.h"
#include "probes-old.h"
#include "common/log.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 256

struct probes {
        char dir[PROBES_DIR_MAX];
        char events_name[64];
        struct pins *pins;
        struct load load;
        int events_fd, lost_fd, submitted_fd, reported_fd;     /* stay with pins */
        int workloads_fd, unattributed_fd;                     /* or -errno */
        struct probes_coverage coverage;
};

struct probes *probes_free(struct probes *p) {
        if (!p)
                return NULL;
        pins_free(p->pins);
        free(p);
        return NULL;
}

const struct probes_coverage *probes_coverage(const struct probes *p) { return &p->coverage; }
const char *probes_dir(const struct probes *p) { return p->dir; }
int probes_events_fd(const struct probes *p) { return p->events_fd; }
int probes_workloads_fd(const struct probes *p) { return p->workloads_fd; }
int probes_unattributed_fd(const struct probes *p) { return p->unattributed_fd; }
const char *probes_events_name(const struct probes *p) { return p->events_name; }

static const char *const maps[] = {
        "events", "lost", "submitted", "reported", "missed", "self", "guard", "programs", "devices", "own", "units", "metadata",
};

/* These may not be there: nothing is counted then. */
static const char *const io_maps[] = { "workloads", "unattributed" };

/* What is attached writes to maps that cannot be had any more: all is loaded anew. Returns the name of such a map, or NULL. */
static const char *drop_without_maps(const struct probes *p) {
        const char *map = belonging_find_foreign_map(p->dir, maps, ELEMENTSOF(maps));
        unsigned links;

        if (!map)
                return NULL;
        links = probes_unpin(p->dir, "link-");
        (void) probes_unpin(p->dir, "");
        return links > 0 ? map : NULL;
}

int probes_map(const struct probes *p, const char *name) {
        return pins_fd(p->pins, name);
}

static int open_map(struct probes *p, const char *name) {
        char path[PATH_SIZE];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", p->dir, name);
        fd = bpf_obj_get(path);
        return fd < 0 ? -errno : pins_hold(p->pins, name, fd);
}

static int link_of(const struct probes *p, size_t i) {
        char name[PIN_NAME_MAX];

        snprintf(name, sizeof(name), "link-%s", p->coverage.items[i].program);
        return pins_fd(p->pins, name);
}

/* The numbers of our maps and programs: who opens or changes them is seen, and who has other programs for our maps. */
static int list_own(const struct probes *p) {
        uint32_t size, one = 1, id;
        int own_fd = probes_map(p, "own");

        for (size_t i = 0; i < ELEMENTSOF(maps); i++) {
                struct bpf_map_info map = {};

                size = sizeof(map);
                if (bpf_obj_get_info_by_fd(probes_map(p, maps[i]), &map, &size) < 0 ||
                    bpf_map_update_elem(own_fd, &map.id, &one, BPF_ANY) < 0)
                        return -errno;
        }
        for (size_t i = 0; i < p->coverage.n; i++) {
                struct bpf_link_info link = {};
                int fd = link_of(p, i);

                size = sizeof(link);
                if (fd < 0 || bpf_obj_get_info_by_fd(fd, &link, &size) < 0)
                        continue;
                id = link.prog_id | CMKD_OWN_PROGRAM;
                if (bpf_map_update_elem(own_fd, &id, &one, BPF_ANY) < 0)
                        return -errno;
        }
        return 0;
}

static int open_maps(struct probes *p) {
        _cleanup_(freep) char *boot = NULL;
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info), zero = 0, tgid = (uint32_t) getpid();
        int r;

        for (size_t i = 0; i < ELEMENTSOF(maps); i++) {
                r = open_map(p, maps[i]);
                if (r < 0)
                        return r;
        }
        p->events_fd = probes_map(p, "events");
        p->lost_fd = probes_map(p, "lost");
        p->submitted_fd = probes_map(p, "submitted");
        p->reported_fd = probes_map(p, "reported");
        for (size_t i = 0; i < ELEMENTSOF(io_maps); i++)
                (void) open_map(p, io_maps[i]);
        p->workloads_fd = probes_map(p, "workloads");
        p->unattributed_fd = probes_map(p, "unattributed");
        if (bpf_map_update_elem(probes_map(p, "self"), &zero, &tgid, BPF_ANY) < 0 ||
            bpf_obj_get_info_by_fd(p->events_fd, &info, &size) < 0)
                return -errno;
        r = read_small_file("/proc/sys/kernel/random/boot_id", 64, &boot, NULL);
        if (r < 0)
                return r;
        snprintf(p->events_name, sizeof(p->events_name), "%.8s.%" PRIu32, boot, info.id);
        return list_own(p);
}

/* libbpf's words go to debug: what failed is said once, in the coverage. */
static int print_debug(enum libbpf_print_level level, const char *format, va_list ap) {
        char line[512];

        if (level == LIBBPF_DEBUG)
                return 0;
        vsnprintf(line, sizeof(line), format, ap);
        log_debug("libbpf: %s", line);
        return 0;
}

int probes_open(uint32_t ring_size, struct probes **ret) {
        _cleanup_(probes_freep) struct probes *p = calloc(1, sizeof(*p));
        const char *lost_map;
        int r;

        if (!p)
                return -ENOMEM;
        p->events_fd = p->lost_fd = p->submitted_fd = p->reported_fd = p->workloads_fd = p->unattributed_fd = -EBADF;
        p->coverage.reused = true;
        libbpf_set_print(print_debug);
        p->load = (struct load) {
                .dir = p->dir, .ring_size = ring_size > 0 ? ring_size : CMKD_RING_SIZE, .coverage = &p->coverage,
        };
        r = load_dir(p->load.ring_size, p->dir);
        if (r >= 0)
                r = pins_new(p->dir, &p->pins);
        if (r < 0)
                return r;
        p->load.pins = p->pins;
        /* Of no build, where this boot had something and nobody released it: a bpffs that went away */
        lost_map = access(PROBES_MARK, F_OK) >= 0 && !probes_old_any() ? "events" : NULL;
        if ((mkdir(PROBES_ROOT, 0700) < 0 && errno != EEXIST) || (mkdir(p->dir, 0700) < 0 && errno != EEXIST))
                return -errno;
        probes_old_detach(p->dir);
        if (!lost_map)
                lost_map = drop_without_maps(p);
        r = load_objects(&p->load);
        if (r < 0)
                return r;
        r = open_maps(p);
        if (r < 0)
                return r;
        if (lost_map)
                pins_was_missing(p->pins, lost_map);
        (void) write_file_atomic(PROBES_MARK, "", 0, 0600);
        *ret = TAKE_PTR(p);
        return 0;
}

int probes_retry(struct probes *p) {
        int r = load_objects(&p->load);

        if (r > 0)
                (void) list_own(p);
        return r;
}

void probes_check_pins(struct probes *p, pins_missing missing, void *user) {
        pins_check(p->pins, missing, user);
}

unsigned probes_release(void) {
        struct probes_old old;
        unsigned n = 0;

        while (probes_old_next("/", &old) > 0) {
                n += probes_unpin(old.path, "");
                if (probes_old_done(&old, true) < 0)
                        break;
        }
        (void) unlink(PROBES_MARK);
        return n;
}

/* All of a map in one call: this is asked every second. Returns 0 or -errno. */
static int read_counters(int map_fd, bool per_cpu, uint64_t ret[static _CMKD_EVENT_MAX]) {
        uint32_t keys[_CMKD_EVENT_MAX], n = _CMKD_EVENT_MAX, next;
        int cpus = per_cpu ? libbpf_num_possible_cpus() : 1, r;
        _cleanup_(freep) uint64_t *values = calloc(_CMKD_EVENT_MAX * (size_t) MAX_OF(cpus, 1), sizeof(*values));

        if (cpus < 1 || !values)
                return -ENOMEM;
        r = bpf_map_lookup_batch(map_fd, NULL, &next, keys, values, &n, NULL);
        if (r < 0 && r != -ENOENT)               /* there are no more */
                return r;
        memset(ret, 0, _CMKD_EVENT_MAX * sizeof(*ret));
        for (uint32_t i = 0; i < n; i++)
                for (int cpu = 0; keys[i] < _CMKD_EVENT_MAX && cpu < cpus; cpu++)
                        ret[keys[i]] += values[i * (size_t) cpus + (size_t) cpu];
        return 0;
}

int64_t probes_lost(struct probes *p, uint64_t ret[static _CMKD_EVENT_MAX]) {
        uint64_t reported[_CMKD_EVENT_MAX];
        int64_t sum = 0;
        int r;

        r = read_counters(p->reported_fd, false, reported);
        if (r >= 0)
                r = read_counters(p->lost_fd, true, ret);
        if (r < 0)
                return r;
        for (uint32_t kind = 0; kind < _CMKD_EVENT_MAX; kind++) {
                ret[kind] -= reported[kind];
                sum += (int64_t) ret[kind];
        }
        return sum;
}

int probes_lost_reported(struct probes *p, const uint64_t lost[static _CMKD_EVENT_MAX]) {
        for (uint32_t kind = 0; kind < _CMKD_EVENT_MAX; kind++) {
                uint64_t reported = 0;

                if (lost[kind] == 0)
                        continue;
                if (bpf_map_lookup_elem(p->reported_fd, &kind, &reported) < 0)
                        return -errno;
                reported += lost[kind];
                if (bpf_map_update_elem(p->reported_fd, &kind, &reported, BPF_ANY) < 0)
                        return -errno;
        }
        return 0;
}

int probes_missed(const struct probes *p, size_t i, struct misses *ret) {
        int fd = link_of(p, i);

        return fd < 0 ? fd : misses_look(probes_map(p, "missed"), fd, p->coverage.items[i].program, ret);
}

int probes_missed_reported(const struct probes *p, const struct misses *m) {
        return misses_reported(probes_map(p, "missed"), m);
}

uint64_t probes_submitted(struct probes *p) {
        uint64_t counters[_CMKD_EVENT_MAX], sum = 0;

        if (read_counters(p->submitted_fd, true, counters) < 0)
                return 0;
        for (uint32_t kind = 0; kind < _CMKD_EVENT_MAX; kind++)
                sum += counters[kind];
        return sum;
}

int probes_heartbeat(void) {
        struct dm_ioctl io = {
                .version = { DM_VERSION_MAJOR, 0, 0 }, .data_size = sizeof(io), .data_start = sizeof(io),
                .name = CMKD_HEARTBEAT,
        };
        _cleanup_(closep) int fd = open("/dev/mapper/control", O_RDWR|O_CLOEXEC);

        if (fd < 0)
                return -errno;
        if (ioctl(fd, DM_TABLE_STATUS, &io) < 0 && errno != ENXIO)
                return -errno;
        return 0;
}
