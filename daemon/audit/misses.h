/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Events that no program saw: the kernel passes a program over where it is running already on the same CPU (a task that preempted it, an
 * interrupt), and counts that (struct bpf_prog_info, recursion_misses: Linux 5.12). Nothing of it is in the ring, nor in "lost".
 *
 *   program's own count ── less the map "missed", which outlives cmkd-audit ──► a record "lost"; then the map says so */

#include "event.h"
#include "common/util.h"

struct misses {
        char program[CMKD_PROGRAM_SIZE];
        struct cmkd_missed now;
        uint64_t n;                        /* that no record stands for yet */
};

/* Of the program that a link attaches, whose name is program. map_fd: of "missed". Returns 0 or -errno: not known. */
int misses_look(int map_fd, int link_fd, const char *program, struct misses *ret);

/* They stand in the trail. Returns 0 or -errno: they are said once more. */
int misses_reported(int map_fd, const struct misses *m);
