/* SPDX-License-Identifier: Apache-2.0 */
#include "reencryption.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_MSEC 20

/* What they stand on, without themselves. */
static void find_below(const struct subs *s, struct stack *below) {
        for (size_t i = 0; i < s->n; i++) {
                char directory[64], path[512];
                uint32_t major, minor;
                struct dirent *e;

                snprintf(directory, sizeof(directory), "/sys/dev/block/%u:%u/slaves", s->d[i].major, s->d[i].minor);
                _cleanup_(closedirp) DIR *d = opendir(directory);

                while (d && (e = readdir(d))) {
                        bool own = false;

                        snprintf(path, sizeof(path), "%s/%s/dev", directory, e->d_name);
                        if (*e->d_name == '.' || stack_read_dev(path, &major, &minor) < 0)
                                continue;
                        for (size_t k = 0; k < s->n; k++)
                                own |= s->d[k].major == major && s->d[k].minor == minor;
                        if (!own)
                                (void) stack_add(below, major, minor, 0);
                }
        }
}

static bool is_for_writing(int process, const char *fd_name) {
        _cleanup_(closep) int fd = -EBADF;
        char path[64], text[512];
        const char *flags;
        ssize_t n;

        snprintf(path, sizeof(path), "fdinfo/%s", fd_name);
        fd = openat(process, path, O_RDONLY|O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return false;
        text[n] = 0;
        flags = strstr(text, "flags:");
        return flags && (strtoul(flags + strlen("flags:"), NULL, 8) & O_ACCMODE) != O_RDONLY;
}

/* One that has one of the devices open for writing. */
static unsigned ask_writer(int proc, const char *pid, const void *userdata) {
        _cleanup_(closep) int process = openat(proc, pid, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        _cleanup_(closedirp) DIR *d = NULL;
        struct dirent *e;
        int fd;

        fd = process < 0 ? -1 : openat(process, "fd", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        d = fd < 0 ? NULL : fdopendir(fd);
        while (d && (e = readdir(d))) {
                struct statx st;

                if (statx(fd, e->d_name, AT_STATX_DONT_SYNC|AT_NO_AUTOMOUNT, STATX_TYPE, &st) >= 0 && S_ISBLK(st.stx_mode) &&
                    stack_find(userdata, st.stx_rdev_major, st.stx_rdev_minor) && is_for_writing(process, e->d_name))
                        return HOLDER_DEVICE;
        }
        return 0;
}

static int add_found(const struct holder *h, void *userdata) {
        return holders_add(userdata, h);
}

void subs_kill_writers(const struct subs *s) {
        _cleanup_(holders_free) struct holders found = {};
        struct stack below = {};
        const struct holders_question q = { .ask = ask_writer, .userdata = &below, .self = getpid(), .parent = getppid() };
        unsigned sent = 0;

        find_below(s, &below);
        if (below.n > 0 && holders_ask(&q, add_found, &found) >= 0)
                (void) holders_signal(&found, SIGKILL, 0, &sent, NULL);
}

int subs_cut(const struct mapping *m, const struct subs *s, bool suspended) {
        int first = 0;

        for (size_t i = 0; i < s->n; i++) {
                struct dm_id id = { .uuid = s->d[i].uuid };
                int r;

                if (!(s->d[i].state & DM_STATE_SUSPENDED) == suspended)
                        continue;
                r = i < s->n_disks ? dm_cut(m->control, id, 0) : dm_remove(m->control, id, false);

                if (r < 0 && r != -ENXIO && first == 0)
                        first = r;
        }
        return first;
}

static int remove_one(const struct mapping *m, const struct dm_info *info) {
        int r = dm_remove(m->control, (struct dm_id) { .uuid = info->uuid }, false);

        return r == -ENXIO ? 0 : r;
}

int subs_remove(const struct mapping *m, const struct subs *s, uint64_t wait_usec) {
        const struct timespec pause = { 0, PAUSE_MSEC * 1000 * 1000 };
        uint64_t until = now_boottime_usec() + wait_usec;

        for (;;) {
                int worst = 0;

                for (size_t i = 0; i < s->n; i++) {
                        int r = remove_one(m, &s->d[i]);

                        worst = r < 0 ? r : worst;
                }
                if (worst == 0 && s->has_tags)
                        worst = remove_one(m, &s->tags);
                if (worst != -EBUSY || now_boottime_usec() >= until)
                        return worst;
                (void) nanosleep(&pause, NULL);
        }
}
