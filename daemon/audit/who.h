/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who did it: turns what an event says of a process into names. The kernel's word (pid, start time, base name of the
 * executable, cgroup id) is always there; the full path comes from /proc while the process lives, is the one that
 * the event means (same start time), and runs the same file still: by the kernel's numbers of the file and of its file system, of
 * which /proc/PID/exe has to be. Of an older build's event, which has them not, the name decides. A cgroup's path comes from its id
 * and outlives the process. Both are cached. */

#include "event.h"
#include "common/util.h"

#define WHO_PATH_MAX 512u

struct who;

struct who_names {
        char exe[WHO_PATH_MAX];            /* absolute from /proc; else what the kernel's dentries say, ".../" where its beginning is not
                                            * known: cut, or in a file system that is not mounted here */
        bool exe_from_proc;
        char cgroup[WHO_PATH_MAX];         /* below the cgroup root, beginning with "/"; gone: ".../" and its last part; "" */
        bool ours;                         /* a program of cmkd's, in one of its units or below them */
};

/* Returns 0 or -ENOMEM. Without /sys/fs/cgroup cgroups have no names. */
int who_new(struct who **ret);
struct who *who_free(struct who *w);

void who_resolve(struct who *w, const struct cmkd_event *e, struct who_names *ret);

/* The path of a cgroup, from its id. Returns whether it is known: one that is gone, and was not asked for lately, is not. */
bool who_cgroup(struct who *w, uint64_t id, char ret[static WHO_PATH_MAX]);

/* Whether it was removed, whatever who_cgroup() remembers; false too where that cannot be known. */
bool who_cgroup_is_gone(const struct who *w, uint64_t id);

/* The executable as the kernel names it, within its file system; pure. */
void who_exe_from_event(const struct cmkd_event *e, char *buf, size_t size);

/* Whether an executable, as in struct who_names, is where cmkd's are; pure. */
bool who_program_is_ours(const char *exe) _pure_;

/* True for the cgroups of cmkd's units; pure. */
bool who_cgroup_is_ours(const char *cgroup) _pure_;
