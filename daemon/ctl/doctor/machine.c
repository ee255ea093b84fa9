/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include "ctl/boot-chain.h"
#include "machine-disk.h"

#define TRUST_DIR "/var/lib/cmkd/trust"

static bool _printf_(1, 2) exists(const char *format, ...) {
        char path[PATH_MAX];
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(path, sizeof(path), format, ap);
        va_end(ap);
        return n < (int) sizeof(path) && access(path, F_OK) >= 0;
}

static void add_driver(struct machine *m, enum driver_kind kind, const char *module, const char *device) {
        struct machine_driver *d = m->drivers + m->n_drivers;

        for (size_t i = 0; i < m->n_drivers; i++)
                if (m->drivers[i].kind == kind && streq(m->drivers[i].module, module))
                        return;
        if (m->n_drivers == MACHINE_DRIVERS_MAX)
                return;
        d->kind = kind;
        snprintf(d->module, sizeof(d->module), "%s", module);
        snprintf(d->device, sizeof(d->device), "%s", device);
        m->n_drivers++;
}

/* Every driver from the device up to its bus: a disk on virtio on PCI needs each of them. Drivers without a module are
 * built in. */
static void add_drivers_above(struct machine *m, enum driver_kind kind, const char *link, const char *device) {
        char path[PATH_MAX], top[PATH_MAX], module[PATH_MAX + 32], target[PATH_MAX];
        size_t n;

        snprintf(module, sizeof(module), "%s/sys/devices", m->root);
        if (!realpath(link, path) || !realpath(module, top) || !startswith(path, top))
                return;
        n = strlen(top);
        while (strlen(path) > n) {
                snprintf(module, sizeof(module), "%s/driver/module", path);
                if (realpath(module, target))
                        add_driver(m, kind, strrchr(target, '/') + 1, device);
                *strrchr(path, '/') = 0;
        }
}

/* A virtual function that another card of the machine is in front of (Hyper-V's) is not needed for the way out. */
static bool has_master_with_device(const char *root, const char *name) {
        return exists("%s/sys/class/net/%s/master/device", root, name);
}

static void read_network(struct machine *m) {
        char path[PATH_MAX];
        struct dirent *e;
        DIR *d;

        snprintf(path, sizeof(path), "%s/sys/class/net", m->root);
        d = opendir(path);
        while (d && (e = readdir(d))) {
                if (e->d_name[0] == '.' || has_master_with_device(m->root, e->d_name))
                        continue;
                snprintf(path, sizeof(path), "%s/sys/class/net/%s/device", m->root, e->d_name);
                add_drivers_above(m, DRIVER_NETWORK, path, e->d_name);
        }
        if (d)
                closedir(d);
}

static void add_disk(struct machine *m, const char *name, unsigned depth) {
        char path[PATH_MAX];
        struct dirent *e;
        bool below = false;
        DIR *d;

        snprintf(path, sizeof(path), "%s/sys/class/block/%s/slaves", m->root, name);
        d = depth < 8 ? opendir(path) : NULL;
        while (d && (e = readdir(d)))
                if (e->d_name[0] != '.') {
                        below = true;
                        add_disk(m, e->d_name, depth + 1);
                }
        if (d)
                closedir(d);
        snprintf(path, sizeof(path), "%s/sys/class/block/%s", m->root, name);
        if (!below)
                add_drivers_above(m, DRIVER_DISK, path, name);
}

/* ---- volumes ---- */

static void find_device(struct machine *m, struct os_volume *v) {
        char path[PATH_MAX], target[PATH_MAX];
        const char *base;

        snprintf(path, sizeof(path), "%s/dev/disk/by-uuid/%s", m->root, v->entry.uuid);
        if (!realpath(path, target))
                return;
        base = strrchr(target, '/') + 1;
        if (strlen(base) >= sizeof(v->device))
                return;
        strcpy(v->device, base);
        add_disk(m, base, 0);
        if (!*m->root)
                v->recovery_key = disk_has_recovery_key(target);
}

static void add_unreadable(struct machine *m, const char *uuid, const char *why) {
        struct unreadable_volume *u = m->unreadable + m->n_unreadable;

        if (m->n_unreadable == MACHINE_VOLUMES_MAX)
                return;
        strcpy(u->uuid, uuid);
        snprintf(u->why, sizeof(u->why), "%s", why);
        m->n_unreadable++;
}

static void read_volume(struct machine *m, const char *file) {
        struct os_volume *v = m->volumes + m->n_volumes;
        _cleanup_(freep) char *text = NULL, *why = NULL;
        char path[PATH_MAX], uuid[37] = "";
        size_t size;
        int r;

        if (strlen(file) != 36 + 5 || !streq(file + 36, ".conf") || m->n_volumes == MACHINE_VOLUMES_MAX)
                return;
        memcpy(uuid, file, 36);
        snprintf(path, sizeof(path), "%s" TRUST_DIR "/%s", m->root, file);
        r = read_small_file(path, TRUST_FILE_MAX, &text, &size);
        if (r >= 0)
                r = trust_parse(uuid, text, size, &v->entry, &why);
        if (r < 0) {
                add_unreadable(m, uuid, why ? why : strerror(-r));
                return;
        }
        if (v->entry.role != ROLE_OS)
                return;
        v->recovery_key = -ENODATA;
        find_device(m, v);
        m->n_volumes++;
}

static void read_volumes(struct machine *m) {
        char path[PATH_MAX];
        struct dirent *e;
        DIR *d;

        snprintf(path, sizeof(path), "%s" TRUST_DIR, m->root);
        d = opendir(path);
        while (d && (e = readdir(d)))
                read_volume(m, e->d_name);
        if (d)
                closedir(d);
}

/* ---- the rest ---- */

static char *_printf_(1, 2) read_text(const char *format, ...) {
        char path[PATH_MAX], *text;
        size_t size;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(path, sizeof(path), format, ap);
        va_end(ap);
        return n < (int) sizeof(path) && read_small_file(path, IMAGE_TABLE_MAX, &text, &size) >= 0 ? text : NULL;
}

static void read_clock(struct machine *m) {
        _cleanup_(freep) char *text = read_text("%s/sys/class/rtc/rtc0/since_epoch", m->root);
        uint64_t seconds;

        m->has_clock = exists("%s/sys/class/rtc/rtc0", m->root);
        if (!text)
                return;
        text[strcspn(text, "\n")] = 0;
        if (parse_u64(text, INT64_MAX, &seconds) >= 0)
                m->clock_ahead = (int64_t) seconds - (int64_t) time(NULL);
}

static bool is_virtual(const struct machine *m, const char *name) {
        char path[PATH_MAX];
        struct dirent *e;
        bool below = false;
        DIR *d;

        if (strchr(name, '/') || exists("%s/sys/class/net/%s/device", m->root, name))
                return false;
        snprintf(path, sizeof(path), "%s/sys/class/net/%s", m->root, name);
        d = opendir(path);
        while (d && (e = readdir(d)))
                below |= startswith(e->d_name, "lower_") != NULL;
        if (!d)
                return false;
        closedir(d);
        return !below;
}

static void read_routes(struct machine *m) {
        _cleanup_(freep) char *text = read_text("%s/proc/net/route", m->root);
        char *rest = text, *line;

        while (text && (line = strsep(&rest, "\n")) && m->n_routes < MACHINE_ROUTES_MAX) {
                struct machine_route *way = m->routes + m->n_routes;
                unsigned to, mask;

                if (sscanf(line, "%31s %8x %*x %*x %*d %*d %*d %8x", way->device, &to, &mask) != 3)
                        continue;
                way->to = ntohl(to);
                way->mask = ntohl(mask);
                way->is_virtual = is_virtual(m, way->device);
                m->n_routes++;
        }
}

const struct machine_route *machine_find_route(const struct machine *m, const char *address) {
        const struct machine_route *best = NULL;
        struct in_addr a;

        if (inet_pton(AF_INET, address, &a) != 1)
                return NULL;
        for (size_t i = 0; i < m->n_routes; i++) {
                const struct machine_route *way = m->routes + i;

                if ((ntohl(a.s_addr) & way->mask) == way->to && (!best || way->mask > best->mask))
                        best = way;
        }
        return best;
}

/* The kernel's table of addresses: "|-- ADDRESS", and below it what it is to this machine. */
static bool is_own_ipv4(const char *table, const char *address) {
        const size_t n = strlen(address);
        bool at = false;

        for (const char *line = table; line && *line;) {
                size_t size = strcspn(line, "\n"), indent = strspn(line, " ");
                const char *found = startswith(line + indent, "|-- ");

                if (found)
                        at = strcspn(found, "\n") == n && strncmp(found, address, n) == 0;
                else if (at && startswith(line + indent, "/32 host LOCAL"))
                        return true;
                line += size + (line[size] == '\n');
        }
        return false;
}

/* Lines of 32 digits without colons, then the rest. */
static bool is_own_ipv6(const char *table, const struct in6_addr *a) {
        char digits[33];

        for (unsigned i = 0; i < 16; i++)
                snprintf(digits + 2 * i, 3, "%02x", a->s6_addr[i]);
        for (const char *line = table; line && *line;) {
                if (startswith(line, digits))
                        return true;
                line += strcspn(line, "\n");
                line += *line == '\n';
        }
        return false;
}

bool machine_is_own(const struct machine *m, const char *address) {
        _cleanup_(freep) char *table = NULL;
        struct in6_addr a;

        if (startswith(address, "127.") || streq(address, "::1"))
                return true;
        if (inet_pton(AF_INET6, address, &a) == 1) {
                table = read_text("%s/proc/net/if_inet6", m->root);
                return is_own_ipv6(table, &a);
        }
        table = read_text("%s/proc/net/fib_trie", m->root);
        return is_own_ipv4(table, address);
}

char *machine_read_text(const struct machine *m, const char *path) {
        return read_text("%s/%s", m->root, path);
}

void machine_each_drop_in(const struct machine *m, void (*call)(const char *name, void *user), void *user) {
        char path[PATH_MAX];
        struct dirent *e;
        DIR *d;

        snprintf(path, sizeof(path), "%s/etc/cmkd/cmkd.conf.d", m->root);
        d = opendir(path);
        while (d && (e = readdir(d))) {
                size_t n = strlen(e->d_name);

                if (e->d_name[0] != '.' && n > 5 && streq(e->d_name + n - 5, ".conf"))
                        call(e->d_name, user);
        }
        if (d)
                closedir(d);
}

int machine_read_program(const struct machine *m, const char *path, struct elf_facts *ret) {
        _cleanup_(freep) char *data = NULL;
        char full[PATH_MAX];
        size_t size;
        int r;

        if (snprintf(full, sizeof(full), "%s/%s", m->root, path) >= (int) sizeof(full))
                return -ENAMETOOLONG;
        r = read_small_file(full, IMAGE_ELF_MAX, &data, &size);
        return r < 0 ? r : elf_read((const uint8_t *) data, size, ret);
}

void machine_read(struct machine *m, const char *root, const char *release) {
        *m = (struct machine) { .root = root };
        read_network(m);
        read_volumes(m);
        read_clock(m);
        read_routes(m);
        m->secure_boot = boot_chain_secure(root);
        m->unified_image = boot_chain_unified(root);
        if (*release && !strchr(release, '/'))
                m->builtin = read_text("%s/usr/lib/modules/%s/modules.builtin", root, release);
        m->command_line = read_text("%s/proc/cmdline", root);
        m->cmkd_conf = read_text("%s/etc/cmkd/cmkd.conf", root);
}

void machine_release(struct machine *m) {
        free(m->builtin);
        free(m->command_line);
        free(m->cmkd_conf);
        *m = (struct machine) { .root = "" };
}
