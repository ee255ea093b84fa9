/* SPDX-License-Identifier: Apache-2.0 */
#include "device-facts.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-device.h>

#include "common/util.h"

#define DEPTH_MAX 8u          /* of devices upon devices; the kernel's own stacks end earlier */

static void device_unrefp(sd_device **d) { sd_device_unref(*d); }
static void enumerator_unrefp(sd_device_enumerator **e) { sd_device_enumerator_unref(*e); }

static bool is_kind(const char *name, const char *kind) {
        const char *rest = startswith(name, kind);

        return rest && *rest >= '0' && *rest <= '9';
}

static bool is_on_usb(const char *path) {
        for (const char *p = path; (p = strstr(p, "/usb")); p += 4)
                if (p[4] >= '0' && p[4] <= '9')
                        return true;
        return false;
}

static const char *disk_unfit(const char *path) {
        static const struct { const char *prefix, *text; } kinds[] = {
                { "loop", "a loop device" }, { "nbd", "a network block device (nbd)" }, { "zram", "a zram device" },
                { "ram", "a RAM disk" }, { "fd", "a floppy disk" }, { "sr", "an optical disc" },
        };
        const char *name = strrchr(path, '/');
        _cleanup_(freep) char *removable = NULL;
        char file[PATH_MAX];

        for (size_t i = 0; name && i < ELEMENTSOF(kinds); i++)
                if (is_kind(name + 1, kinds[i].prefix))
                        return kinds[i].text;
        if (is_on_usb(path))
                return "a USB device";
        if (snprintf(file, sizeof(file), "%s/removable", path) < (int) sizeof(file) &&
            read_small_file(file, 16, &removable, NULL) >= 0 && *removable == '1')
                return "a removable device";
        return NULL;
}

static DIR *open_list(const char *sys, const char *name, const char *list) {
        char path[PATH_MAX];

        if (snprintf(path, sizeof(path), "%s/class/block/%s/%s", sys, name, list) >= (int) sizeof(path))
                return NULL;
        return opendir(path);
}

static const char *next_name(DIR *d) {
        struct dirent *e;

        while (d && (e = readdir(d)))
                if (e->d_name[0] != '.')
                        return e->d_name;
        return NULL;
}

static const char *unfit_at(const char *sys, const char *name, unsigned depth) {
        _cleanup_(closedirp) DIR *slaves = NULL;
        char link[PATH_MAX], path[PATH_MAX], file[PATH_MAX];
        const char *why, *below;
        struct stat st;

        if (depth > DEPTH_MAX || snprintf(link, sizeof(link), "%s/class/block/%s", sys, name) >= (int) sizeof(link) ||
            !realpath(link, path))
                return NULL;
        if (snprintf(file, sizeof(file), "%s/partition", path) < (int) sizeof(file) && stat(file, &st) >= 0)
                *strrchr(path, '/') = 0;
        why = disk_unfit(path);
        slaves = open_list(sys, name, "slaves");
        while (!why && (below = next_name(slaves)))
                why = unfit_at(sys, below, depth + 1);
        return why;
}

const char *device_unfit(const char *sys, const char *name) {
        return unfit_at(sys, name, 0);
}

static bool stands_on(const char *sys, const char *upper, const char *lower, unsigned depth) {
        _cleanup_(closedirp) DIR *slaves = NULL;
        const char *below;

        if (depth > DEPTH_MAX)
                return false;
        slaves = open_list(sys, upper, "slaves");
        while ((below = next_name(slaves)))
                if (streq(below, lower) || stands_on(sys, below, lower, depth + 1))
                        return true;
        return false;
}

bool device_stands_on(const char *sys, const char *upper, const char *lower) {
        return stands_on(sys, upper, lower, 0);
}

static const char *property(sd_device *d, const char *key) {
        const char *value;

        return sd_device_get_property_value(d, key, &value) >= 0 ? value : "";
}

/* ID_SERIAL comes last: what it is made of changed between versions of udev. */
static void find_serial(sd_device *d, char ret[static 65]) {
        static const char *const keys[] = {
                "DM_UUID", "MD_UUID", "ID_WWN_WITH_EXTENSION", "ID_WWN", "ID_SERIAL_SHORT", "ID_SERIAL",
        };
        const char *value = "";
        size_t n;

        for (size_t i = 0; i < ELEMENTSOF(keys) && !*value; i++)
                value = property(d, keys[i]);
        n = strlen(value);
        snprintf(ret, 65, "%s", n > 64 ? value + n - 64 : value);
        for (char *p = ret; *p; p++)
                if (*p <= ' ' || *p > '~')
                        *p = '_';
}

bool device_is_there(const char *path) {
        struct stat st;

        return stat(path, &st) >= 0;
}

static int get_device(const char *device, sd_device **ret) {
        struct stat st;

        if (stat(device, &st) < 0)
                return errno == ENOENT ? -ENODEV : -errno;
        return S_ISBLK(st.st_mode) ? sd_device_new_from_devnum(ret, 'b', st.st_rdev) : -ENODEV;
}

int device_facts_read(const char *device, struct device_facts *ret) {
        _cleanup_(closedirp) DIR *holders = NULL;
        _cleanup_(device_unrefp) sd_device *d = NULL;
        struct device_facts f = {};
        const char *name, *holder;
        sd_device *disk;
        int r;

        r = get_device(device, &d);
        if (r >= 0)
                r = sd_device_get_devnum(d, &f.devnum);
        if (r >= 0)
                r = sd_device_get_sysname(d, &name);
        if (r < 0)
                return r;
        if (sd_device_get_diskseq(d, &f.diskseq) < 0 && sd_device_get_parent(d, &disk) >= 0)
                (void) sd_device_get_diskseq(disk, &f.diskseq);
        snprintf(f.fs_uuid, sizeof(f.fs_uuid), "%s", property(d, "ID_FS_UUID"));
        find_serial(d, f.serial);
        holders = open_list("/sys", name, "holders");
        holder = next_name(holders);
        snprintf(f.holder, sizeof(f.holder), "%s", strempty(holder));
        f.unfit = device_unfit("/sys", name);
        *ret = f;
        return 0;
}

static bool is_twin(sd_device *other, const char *name) {
        const char *its;

        return sd_device_get_sysname(other, &its) >= 0 && !streq(its, name) &&
               streq(property(other, "ID_FS_TYPE"), "crypto_LUKS") && !streq(property(other, "SYSTEMD_READY"), "0") &&
               !streq(property(other, "DM_MULTIPATH_DEVICE_PATH"), "1") &&
               !device_stands_on("/sys", its, name) && !device_stands_on("/sys", name, its);
}

int device_facts_find_twin(const char *device, const char *uuid, char ret[static 257]) {
        _cleanup_(enumerator_unrefp) sd_device_enumerator *e = NULL;
        _cleanup_(device_unrefp) sd_device *d = NULL;
        const char *name, *path;
        int r;

        r = get_device(device, &d);
        if (r >= 0)
                r = sd_device_get_sysname(d, &name);
        if (r >= 0)
                r = sd_device_enumerator_new(&e);
        if (r >= 0)
                r = sd_device_enumerator_add_match_subsystem(e, "block", true);
        if (r >= 0)
                r = sd_device_enumerator_add_match_property(e, "ID_FS_UUID", uuid);
        if (r < 0)
                return r;
        for (sd_device *o = sd_device_enumerator_get_device_first(e); o; o = sd_device_enumerator_get_device_next(e))
                if (is_twin(o, name) && sd_device_get_devname(o, &path) >= 0) {
                        snprintf(ret, 257, "%s", path);
                        return 1;
                }
        return 0;
}
