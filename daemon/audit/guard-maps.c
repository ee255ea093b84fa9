/* SPDX-License-Identifier: Apache-2.0 */
#include "guard-maps.h"

#include "mount-table.h"
#include "common/known-programs.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define GONE_MAX 64u
#define BPFFS "/sys/fs/bpf"
#define RUN_DIR "/run/cmkd"

struct guard_maps {
        int guard_fd, programs_fd, devices_fd;
        const struct guard_settings *settings;     /* NULL: nothing is configured */
        struct cmkd_guard guard;           /* as it is in the kernel, once that was told: */
        bool is_set;
        struct mount_table mounts;
        uint32_t gone[GONE_MAX];           /* devices that the last look did not find any more */
        size_t n_gone;
};

_Static_assert(KNOWN_OPEN == (int) CMKD_MAY_OPEN && KNOWN_TABLE == (int) CMKD_MAY_TABLE && KNOWN_CONNECT == (int) CMKD_MAY_CONNECT &&
               KNOWN_KEYS == (int) CMKD_MAY_KEYS, "what is known is told to the kernel as it is");

static int identify(const char *mounts, const char *path, struct cmkd_program *ret) {
        struct statx sx;
        uint32_t dev;
        int r;

        if (statx(AT_FDCWD, path, 0, STATX_INO|STATX_MNT_ID|STATX_TYPE, &sx) < 0)
                return -errno;
        r = mount_table_dev(mounts, sx.stx_mnt_id, &dev);
        if (r < 0)
                return r;
        *ret = (struct cmkd_program) { .ino = sx.stx_ino, .dev = dev };
        return 0;
}

/* The directory that this program itself was started from. */
static int find_home(struct guard_maps *m) {
        struct cmkd_program dir, pins;
        char path[PATH_MAX], *slash;
        const char *mounts;
        struct stat st;
        ssize_t n;
        int r;

        n = readlink("/proc/self/exe", path, sizeof(path) - 1);
        if (n <= 0)
                return n < 0 ? -errno : -ENOENT;
        path[n] = 0;
        slash = strrchr(path, '/');
        if (!slash || slash == path)
                return -ENOENT;
        *slash = 0;
        mounts = mount_table_text(&m->mounts);
        r = mounts ? identify(mounts, path, &dir) : -ENOENT;
        if (r < 0)
                return r;
        m->guard.dir_ino = dir.ino;
        m->guard.dir_dev = dir.dev;
        /* Once: what is mounted over it later is not where the pins are */
        if (identify(mounts, PROBES_ROOT, &pins) >= 0)
                m->guard.pins_dev = pins.dev;
        if (stat("/proc/self/ns/mnt", &st) >= 0)
                m->guard.mnt_ns = (uint32_t) st.st_ino;
        return 0;
}

int guard_maps_new(const struct probes *p, const struct guard_settings *settings, struct guard_maps **ret) {
        _cleanup_(guard_maps_freep) struct guard_maps *m = calloc(1, sizeof(*m));
        int r;

        if (!m)
                return -ENOMEM;
        m->settings = settings;
        m->mounts = (struct mount_table) MOUNT_TABLE_NONE;
        m->guard_fd = probes_map(p, "guard");
        m->programs_fd = probes_map(p, "programs");
        m->devices_fd = probes_map(p, "devices");
        if (m->guard_fd < 0 || m->programs_fd < 0 || m->devices_fd < 0)
                return -ENOENT;
        r = find_home(m);
        if (r < 0)
                return r;
        guard_maps_mounts(m);
        guard_maps_programs(m);
        guard_maps_devices(m);
        *ret = TAKE_PTR(m);
        return 0;
}

struct guard_maps *guard_maps_free(struct guard_maps *m) {
        if (m)
                mount_table_done(&m->mounts);
        free(m);
        return NULL;
}

bool guard_maps_enforces(const struct guard_maps *m, uint64_t *ret_until_usec) {
        struct cmkd_guard g = {};
        uint32_t zero = 0;

        if (bpf_map_lookup_elem(m->guard_fd, &zero, &g) < 0)
                return false;
        *ret_until_usec = g.enforce_until_ns / NSEC_PER_USEC;
        return g.mode == CMKD_GUARD_ENFORCE;
}

int guard_maps_set(struct guard_maps *m, enum cmkd_guard_mode mode, uint64_t until_usec) {
        uint32_t zero = 0;

        m->guard.mode = mode;
        m->guard.enforce_until_ns = until_usec * NSEC_PER_USEC;
        if (bpf_map_update_elem(m->guard_fd, &zero, &m->guard, BPF_ANY) < 0)
                return -errno;
        m->is_set = true;
        return 0;
}

void guard_maps_mounts(struct guard_maps *m) {
        const char *text = mount_table_text(&m->mounts);
        struct cmkd_guard before = m->guard;
        struct cmkd_program run;
        uint32_t zero = 0;

        if (!text)
                return;
        memset(m->guard.above, 0, sizeof(m->guard.above));
        (void) mount_table_above(text, BPFFS, m->guard.above, ELEMENTSOF(m->guard.above));
        if (identify(text, RUN_DIR, &run) >= 0) {
                m->guard.run_ino = run.ino;
                m->guard.run_dev = run.dev;
        }
        if (m->is_set && memcmp(&m->guard, &before, sizeof(before)) != 0)
                (void) bpf_map_update_elem(m->guard_fd, &zero, &m->guard, BPF_ANY);
}

struct program_list { struct cmkd_program items[512]; uint32_t may[512]; size_t n; const char *mounts; };

/* One program may have several names, and be on several lists. */
static void add_program(const struct guard_maps *m, struct program_list *l, const char *path, uint32_t may) {
        struct cmkd_program program;
        size_t i;

        if (identify(l->mounts, path, &program) < 0)
                return;
        for (i = 0; i < l->n && (l->items[i].ino != program.ino || l->items[i].dev != program.dev); i++)
                ;
        if (i == ELEMENTSOF(l->items))
                return;
        l->items[i] = program;
        l->may[i] = (i < l->n ? l->may[i] : 0) | may;
        if (bpf_map_update_elem(m->programs_fd, l->items + i, l->may + i, BPF_ANY) >= 0 && i == l->n)
                l->n++;
}

static void drop_other_programs(const struct guard_maps *m, const struct program_list *l) {
        struct cmkd_program key, other[64];
        size_t n = 0, i;

        for (int r = bpf_map_get_next_key(m->programs_fd, NULL, &key); r >= 0 && n < ELEMENTSOF(other);
             r = bpf_map_get_next_key(m->programs_fd, &key, &key)) {
                for (i = 0; i < l->n && (l->items[i].ino != key.ino || l->items[i].dev != key.dev); i++)
                        ;
                if (i == l->n)
                        other[n++] = key;
        }
        while (n-- > 0)
                (void) bpf_map_delete_elem(m->programs_fd, other + n);
}

void guard_maps_programs(struct guard_maps *m) {
        struct program_list l = { .mounts = mount_table_text(&m->mounts) };
        const struct known_program *known;
        const char *directory;
        char path[PATH_MAX];

        if (!l.mounts)
                return;
        for (char *const *p = m->settings ? m->settings->allow : NULL; p && *p; p++)
                add_program(m, &l, *p, CMKD_MAY_OPEN);
        for (char *const *p = m->settings ? m->settings->allow_metadata : NULL; p && *p; p++)
                if (**p == '/')
                        add_program(m, &l, *p, CMKD_MAY_METADATA);
        for (size_t d = 0; (directory = known_directory(d)); d++)
                for (size_t i = 0; (known = known_program(i)); i++) {
                        snprintf(path, sizeof(path), "%s%s", directory, known->name);
                        add_program(m, &l, path, known->may);
                }
        drop_other_programs(m, &l);
}

/* ---- devices ---- */

struct device_list { uint32_t devs[4096]; uint32_t what[4096]; size_t n; };

static int read_line(const char *path, char *buf, size_t size) {
        _cleanup_(freep) char *text = NULL;
        int r = read_small_file(path, 4096, &text, NULL);

        if (r < 0)
                return r;
        text[strcspn(text, "\n")] = 0;
        snprintf(buf, size, "%s", text);
        return 0;
}

static void add_device(struct device_list *l, const char *directory, uint32_t what) {
        unsigned major, minor;
        char path[PATH_MAX], text[32];

        snprintf(path, sizeof(path), "%s/dev", directory);
        if (read_line(path, text, sizeof(text)) < 0 || sscanf(text, "%u:%u", &major, &minor) != 2)
                return;
        for (size_t i = 0; i < l->n; i++)
                if (l->devs[i] == CMKD_KERNEL_DEV(major, minor)) {
                        l->what[i] |= what;
                        return;
                }
        if (l->n == ELEMENTSOF(l->devs))
                return;
        l->devs[l->n] = CMKD_KERNEL_DEV(major, minor);
        l->what[l->n++] = what;
}

/* A volume, what it lies on, and the whole disk around a partition. */
static void add_volume(struct device_list *l, const char *name) {
        char directory[300], path[700];
        _cleanup_(closedirp) DIR *d = NULL;
        struct dirent *e;

        snprintf(directory, sizeof(directory), "/sys/block/%s", name);
        add_device(l, directory, CMKD_DEVICE_VOLUME);
        snprintf(path, sizeof(path), "%s/slaves", directory);
        d = opendir(path);
        while (d && (e = readdir(d))) {
                if (e->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), "%s/slaves/%s", directory, e->d_name);
                add_device(l, path, CMKD_DEVICE_DISK);
                snprintf(path, sizeof(path), "%s/slaves/%s/partition", directory, e->d_name);
                if (access(path, F_OK) < 0)
                        continue;
                snprintf(path, sizeof(path), "%s/slaves/%s/..", directory, e->d_name);
                add_device(l, path, CMKD_DEVICE_DISK);
        }
}

/* What two looks in a row did not find: what a volume lies on is not in sysfs yet when the kernel adds it. */
static void drop_gone(struct guard_maps *m, const struct device_list *l) {
        uint32_t key, gone[GONE_MAX], done[GONE_MAX];
        size_t n = 0, n_done = 0, i;

        for (int r = bpf_map_get_next_key(m->devices_fd, NULL, &key); r >= 0 && n < GONE_MAX;
             r = bpf_map_get_next_key(m->devices_fd, &key, &key)) {
                for (i = 0; i < l->n && l->devs[i] != key; i++)
                        ;
                if (i < l->n)
                        continue;
                for (i = 0; i < m->n_gone && m->gone[i] != key; i++)
                        ;
                if (i < m->n_gone)
                        done[n_done++] = key;
                gone[n++] = key;
        }
        while (n_done-- > 0)
                (void) bpf_map_delete_elem(m->devices_fd, done + n_done);
        memcpy(m->gone, gone, n * sizeof(*gone));
        m->n_gone = n;
}

void guard_maps_devices(struct guard_maps *m) {
        _cleanup_(freep) struct device_list *l = calloc(1, sizeof(*l));
        _cleanup_(closedirp) DIR *d = opendir("/sys/block");
        char path[300], uuid[CMKD_DM_UUID_SIZE];
        struct dirent *e;

        if (!d || !l)
                return;
        while ((e = readdir(d))) {
                snprintf(path, sizeof(path), "/sys/block/%s/dm/uuid", e->d_name);
                if (startswith(e->d_name, "dm-") && read_line(path, uuid, sizeof(uuid)) >= 0 &&
                    startswith(uuid, "CRYPT-LUKS2-"))
                        add_volume(l, e->d_name);
        }
        for (size_t i = 0; i < l->n; i++)
                (void) bpf_map_update_elem(m->devices_fd, l->devs + i, l->what + i, BPF_ANY);
        drop_gone(m, l);
}

static bool name_from(struct cmkd_event *e, const char *directory) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/dm/uuid", directory);
        if (read_line(path, e->uuid, sizeof(e->uuid)) < 0 || !startswith(e->uuid, "CRYPT-LUKS2-")) {
                e->uuid[0] = 0;
                return false;
        }
        snprintf(path, sizeof(path), "%s/dm/name", directory);
        (void) read_line(path, e->name, sizeof(e->name));
        return true;
}

void guard_maps_name(struct cmkd_event *e) {
        _cleanup_(closedirp) DIR *d = NULL;
        char directory[64], path[400];
        struct dirent *h;

        if ((e->kind != CMKD_GUARD_OPEN && e->kind != CMKD_HEADER_OPEN) || e->dev_major == 0)
                return;
        snprintf(directory, sizeof(directory), "/sys/dev/block/%u:%u", e->dev_major, e->dev_minor);
        if (e->kind == CMKD_GUARD_OPEN) {
                (void) name_from(e, directory);
                return;
        }
        snprintf(path, sizeof(path), "%s/holders", directory);
        d = opendir(path);
        while (d && (h = readdir(d))) {
                snprintf(path, sizeof(path), "%s/holders/%s", directory, h->d_name);
                if (h->d_name[0] != '.' && name_from(e, path))
                        return;
        }
}
