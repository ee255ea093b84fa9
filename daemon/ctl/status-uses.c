/* SPDX-License-Identifier: Apache-2.0 */
#include "status-uses.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/mountinfo.h"

static char *read_proc(const char *path) {
        int fd = open(path, O_RDONLY|O_CLOEXEC);
        char *text = NULL;

        if (fd < 0)
                return NULL;
        (void) mountinfo_read(fd, &text);
        safe_close(fd);
        return text;
}

static void add(struct json_object *uses, const char *what) {
        struct json_object *text;

        for (size_t i = 0; i < json_object_array_length(uses); i++)
                if (streq(json_object_get_string(json_object_array_get_idx(uses, i)), what))
                        return;
        text = json_object_new_string(what);
        if (!text || json_object_array_add(uses, text) < 0)
                json_object_put(text);
}

static bool is_device(const char *path, dev_t device) {
        struct stat st;

        return path[0] == '/' && stat(path, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == device;
}

/* A file system of several devices (btrfs) has a number of its own there: its source is one of them. */
static void add_mounts(struct json_object *uses, char *text, dev_t device) {
        char *save = NULL;

        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                struct mount_line m;

                if (mount_line_parse(line, &m) >= 0 &&
                    (makedev(m.major, m.minor) == device || (m.major == 0 && is_device(m.source, device))))
                        add(uses, m.point);
        }
}

static void add_swaps(struct json_object *uses, char *text, dev_t device) {
        char *save = NULL;

        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                const char *path = swap_line_path(line);

                if (path && is_device(path, device))
                        add(uses, "swap");
        }
}

/* By the name that device mapper knows it by, where it is one of its. */
static void add_holders(struct json_object *uses, dev_t device) {
        char path[PATH_MAX];
        struct dirent *e;
        DIR *d;

        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", major(device), minor(device));
        d = opendir(path);
        while (d && (e = readdir(d))) {
                _cleanup_(freep) char *name = NULL;

                if (e->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), "/sys/block/%s/dm/name", e->d_name);
                if (read_small_file(path, 4096, &name, NULL) >= 0)
                        name[strcspn(name, "\n")] = 0;
                add(uses, name ? name : e->d_name);
        }
        if (d)
                closedir(d);
}

void status_add_uses(struct json_object *volumes) {
        for (size_t i = 0; i < json_object_array_length(volumes); i++) {
                struct json_object *v = json_object_array_get_idx(volumes, i), *uses;
                _cleanup_(freep) char *mounts = NULL, *swaps = NULL;
                struct stat st;

                if (stat(json_text(v, "node"), &st) < 0 || !S_ISBLK(st.st_mode))
                        continue;
                uses = json_object_new_array();
                if (!uses)
                        return;
                mounts = read_proc("/proc/self/mountinfo");
                swaps = read_proc("/proc/swaps");
                if (mounts)
                        add_mounts(uses, mounts, st.st_rdev);
                if (swaps)
                        add_swaps(uses, swaps, st.st_rdev);
                add_holders(uses, st.st_rdev);
                json_object_object_add(v, "used_by", uses);
        }
}

void status_uses_text(struct json_object *volume, char *ret, size_t size) {
        struct json_object *uses;
        size_t n;

        *ret = 0;
        if (!json_object_object_get_ex(volume, "used_by", &uses) || (n = json_object_array_length(uses)) == 0)
                return;
        if (n == 1)
                snprintf(ret, size, "%s", json_object_get_string(json_object_array_get_idx(uses, 0)));
        else
                snprintf(ret, size, "%s and %zu more", json_object_get_string(json_object_array_get_idx(uses, 0)), n - 1);
}
