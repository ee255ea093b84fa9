/* SPDX-License-Identifier: Apache-2.0 */
#include "backing.h"

#include <dirent.h>
#include <limits.h>
#include <unistd.h>

#define DEPTH_MAX 16u
#define MOUNTS_MAX (1u << 20)

struct mount {
        char device[24];                    /* major:minor */
        char type[64], source[PATH_MAX];
};

static bool is_memory(const char *type) {
        return streq(type, "tmpfs") || streq(type, "ramfs") || streq(type, "rootfs");
}

static enum backing worse(enum backing a, enum backing b) {
        return a == BACKING_PLAIN || b == BACKING_PLAIN ? BACKING_PLAIN : MAX_OF(a, b);
}

static bool is_crypt(const char *root, const char *name) {
        _cleanup_(freep) char *uuid = NULL;
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/sys/class/block/%s/dm/uuid", root, name);
        return read_small_file(path, 256, &uuid, NULL) >= 0 && startswith(uuid, "CRYPT-");
}

static enum backing look(const char *root, const char *name, unsigned depth) {
        enum backing found = BACKING_UNKNOWN;
        char path[PATH_MAX];
        bool below = false;
        struct dirent *e;
        DIR *d;

        if (startswith(name, "zram") || startswith(name, "ram"))
                return BACKING_MEMORY;
        if (is_crypt(root, name))
                return BACKING_ENCRYPTED;
        if (depth == DEPTH_MAX || strchr(name, '/'))
                return BACKING_PLAIN;
        snprintf(path, sizeof(path), "%s/sys/class/block/%s/slaves", root, name);
        d = opendir(path);
        while (d && (e = readdir(d)))
                if (e->d_name[0] != '.') {
                        enum backing b = look(root, e->d_name, depth + 1);

                        found = below ? worse(found, b) : b;
                        below = true;
                }
        if (d)
                closedir(d);
        return below ? found : BACKING_PLAIN;
}

enum backing backing_of_device(const char *root, const char *name) {
        return look(root, name, 0);
}

/* The name in /sys/class/block that a path in /dev, or a number, leads to. */
static enum backing of_link(const char *root, const char *path) {
        char target[PATH_MAX];

        return realpath(path, target) ? backing_of_device(root, strrchr(target, '/') + 1) : BACKING_UNKNOWN;
}

/* Undoes mountinfo's \040 and its like, in place. */
static void unescape(char *s) {
        char *to = s;

        for (; *s; s++, to++) {
                unsigned code;

                *to = *s;
                if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && sscanf(s + 1, "%3o", &code) == 1 && s[2] && s[3]) {
                        *to = (char) code;
                        s += 3;
                }
        }
        *to = 0;
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue": the last mount on the longest way. */
static bool find_mount(const char *text, const char *path, struct mount *ret) {
        char *copy = strdup(text), *rest = copy, *line;
        size_t longest = 0;
        bool found = false;

        while (copy && (line = strsep(&rest, "\n"))) {
                char device[24], point[PATH_MAX], *end = strstr(line, " - ");
                struct mount m = {};
                size_t n;

                if (!end || sscanf(line, "%*s %*s %23s %*s %4095s", device, point) != 2 ||
                    sscanf(end + 3, "%63s %4095s", m.type, m.source) != 2)
                        continue;
                unescape(point);
                unescape(m.source);
                n = streq(point, "/") ? 0 : strlen(point);
                if (n < longest || strncmp(path, point, n) != 0 || (path[n] != '/' && path[n]))
                        continue;
                strcpy(m.device, device);
                *ret = m;
                longest = n;
                found = true;
        }
        free(copy);
        return found;
}

enum backing backing_of_path(const char *root, const char *path) {
        _cleanup_(freep) char *mounts = NULL;
        char full[PATH_MAX + 64];
        struct mount m;

        if (startswith(path, "/dev/")) {
                snprintf(full, sizeof(full), "%s%s", root, path);
                return of_link(root, full);
        }
        snprintf(full, sizeof(full), "%s/proc/self/mountinfo", root);
        if (read_small_file(full, MOUNTS_MAX, &mounts, NULL) < 0 || !find_mount(mounts, path, &m))
                return BACKING_UNKNOWN;
        if (is_memory(m.type))
                return BACKING_MEMORY;
        /* btrfs and others have a number that is no device's */
        if (startswith(m.device, "0:"))
                snprintf(full, sizeof(full), "%s%s", root, m.source);
        else
                snprintf(full, sizeof(full), "%s/sys/dev/block/%s", root, m.device);
        return of_link(root, full);
}
