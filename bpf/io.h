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

/* diskseq: the kernel's number of the mapping's disk, never given twice in a boot. A mapping that has a uuid keeps it, so that
 * the disk says which volume it is, and the uuid is looked at only where an entry begins. */
struct cmkd_workload {
        __u64 diskseq;
        __u64 cgroup_id;             /* in the unified hierarchy */
};

#define CMKD_CGROUP_NAMES 3
#define CMKD_CGROUP_NAME_SIZE 64

struct cmkd_io {
        __u64 read, written;         /* bytes */
        __u64 reads, writes;         /* requests */
        char hex[CMKD_LUKS_HEX];     /* of the volume's UUID; set right after the entry was made: empty for that moment */
        char cgroup[CMKD_CGROUP_NAMES][CMKD_CGROUP_NAME_SIZE];   /* its name, its parent's, ...: it may be gone when we look */
};

_Static_assert(sizeof(struct cmkd_workload) == 16 && sizeof(struct cmkd_io) == 256, "the layout is the contract of both sides");
