/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The threads of a process. Each may have descriptors, directories and a mount namespace of its own, and where the main one has
 * ended /proc/PID has nothing of what the others have.
 *
 *   /proc/PID/task ─► TIDs ─► /proc/TID, which the kernel has for every thread and readdir(3) of /proc does not show */

#include "common/util.h"

/* proc, here and below: descriptor of /proc. Returns how many there are; 0: it has gone. */
uint64_t tasks_count(int proc, const char *pid);

/* Whether that thread has not ended: of one that has, directories, descriptors and memory are gone. */
bool task_is_live(int proc, const char *tid);

/* Calls f for one thread after the other, until it returns true. As many as there were at the beginning, and those are first in
 * the kernel's list: a process that makes threads all the time keeps nobody. Returns whether f returned true. */
bool tasks_each(int proc, const char *pid, bool (*f)(int proc, const char *tid, void *userdata), void *userdata);
