/* SPDX-License-Identifier: Apache-2.0 */
#include "tasks.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* "." and ".." have a link each, and so has each thread (fs/proc/base.c, proc_task_getattr). */
static uint64_t count_links(const struct stat *st) {
        return st->st_nlink > 2 ? st->st_nlink - 2 : 0;
}

uint64_t tasks_count(int proc, const char *pid) {
        struct stat st;
        char path[64];

        snprintf(path, sizeof(path), "%s/task", pid);
        return fstatat(proc, path, &st, 0) < 0 ? 0 : count_links(&st);
}

bool task_is_live(int proc, const char *tid) {
        char path[64], target[8];

        /* Whatever else is wrong with that directory, a longer path than the kernel gives included, there is one. */
        snprintf(path, sizeof(path), "%s/cwd", tid);
        return readlinkat(proc, path, target, sizeof(target)) >= 0 || (errno != ENOENT && errno != ESRCH);
}

bool tasks_each(int proc, const char *pid, bool (*f)(int proc, const char *tid, void *userdata), void *userdata) {
        _cleanup_(closedirp) DIR *d = NULL;
        struct dirent *e;
        uint64_t tid, left;
        struct stat st;
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "%s/task", pid);
        fd = openat(proc, path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        d = fd < 0 ? NULL : fdopendir(fd);
        if (!d || fstat(fd, &st) < 0)
                return false;
        for (left = count_links(&st); left > 0 && (e = readdir(d));) {
                if (parse_u64(e->d_name, INT32_MAX, &tid) < 0)
                        continue;
                if (f(proc, e->d_name, userdata))
                        return true;
                left--;
        }
        return false;
}
