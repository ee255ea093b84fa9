/* SPDX-License-Identifier: Apache-2.0 */
#include "probes.h"

#include "chain.h"
#include "common/log.h"
#include "crypt.skel.h"
#include "dm.skel.h"
#include "lsm.skel.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_MAX 96
#define PATH_SIZE 256

struct object {
        const char *name, *module;         /* module: where the functions live; NULL: the kernel itself */
        const void *(*elf)(size_t *size);
};

static const struct object objects[] = {
        { "lsm", NULL, lsm_bpf__elf_bytes },
        { "dm", "dm_mod", dm_bpf__elf_bytes },
        { "crypt", "dm_crypt", crypt_bpf__elf_bytes },
};

struct probes {
        char dir[DIR_MAX], old_dir[DIR_MAX];
        char events_name[64];
        int events_fd, lost_fd, submitted_fd, reported_fd, old_events_fd;
        uint32_t ring_size;
        struct btf *kernel;                /* NULL, except while objects are being loaded */
        struct probes_coverage coverage;
};

struct probes *probes_free(struct probes *p) {
        if (!p)
                return NULL;
        safe_close(p->events_fd);
        safe_close(p->lost_fd);
        safe_close(p->submitted_fd);
        safe_close(p->reported_fd);
        safe_close(p->old_events_fd);
        btf__free(p->kernel);
        free(p);
        return NULL;
}

const struct probes_coverage *probes_coverage(const struct probes *p) { return &p->coverage; }
int probes_events_fd(const struct probes *p) { return p->events_fd; }
const char *probes_events_name(const struct probes *p) { return p->events_name; }

static void bpf_object_freep(struct bpf_object **o) { bpf_object__close(*o); }
static void btf_freep(struct btf **b) { btf__free(*b); }
static void bpf_link_freep(struct bpf_link **l) { if (*l) bpf_link__destroy(*l); }
static void closedirp(DIR **d) { if (*d) closedir(*d); }

static void set_status(struct probes *p, const char *program, const char *why) {
        struct probes_coverage *c = &p->coverage;
        size_t i;

        for (i = 0; i < c->n && !streq(c->items[i].program, program); i++)
                ;
        if (i == PROBES_MAX)
                return;
        if (i == c->n)
                c->n++;
        snprintf(c->items[i].program, sizeof(c->items[i].program), "%s", program);
        snprintf(c->items[i].why, sizeof(c->items[i].why), "%s", why);
        c->n_missing = 0;
        for (i = 0; i < c->n; i++)
                c->n_missing += c->items[i].why[0] != 0;
}

static void pin_path(const struct probes *p, const char *kind, const char *name, char ret[static PATH_SIZE]) {
        snprintf(ret, PATH_SIZE, "%s/%s-%s", p->dir, kind, name);
}

/* "fexit/crypt_ctr" -> "crypt_ctr"; "lsm/task_kill" -> "bpf_lsm_task_kill"; others: NULL, always there. */
static const char *hook_function(const struct bpf_program *prog, char *buf, size_t size) {
        const char *section = bpf_program__section_name(prog), *name;

        if ((name = startswith(section, "fexit/")) || (name = startswith(section, "fentry/")))
                snprintf(buf, size, "%s", name);
        else if ((name = startswith(section, "lsm/")))
                snprintf(buf, size, "bpf_lsm_%s", name);
        else
                return NULL;
        return buf;
}

/* A BPF LSM that is not among the active ones takes programs and never calls them. */
static bool bpf_lsm_is_active(void) {
        _cleanup_(freep) char *text = NULL;
        char *rest, *word;

        if (read_small_file("/sys/kernel/security/lsm", 4096, &text, NULL) < 0)
                return true;       /* not known: securityfs may not be mounted yet */
        rest = text;
        while ((word = strsep(&rest, ",\n")))
                if (streq(word, "bpf"))
                        return true;
        return false;
}

static const char *why_not(const struct object *o, const struct bpf_program *prog, const struct btf *kernel,
                           const struct btf *module) {
        char name[64];
        const char *function = hook_function(prog, name, sizeof(name));

        if (!function)
                return NULL;
        if (startswith(function, "bpf_lsm_") && !bpf_lsm_is_active())
                return "the kernel runs without the BPF LSM";
        if (o->module && btf__find_by_name_kind(module ? module : kernel, function, BTF_KIND_FUNC) < 0)
                return module ? "this kernel has no such function" : "the module is not loaded";
        if (!o->module && btf__find_by_name_kind(kernel, function, BTF_KIND_FUNC) < 0)
                return "this kernel has no such hook";
        return NULL;
}

/* Switches off what cannot be attached here: one missing hook would refuse the whole object. */
static int choose_programs(struct probes *p, const struct object *o, struct bpf_object *obj, size_t *ret_wanted) {
        _cleanup_(btf_freep) struct btf *module = NULL;
        struct bpf_program *prog;
        size_t wanted = 0;

        /* Costly: kept for the other objects */
        if (!p->kernel)
                p->kernel = btf__load_vmlinux_btf();
        if (!p->kernel)
                return -errno;
        if (o->module)
                module = btf__load_module_btf(o->module, p->kernel);
        bpf_object__for_each_program(prog, obj) {
                const char *why = why_not(o, prog, p->kernel, module);

                if (why) {
                        set_status(p, bpf_program__name(prog), why);
                        bpf_program__set_autoload(prog, false);
                } else
                        wanted++;
        }
        *ret_wanted = wanted;
        return 0;
}

static int attach_one(struct probes *p, struct bpf_program *prog) {
        _cleanup_(bpf_link_freep) struct bpf_link *link = NULL;
        _cleanup_(closep) int cgroup_fd = -EBADF;
        char path[PATH_SIZE];

        if (bpf_program__type(prog) == BPF_PROG_TYPE_CGROUP_SYSCTL) {
                cgroup_fd = open("/sys/fs/cgroup", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
                if (cgroup_fd < 0)
                        return -errno;
                link = bpf_program__attach_cgroup(prog, cgroup_fd);
        } else
                link = bpf_program__attach(prog);
        if (!link)
                return -errno;
        pin_path(p, "link", bpf_program__name(prog), path);
        return bpf_link__pin(link, path);
}

static void attach_all(struct probes *p, struct bpf_object *obj) {
        struct bpf_program *prog;

        bpf_object__for_each_program(prog, obj) {
                char why[96];
                int r;

                if (!bpf_program__autoload(prog))
                        continue;
                r = attach_one(p, prog);
                snprintf(why, sizeof(why), "attaching failed: %s", strerror(-r));
                set_status(p, bpf_program__name(prog), r < 0 ? why : "");
        }
}

static void set_all(struct probes *p, struct bpf_object *obj, const char *why) {
        struct bpf_program *prog;

        bpf_object__for_each_program(prog, obj)
                set_status(p, bpf_program__name(prog), why);
}

/* What is pinned already is as it was when it was loaded. Links without the mark are of a start that was cut short. */
static bool find_pinned(struct probes *p, const struct object *o, struct bpf_object *obj) {
        struct bpf_program *prog;
        char path[PATH_SIZE];
        bool complete;

        pin_path(p, "loaded", o->name, path);
        complete = access(path, F_OK) >= 0;
        bpf_object__for_each_program(prog, obj) {
                pin_path(p, "link", bpf_program__name(prog), path);
                if (!complete)
                        (void) unlink(path);
                else
                        set_status(p, bpf_program__name(prog), access(path, F_OK) >= 0 ? "" :
                                   "it could not be attached when the programs were loaded");
        }
        return complete;
}

/* Returns 1 (loaded now), 0 (was there, or cannot be had: see the coverage), or -errno. */
static int open_object(struct probes *p, const struct object *o) {
        LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = o->name, .pin_root_path = p->dir);
        _cleanup_(bpf_object_freep) struct bpf_object *obj = NULL;
        char path[PATH_SIZE], why[96];
        size_t size, wanted;
        const void *elf = o->elf(&size);
        int r;

        obj = bpf_object__open_mem(elf, size, &opts);
        if (!obj)
                return -errno;
        if (find_pinned(p, o, obj))
                return 0;
        (void) bpf_map__set_max_entries(bpf_object__find_map_by_name(obj, "events"), p->ring_size);
        r = choose_programs(p, o, obj, &wanted);
        if (r < 0)
                return r;
        if (wanted == 0)
                return 0;
        r = bpf_object__load(obj);
        if (r < 0) {
                snprintf(why, sizeof(why), "loading failed: %s", strerror(-r));
                set_all(p, obj, why);
                return 0;
        }
        attach_all(p, obj);
        pin_path(p, "loaded", o->name, path);
        r = bpf_obj_pin(bpf_map__fd(bpf_object__find_map_by_name(obj, "self")), path);
        if (r < 0)
                return r;
        p->coverage.reused = false;
        return 1;
}

/* Each that is not completely there. Returns 1 (something was loaded), 0, or -errno. */
static int open_objects(struct probes *p) {
        int changed = 0, r = 0;

        for (size_t i = 0; i < ELEMENTSOF(objects) && r >= 0; i++) {
                r = open_object(p, objects + i);
                changed |= r > 0;
        }
        btf__free(p->kernel);
        p->kernel = NULL;
        return r < 0 ? r : changed;
}

static int digest_dir(uint32_t ring_size, char ret[static DIR_MAX]) {
        uint8_t hash[CHAIN_HASH_SIZE] = {};
        char hex[CHAIN_HEX_SIZE + 1];
        int r;

        memcpy(hash, &ring_size, sizeof(ring_size));
        for (size_t i = 0; i < ELEMENTSOF(objects); i++) {
                size_t size;
                const void *elf = objects[i].elf(&size);

                r = chain_hash(hash, elf, size, hash);
                if (r < 0)
                        return r;
        }
        chain_to_hex(hash, hex);
        snprintf(ret, DIR_MAX, "%s/v%u-%.16s", PROBES_ROOT, CMKD_EVENT_VERSION, hex);
        return 0;
}

static void remove_dir(const char *path, const char *prefix) {
        _cleanup_(closedirp) DIR *d = opendir(path);
        struct dirent *e;

        while (d && (e = readdir(d)))
                if (e->d_name[0] != '.' && startswith(e->d_name, prefix))
                        (void) unlinkat(dirfd(d), e->d_name, 0);
        if (!*prefix)
                (void) rmdir(path);
}

/* Detaches what another build left, and keeps the ring of the latest if this one understands its events. */
static void find_old(struct probes *p) {
        _cleanup_(closedirp) DIR *d = opendir(PROBES_ROOT);
        char version[16], path[PATH_SIZE + NAME_MAX];
        struct dirent *e;

        snprintf(version, sizeof(version), "v%u-", CMKD_EVENT_VERSION);
        while (d && (e = readdir(d))) {
                if (e->d_name[0] == '.' || streq(e->d_name, p->dir + sizeof(PROBES_ROOT)))
                        continue;
                snprintf(path, sizeof(path), PROBES_ROOT "/%s", e->d_name);
                remove_dir(path, "link-");
                if (p->old_events_fd < 0 && startswith(e->d_name, version) && strlen(path) < sizeof(p->old_dir)) {
                        char events[sizeof(path) + 8];

                        snprintf(events, sizeof(events), "%s/events", path);
                        p->old_events_fd = bpf_obj_get(events);
                        snprintf(p->old_dir, sizeof(p->old_dir), "%.*s", (int) sizeof(p->old_dir) - 1, path);
                }
                if (p->old_events_fd < 0 || !streq(path, p->old_dir))
                        remove_dir(path, "");
        }
}

int probes_old_events_fd(struct probes *p) {
        return p->old_events_fd >= 0 ? p->old_events_fd : -ENOENT;
}

void probes_drop_old(struct probes *p) {
        p->old_events_fd = safe_close(p->old_events_fd);
        if (p->old_dir[0])
                remove_dir(p->old_dir, "");
        p->old_dir[0] = 0;
}

static int open_map(const struct probes *p, const char *name) {
        char path[PATH_SIZE];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", p->dir, name);
        fd = bpf_obj_get(path);
        return fd < 0 ? -errno : fd;
}

static int open_maps(struct probes *p) {
        _cleanup_(closep) int self_fd = open_map(p, "self");
        _cleanup_(freep) char *boot = NULL;
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info), zero = 0, tgid = (uint32_t) getpid();
        int r;

        p->events_fd = open_map(p, "events");
        p->lost_fd = open_map(p, "lost");
        p->submitted_fd = open_map(p, "submitted");
        p->reported_fd = open_map(p, "reported");
        if (self_fd < 0 || p->events_fd < 0 || p->lost_fd < 0 || p->submitted_fd < 0 || p->reported_fd < 0)
                return -ENOENT;
        if (bpf_map_update_elem(self_fd, &zero, &tgid, BPF_ANY) < 0 ||
            bpf_obj_get_info_by_fd(p->events_fd, &info, &size) < 0)
                return -errno;
        r = read_small_file("/proc/sys/kernel/random/boot_id", 64, &boot, NULL);
        if (r < 0)
                return r;
        snprintf(p->events_name, sizeof(p->events_name), "%.8s.%" PRIu32, boot, info.id);
        return 0;
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
        int r;

        if (!p)
                return -ENOMEM;
        p->events_fd = p->lost_fd = p->submitted_fd = p->reported_fd = p->old_events_fd = -EBADF;
        p->coverage.reused = true;
        libbpf_set_print(print_debug);
        p->ring_size = ring_size > 0 ? ring_size : CMKD_RING_SIZE;
        r = digest_dir(p->ring_size, p->dir);
        if (r < 0)
                return r;
        if ((mkdir(PROBES_ROOT, 0700) < 0 && errno != EEXIST) || (mkdir(p->dir, 0700) < 0 && errno != EEXIST))
                return -errno;
        find_old(p);
        r = open_objects(p);
        if (r < 0)
                return r;
        r = open_maps(p);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

int probes_retry(struct probes *p) {
        return open_objects(p);
}

static uint64_t sum_cpus(int fd, uint32_t kind) {
        int n = libbpf_num_possible_cpus();
        _cleanup_(freep) uint64_t *values = calloc(n > 0 ? (size_t) n : 1, sizeof(*values));
        uint64_t sum = 0;

        if (n <= 0 || !values || bpf_map_lookup_elem(fd, &kind, values) < 0)
                return 0;
        for (int i = 0; i < n; i++)
                sum += values[i];
        return sum;
}

int64_t probes_lost(struct probes *p, uint64_t ret[static _CMKD_EVENT_MAX]) {
        int64_t sum = 0;

        for (uint32_t kind = 0; kind < _CMKD_EVENT_MAX; kind++) {
                uint64_t reported = 0;

                if (bpf_map_lookup_elem(p->reported_fd, &kind, &reported) < 0)
                        return -errno;
                ret[kind] = sum_cpus(p->lost_fd, kind) - reported;
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

uint64_t probes_submitted(struct probes *p) {
        uint64_t sum = 0;

        for (uint32_t kind = 0; kind < _CMKD_EVENT_MAX; kind++)
                sum += sum_cpus(p->submitted_fd, kind);
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
