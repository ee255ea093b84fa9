/* SPDX-License-Identifier: Apache-2.0 */
#include "mount-table.h"

#include "common/mountinfo.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>

void mount_table_done(struct mount_table *t) {
        t->fd = safe_close(t->fd);
        free(TAKE_PTR(t->text));
}

static bool has_changed(const struct mount_table *t) {
        struct pollfd p = { .fd = t->fd, .events = POLLPRI };

        return !t->text || poll(&p, 1, 0) != 0;
}

const char *mount_table_text(struct mount_table *t) {
        if (!has_changed(t))
                return t->text;
        mount_table_done(t);
        t->fd = open("/proc/self/mountinfo", O_RDONLY|O_CLOEXEC);
        return t->fd >= 0 && mountinfo_read(t->fd, &t->text) >= 0 ? t->text : NULL;
}

int mount_table_read(uint32_t pid, char **ret) {
        _cleanup_(closep) int fd = -EBADF;
        char path[64];

        snprintf(path, sizeof(path), "/proc/%" PRIu32 "/mountinfo", pid);
        fd = open(path, O_RDONLY|O_CLOEXEC);
        return fd < 0 ? -errno : mountinfo_read(fd, ret);
}

/* The next line, whose texts are in *line, which is the caller's to free. Returns false at the end. */
static bool next(const char **text, char **line, struct mount_line *ret) {
        while (**text) {
                size_t n = strcspn(*text, "\n");

                free(*line);
                *line = strndup(*text, n);
                *text += n + ((*text)[n] == '\n');
                if (*line && mount_line_parse(*line, ret) >= 0)
                        return true;
        }
        return false;
}

int mount_table_dev(const char *text, uint64_t id, uint32_t *ret) {
        _cleanup_(freep) char *line = NULL;
        struct mount_line m;

        while (next(&text, &line, &m))
                if (m.id == id) {
                        *ret = CMKD_KERNEL_DEV(m.major, m.minor);
                        return 0;
                }
        return -ENOENT;
}

bool mount_table_place(const char *text, uint32_t dev, const char *path, char *buf, size_t size) {
        _cleanup_(freep) char *line = NULL;
        struct mount_line m;

        while (next(&text, &line, &m)) {
                const char *below = path + (streq(m.root, "/") ? 0 : strlen(m.root));

                if (CMKD_KERNEL_DEV(m.major, m.minor) != dev || !path_is_below(path, m.root))
                        continue;
                snprintf(buf, size, "%s%s", streq(m.point, "/") ? "" : m.point, below);
                return true;
        }
        return false;
}

/* id 0: the last one at point, which is on top. */
static bool find(const char *text, uint64_t id, const char *point, struct mount_line *ret) {
        _cleanup_(freep) char *line = NULL;
        struct mount_line m;
        bool found = false;

        while (next(&text, &line, &m))
                if (id != 0 ? m.id == id : streq(m.point, point)) {
                        *ret = (struct mount_line) { .id = m.id, .parent = m.parent, .group = m.group };
                        found = true;
                }
        return found;
}

size_t mount_table_above(const char *text, const char *point, struct cmkd_mount *ret, size_t max) {
        struct mount_line m = {};
        size_t n = 0;

        /* The root's parent is not in the text, or is itself */
        while (n < max && find(text, m.parent, point, &m) && (n == 0 || ret[n - 1].id != m.id))
                ret[n++] = (struct cmkd_mount) { .id = (uint32_t) m.id, .group = (uint32_t) m.group };
        return n;
}
