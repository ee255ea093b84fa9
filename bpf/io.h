/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* The map "workloads": who read and wrote how much through which volume since it was opened. Counted by io.bpf.c, read and
 * emptied by cmkd-audit. Both sides share it. */

#ifndef __bpf__
#include <linux/types.h>
#endif

#define CMKD_WORKLOADS_MAX 8192u
#define CMKD_LUKS_PREFIX 12          /* "CRYPT-LUKS2-" of a mapping's dm uuid */
#define CMKD_LUKS_HEX 32             /* and the volume's UUID without dashes */

struct cmkd_workload {
        char hex[CMKD_LUKS_HEX];
        __u64 cgroup_id;             /* in the unified hierarchy */
};

#define CMKD_CGROUP_NAMES 3
#define CMKD_CGROUP_NAME_SIZE 64

struct cmkd_io {
        __u64 read, written;         /* bytes */
        __u64 reads, writes;         /* requests */
        char cgroup[CMKD_CGROUP_NAMES][CMKD_CGROUP_NAME_SIZE];   /* its name, its parent's, ...: it may be gone when we look */
};

_Static_assert(sizeof(struct cmkd_workload) == 40 && sizeof(struct cmkd_io) == 224, "the layout is the contract of both sides");
