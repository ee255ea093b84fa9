/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include "belonging.h"
#include "chain.h"
#include "connect.skel.h"
#include "crypt.skel.h"
#include "dm.skel.h"
#include "guard.skel.h"
#include "io.skel.h"
#include "lsm.skel.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PATH_SIZE 256

struct object {
        const char *name, *module;         /* module: where the functions live; NULL: the kernel itself */
        const char *map;                   /* that one of its programs uses at least */
        const void *(*elf)(size_t *size);
};

static const struct object objects[] = {
        { "lsm", NULL, "events", lsm_bpf__elf_bytes },
        { "io", NULL, "workloads", io_bpf__elf_bytes },
        { "guard", NULL, "events", guard_bpf__elf_bytes },
        { "connect", NULL, "events", connect_bpf__elf_bytes },
        { "dm", "dm_mod", "events", dm_bpf__elf_bytes },
        { "crypt", "dm_crypt", "events", crypt_bpf__elf_bytes },
};

static void bpf_object_freep(struct bpf_object **o) { bpf_object__close(*o); }
static void btf_freep(struct btf **b) { btf__free(*b); }
static void bpf_link_freep(struct bpf_link **l) { if (*l) bpf_link__destroy(*l); }

static void set_status(struct load *l, const char *program, const char *why) {
        struct probes_coverage *c = l->coverage;
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

static void pin_path(const struct load *l, const char *kind, const char *name, char ret[static PATH_SIZE]) {
        snprintf(ret, PATH_SIZE, "%s/%s-%s", l->dir, kind, name);
}

/* "fexit/crypt_ctr" -> "crypt_ctr"; "lsm/task_kill" -> "bpf_lsm_task_kill"; others: NULL, always there. */
static const char *hook_function(const struct bpf_program *prog, char *buf, size_t size) {
        const char *section = bpf_program__section_name(prog), *name;

        if ((name = startswith(section, "fexit/")) || (name = startswith(section, "fentry/")))
                snprintf(buf, size, "%s", name);
        else if ((name = startswith(section, "lsm/")) || (name = startswith(section, "lsm.s/")))
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
static int choose_programs(struct load *l, const struct object *o, struct bpf_object *obj, size_t *ret_wanted) {
        _cleanup_(btf_freep) struct btf *module = NULL;
        struct bpf_program *prog;
        size_t wanted = 0;

        /* Costly: kept for the other objects */
        if (!l->kernel)
                l->kernel = btf__load_vmlinux_btf();
        if (!l->kernel)
                return -errno;
        if (o->module)
                module = btf__load_module_btf(o->module, l->kernel);
        bpf_object__for_each_program(prog, obj) {
                const char *why = why_not(o, prog, l->kernel, module);

                if (why) {
                        set_status(l, bpf_program__name(prog), why);
                        bpf_program__set_autoload(prog, false);
                } else
                        wanted++;
        }
        *ret_wanted = wanted;
        return 0;
}

static void link_name(const struct bpf_program *prog, char ret[static PIN_NAME_MAX]) {
        snprintf(ret, PIN_NAME_MAX, "link-%s", bpf_program__name(prog));
}

static bool holds_link(const struct load *l, const struct bpf_program *prog) {
        char name[PIN_NAME_MAX];

        link_name(prog, name);
        return pins_fd(l->pins, name) >= 0;
}

/* Instead of the link that is pinned already, if there is one. */
static int pin_link(struct load *l, const struct bpf_program *prog, struct bpf_link *link) {
        char path[PATH_SIZE], name[PIN_NAME_MAX];
        int fd;

        link_name(prog, name);
        snprintf(path, sizeof(path), "%s/%s", l->dir, name);
        (void) unlink(path);
        if (bpf_link__pin(link, path) < 0)
                return -errno;
        fd = fcntl(bpf_link__fd(link), F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return -errno;
        return pins_hold(l->pins, name, fd);
}

/* The root of the unified hierarchy, also where nobody has mounted it yet (an initramfs). Where somebody has, another mount would
 * change the options of his. */
static int open_cgroup_root(void) {
        static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
        _cleanup_(closep) int context = -EBADF;
        struct statfs sfs;
        int fd;

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                fd = open(places[i], O_RDONLY|O_DIRECTORY|O_CLOEXEC);
                if (fd >= 0 && fstatfs(fd, &sfs) >= 0 && sfs.f_type == CGROUP2_SUPER_MAGIC)
                        return fd;
                safe_close(fd);
        }
        context = fsopen("cgroup2", FSOPEN_CLOEXEC);
        if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -errno;
        fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
        return fd < 0 ? -errno : fd;
}

static bool is_of_cgroup(const struct bpf_program *prog) {
        return bpf_program__type(prog) == BPF_PROG_TYPE_CGROUP_SYSCTL || bpf_program__type(prog) == BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
}

static int attach_one(struct load *l, struct bpf_program *prog) {
        _cleanup_(bpf_link_freep) struct bpf_link *link = NULL;
        _cleanup_(closep) int cgroup_fd = -EBADF;

        if (is_of_cgroup(prog)) {
                cgroup_fd = open_cgroup_root();
                if (cgroup_fd < 0)
                        return cgroup_fd;
                link = bpf_program__attach_cgroup(prog, cgroup_fd);
        } else
                link = bpf_program__attach(prog);
        if (!link)
                return -errno;
        return pin_link(l, prog, link);
}

/* What could not be attached gets a mark, so that the next start does not take it for a link that was removed. */
static void note_attached(struct load *l, const struct bpf_program *prog, int self_fd, bool is_back, int r) {
        char why[96], path[PATH_SIZE], name[PIN_NAME_MAX];

        if (r < 0 && holds_link(l, prog))
                return;            /* the one from before goes on */
        snprintf(why, sizeof(why), "attaching failed: %s", strerror(-r));
        set_status(l, bpf_program__name(prog), r < 0 ? why : "");
        pin_path(l, "failed", bpf_program__name(prog), path);
        link_name(prog, name);
        if (r < 0)
                (void) bpf_obj_pin(self_fd, path);
        else if (unlink(path) < 0 && is_back)
                pins_was_missing(l->pins, name);
}

static void attach_all(struct load *l, const struct object *o, struct bpf_object *obj) {
        int self_fd = bpf_map__fd(bpf_object__find_map_by_name(obj, "self"));
        struct bpf_program *prog;
        char mark[PIN_NAME_MAX];
        bool again;

        snprintf(mark, sizeof(mark), "loaded-%s", o->name);
        again = pins_fd(l->pins, mark) >= 0;
        bpf_object__for_each_program(prog, obj) {
                bool is_back = again && !holds_link(l, prog);

                if (bpf_program__autoload(prog))
                        note_attached(l, prog, self_fd, is_back, attach_one(l, prog));
        }
}

/* Opens what is pinned as KIND-NAME and holds it. */
static int hold_pinned(struct load *l, const char *kind, const char *name) {
        char path[PATH_SIZE];
        int fd;

        pin_path(l, kind, name, path);
        fd = bpf_obj_get(path);
        return fd < 0 ? -errno : pins_hold(l->pins, path + strlen(l->dir) + 1, fd);
}

/* Another's link under a name of ours is as good as none. */
static int hold_link(struct load *l, const struct belonging *b, const struct bpf_program *prog) {
        char path[PATH_SIZE];
        int fd;

        pin_path(l, "link", bpf_program__name(prog), path);
        fd = bpf_obj_get(path);
        if (fd < 0)
                return -errno;
        if (!belonging_has_link(b, fd, bpf_program__name(prog))) {
                safe_close(fd);
                return -ESTALE;
        }
        return pins_hold(l->pins, path + strlen(l->dir) + 1, fd);
}

/* Without the mark that all was attached: links of a start that was cut short. */
static void unlink_all(struct load *l, struct bpf_object *obj) {
        struct bpf_program *prog;
        char path[PATH_SIZE];

        bpf_object__for_each_program(prog, obj) {
                pin_path(l, "link", bpf_program__name(prog), path);
                (void) unlink(path);
        }
}

/* Says why links are not there. Returns how many were and have been removed, or -errno. */
static int find_removed(struct load *l, const struct object *o, struct bpf_object *obj) {
        struct bpf_program *prog;
        char path[PATH_SIZE];
        size_t wanted;
        int r, removed = 0;

        r = choose_programs(l, o, obj, &wanted);
        if (r < 0)
                return r;
        bpf_object__for_each_program(prog, obj) {
                const char *name = bpf_program__name(prog);

                if (holds_link(l, prog) || !bpf_program__autoload(prog))
                        continue;
                pin_path(l, "failed", name, path);
                set_status(l, name, "it could not be attached when the programs were loaded");
                removed += access(path, F_OK) < 0;
        }
        return removed;
}

/* What is pinned already is as it was when it was loaded. Returns 1 (all of it), 0 (it has to be loaded), or -errno. */
static int find_pinned(struct load *l, const struct object *o, struct bpf_object *obj) {
        struct bpf_program *prog;
        struct belonging b;
        size_t missing = 0;
        int r;

        if (hold_pinned(l, "loaded", o->name) < 0) {
                unlink_all(l, obj);
                return 0;
        }
        belonging_begin(&b, l->dir, o->map);
        bpf_object__for_each_program(prog, obj)
                if (hold_link(l, &b, prog) >= 0)
                        set_status(l, bpf_program__name(prog), "");
                else
                        missing++;
        if (missing == 0)
                return 1;
        r = find_removed(l, o, obj);
        return r < 0 ? r : r == 0;
}

static int open_elf(struct load *l, const struct object *o, struct bpf_object **ret) {
        LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = o->name, .pin_root_path = l->dir);
        size_t size;
        const void *elf = o->elf(&size);
        struct bpf_object *obj = bpf_object__open_mem(elf, size, &opts);

        if (!obj)
                return -errno;
        (void) bpf_map__set_max_entries(bpf_object__find_map_by_name(obj, "events"), l->ring_size);
        *ret = obj;
        return 0;
}

/* Loads one program of an object, alone, and throws it away. Returns 0 or why it is refused. */
static int try_program(struct load *l, const struct object *o, const char *name) {
        _cleanup_(bpf_object_freep) struct bpf_object *obj = NULL;
        struct bpf_program *prog;
        int r;

        r = open_elf(l, o, &obj);
        if (r < 0)
                return r;
        bpf_object__for_each_program(prog, obj)
                bpf_program__set_autoload(prog, streq(bpf_program__name(prog), name));
        return bpf_object__load(obj);
}

/* So that the next start does not take them for links that were removed. */
static void mark_refused(struct load *l, const struct bpf_object *obj) {
        int self_fd = bpf_map__fd(bpf_object__find_map_by_name(obj, "self"));
        struct bpf_program *prog;
        char path[PATH_SIZE];

        bpf_object__for_each_program(prog, obj)
                if (!bpf_program__autoload(prog) && !holds_link(l, prog)) {
                        pin_path(l, "failed", bpf_program__name(prog), path);
                        (void) bpf_obj_pin(self_fd, path);
                }
}

/* The object was refused as a whole: once more, without those that are to blame. Returns 1 (*ret: loaded) or 0. */
static int load_without_refused(struct load *l, const struct object *o, const struct bpf_object *whole,
                                struct bpf_object **ret) {
        _cleanup_(bpf_object_freep) struct bpf_object *obj = NULL;
        struct bpf_program *prog, *same;
        size_t left = 0;
        char why[96];
        int r;

        if (open_elf(l, o, &obj) < 0)
                return 0;
        bpf_object__for_each_program(prog, whole) {
                const char *name = bpf_program__name(prog);

                r = bpf_program__autoload(prog) ? try_program(l, o, name) : -ENOENT;
                same = bpf_object__find_program_by_name(obj, name);
                bpf_program__set_autoload(same, r >= 0);
                left += r >= 0;
                if (r >= 0 || !bpf_program__autoload(prog) || holds_link(l, prog))
                        continue;
                snprintf(why, sizeof(why), "this kernel refuses it: %s", strerror(-r));
                set_status(l, name, why);
        }
        if (left == 0 || bpf_object__load(obj) < 0)
                return 0;
        mark_refused(l, obj);
        *ret = TAKE_PTR(obj);
        return 1;
}

static int load_object(struct load *l, const struct object *o, struct bpf_object *obj) {
        _cleanup_(bpf_object_freep) struct bpf_object *rest = NULL;
        char path[PATH_SIZE];
        int r;

        if (bpf_object__load(obj) < 0) {
                if (load_without_refused(l, o, obj, &rest) == 0)
                        return 0;
                obj = rest;
        }
        attach_all(l, o, obj);
        pin_path(l, "loaded", o->name, path);
        if (bpf_obj_pin(bpf_map__fd(bpf_object__find_map_by_name(obj, "self")), path) < 0 && errno != EEXIST)
                return -errno;
        r = hold_pinned(l, "loaded", o->name);
        if (r < 0)
                return r;
        l->coverage->reused = false;
        return 1;
}

/* Returns 1 (loaded now), 0 (was there, or cannot be had: see the coverage), or -errno. */
static int open_object(struct load *l, const struct object *o, bool *settled) {
        _cleanup_(bpf_object_freep) struct bpf_object *obj = NULL;
        size_t wanted;
        int r;

        if (*settled)
                return 0;
        r = open_elf(l, o, &obj);
        if (r < 0)
                return r;
        r = find_pinned(l, o, obj);
        if (r != 0) {
                *settled = r > 0;
                return MIN_OF(r, 0);
        }
        r = choose_programs(l, o, obj, &wanted);
        if (r < 0 || wanted == 0)
                return r;
        r = load_object(l, o, obj);
        *settled = r > 0;
        return r;
}

/* Each that is not completely there. Returns 1 (something was loaded), 0, or -errno. */
int load_objects(struct load *l) {
        int changed = 0, r = 0;

        for (size_t i = 0; i < ELEMENTSOF(objects) && r >= 0; i++) {
                r = open_object(l, objects + i, l->settled + i);
                changed |= r > 0;
        }
        btf__free(l->kernel);
        l->kernel = NULL;
        return r < 0 ? r : changed;
}

int load_dir(uint32_t ring_size, char ret[static PROBES_DIR_MAX]) {
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
        snprintf(ret, PROBES_DIR_MAX, "%s/v%u-%.16s", PROBES_ROOT, CMKD_EVENT_VERSION, hex);
        return 0;
}
