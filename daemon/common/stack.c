/* SPDX-License-Identifier: Apache-2.0 */
#include "stack.h"

#include <dirent.h>
#include <unistd.h>

/* Deeper stacks than this do not exist; a loop in sysfs would not end otherwise. */
#define DEPTH_MAX 16u

const struct stack_device *stack_find(const struct stack *s, uint32_t major, uint32_t minor) {
        for (size_t i = 0; i < s->n; i++)
                if (s->d[i].major == major && s->d[i].minor == minor)
                        return &s->d[i];
        return NULL;
}

bool stack_add(struct stack *s, uint32_t major, uint32_t minor, unsigned depth) {
        struct stack_device *d = (struct stack_device *) stack_find(s, major, minor);

        if (d) {
                d->depth = MAX_OF(d->depth, depth);
                return false;
        }
        if (s->n == STACK_MAX) {
                s->incomplete = true;
                return false;
        }
        s->d[s->n++] = (struct stack_device) { major, minor, depth };
        return true;
}

int stack_read_dev(const char *path, uint32_t *ret_major, uint32_t *ret_minor) {
        _cleanup_(freep) char *text = NULL;
        int r;

        r = read_small_file(path, 64, &text, NULL);
        if (r < 0)
                return r;
        return sscanf(text, "%u:%u", ret_major, ret_minor) == 2 ? 0 : -EINVAL;
}

static void add_entries(struct stack *s, const char *directory, const char *must_have, unsigned depth,
                        void (*add)(struct stack *s, uint32_t major, uint32_t minor, unsigned depth)) {
        _cleanup_(closedirp) DIR *d = opendir(directory);
        struct dirent *e;

        while (d && (e = readdir(d))) {
                char path[512];
                uint32_t major, minor;

                if (*e->d_name == '.')
                        continue;
                if (must_have) {
                        snprintf(path, sizeof(path), "%s/%s/%s", directory, e->d_name, must_have);
                        if (access(path, F_OK) < 0)
                                continue;
                }
                snprintf(path, sizeof(path), "%s/%s/dev", directory, e->d_name);
                if (stack_read_dev(path, &major, &minor) >= 0)
                        add(s, major, minor, depth + 1);
        }
}

void stack_add_above(struct stack *s, uint32_t major, uint32_t minor, unsigned depth) {
        char directory[128];

        if (depth > DEPTH_MAX)
                return;
        (void) stack_add(s, major, minor, depth);
        snprintf(directory, sizeof(directory), "/sys/dev/block/%u:%u", major, minor);
        add_entries(s, directory, "partition", depth, stack_add_above);
        snprintf(directory, sizeof(directory), "/sys/dev/block/%u:%u/holders", major, minor);
        add_entries(s, directory, NULL, depth, stack_add_above);
}

void stack_add_below(struct stack *s, uint32_t major, uint32_t minor, unsigned depth) {
        uint32_t disk_major, disk_minor;
        char path[128];

        if (depth > DEPTH_MAX)
                s->incomplete = true;
        if (depth > DEPTH_MAX || !stack_add(s, major, minor, depth))
                return;
        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/slaves", major, minor);
        add_entries(s, path, NULL, depth, stack_add_below);
        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major, minor);
        if (access(path, F_OK) < 0)
                return;
        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major, minor);
        if (stack_read_dev(path, &disk_major, &disk_minor) >= 0)
                stack_add_below(s, disk_major, disk_minor, depth + 1);
}

/* Links to devices: is this one of them, and one of the set too? */
static bool shares_directory(const char *directory, const struct stack *s, uint32_t major, uint32_t minor) {
        _cleanup_(closedirp) DIR *d = opendir(directory);
        bool has_it = false, has_ours = false;
        struct dirent *e;

        while (d && (e = readdir(d))) {
                uint32_t x, y;
                char path[1088];

                snprintf(path, sizeof(path), "%s/%s/dev", directory, e->d_name);
                if (*e->d_name == '.' || stack_read_dev(path, &x, &y) < 0)
                        continue;
                has_it |= x == major && y == minor;
                has_ours |= stack_find(s, x, y) != NULL;
        }
        return has_it && has_ours;
}

bool stack_shares_btrfs(const struct stack *s, const char *sysfs, uint32_t major, uint32_t minor) {
        _cleanup_(closedirp) DIR *d = NULL;
        char directory[256], devices[768];
        struct dirent *e;

        snprintf(directory, sizeof(directory), "%s/fs/btrfs", sysfs);
        d = opendir(directory);
        while (d && (e = readdir(d))) {
                if (*e->d_name == '.')
                        continue;
                snprintf(devices, sizeof(devices), "%s/%s/devices", directory, e->d_name);
                if (shares_directory(devices, s, major, minor))
                        return true;
        }
        return false;
}

bool stack_touches(const struct stack *a, const struct stack *b, const char *sysfs) {
        for (size_t i = 0; i < b->n; i++)
                if (stack_find(a, b->d[i].major, b->d[i].minor) || stack_shares_btrfs(a, sysfs, b->d[i].major, b->d[i].minor))
                        return true;
        return false;
}

void stack_merge(struct stack *s, const struct stack *other) {
        for (size_t i = 0; i < other->n; i++)
                (void) stack_add(s, other->d[i].major, other->d[i].minor, other->d[i].depth);
        s->incomplete |= other->incomplete;
}
