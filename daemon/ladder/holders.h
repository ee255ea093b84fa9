/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The processes that use a volume, found without asking its file system for anything where that is possible: on one that is
 * shut down or hangs, stat() fails for some of them or does not come back.
 *
 *   descriptors           mnt_id in /proc/TID/fdinfo/N, against the mounts of the volume
 *   cwd, root, exe        opened O_PATH, mnt_id in our own fdinfo
 *   memory maps           major:minor in /proc/TID/maps, against the stack of devices
 *   open device nodes     st_rdev of descriptors that are not on the volume
 *   on a mount that is    st_dev of what has the mnt_id of none that is known
 *   in no namespace
 *
 * TID: where the main thread of a process has ended, one that lives; with deep each that has something of its own.
 * Kernel threads and zombies are no holders. */

#include "mounts.h"

enum holder_how {
        HOLDER_FD = 1 << 0,
        HOLDER_PATH = 1 << 1,            /* cwd, root or executable */
        HOLDER_MAP = 1 << 2,
        HOLDER_DEVICE = 1 << 3,          /* the block device itself */
        HOLDER_NAMESPACE = 1 << 4,       /* only by a mount namespace that could not be freed of the volume */
};

struct holder {
        pid_t pid;
        uint64_t start_time;             /* tells it from a later process of the same number */
        unsigned how;                    /* enum holder_how */
        bool is_protected;               /* process 1, a program of cmkd, or one above us: never signalled */
        char comm[17];                   /* printable */
};

struct holders {
        struct holder *h;
        size_t n, size;
};

/* Adds those who use the volume to ret; how need not be complete. deep: look at all descriptors, not only at the first
 * some thousand, and into each thread that has descriptors or directories of its own (kcmp(2)), for a second a process.
 * Processes that go meanwhile are left out. Returns 0, -ENOMEM, or what opening /proc says. */
int holders_find(const struct mounts *mounts, const struct stack *stack, bool deep, struct holders *ret);

/* Its two parts: by descriptors, directories and executables; and by memory maps, which a process can keep from being read:
 * a child reads them, and such a process is passed over. Errors of holders_find(), and what fork(2) says. */
int holders_find_open(const struct mounts *mounts, const struct stack *stack, bool deep, struct holders *ret);
int holders_find_maps(const struct stack *stack, struct holders *ret);

/* Adds those who have a ring of io_uring's mapped. A file that is registered there is open without a descriptor, and the kernel gives
 * its name at most (/proc/PID/fdinfo, of a ring that has a descriptor): who may use the volume, not who does. As above. */
int holders_find_rings(struct holders *ret);

/* Returns enum holder_how of a process. proc: descriptor of /proc. */
typedef unsigned (*holders_asks)(int proc, const char *pid, const void *userdata);

struct holders_question {
        holders_asks ask;
        const void *userdata;
        pid_t self, parent;              /* of the step: never asked about, and protected */
        pid_t after;                     /* only processes of larger numbers */
};

/* Asks about each process, in the order of their numbers, and tells of those for whom the answer is not 0, until that fails.
 * Returns its error, or what opening /proc says. */
int holders_ask(const struct holders_question *q, int (*tell)(const struct holder *h, void *userdata), void *userdata);

/* The same in a child, with what it finds added to ret. Where no answer comes for a while it goes on after that process,
 * some times. Returns 0, -ENOMEM, or what fork(2) says. */
int holders_ask_in_child(const struct holders_question *q, struct holders *ret);

/* Adds the processes that have a thread in a mount namespace. Errors of holders_find(). */
int holders_find_in_namespace(uint64_t ns, struct holders *ret);

/* Adds one; a process that is in already only gets the further uses. Returns 0 or -ENOMEM. */
int holders_add(struct holders *s, const struct holder *h);

void holders_free(struct holders *s);

/* "writer (912), sh (913) and 3 more", cut off where it ends to fit. */
void holders_describe(const struct holders *s, char *buf, size_t size);

/* Sends a signal to all but the protected, after taking their core dumps from them: what they have of the volume in
 * memory must not go to another disk (RLIMIT_CORE 1 also stops those that are piped to a program). Then waits until
 * they are gone, at most wait_usec in all (0: not at all). *ret_sent: to how many. ret_left: those that are not gone,
 * or protected, are added; may be NULL. Returns 0 or -ENOMEM. */
int holders_signal(const struct holders *s, int signal, uint64_t wait_usec, unsigned *ret_sent,
                   struct holders *ret_left);

/* The device of a line of /proc/PID/maps. Returns 0 or -EINVAL. */
int maps_line_parse(const char *line, uint32_t *ret_major, uint32_t *ret_minor);

/* Whether the text of /proc/PID/cgroup, which is cut up, is that of a unit of ours. Whole paths only: below the slice of a
 * user anybody makes control groups of any name. Of cgroup v1 the hierarchy that systemd keeps counts, no controller's. */
bool cgroup_is_ours(char *text);

struct process_stat {
        char comm[17];                   /* printable */
        char state;
        uint32_t flags;                  /* PF_... */
        uint64_t start_time;             /* clock ticks since boot */
};

/* The text of /proc/PID/stat; a name may hold anything, parentheses too. Returns 0 or -EINVAL. */
int process_stat_parse(const char *text, struct process_stat *ret);
