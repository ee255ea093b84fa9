/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Connections to the metadata service, which gives the node's token to whoever asks on the node: shared by connect.bpf.c and
 * cmkd-audit.
 *
 * units      names of units that may; written by cmkd-audit. By name, not by the number of their groups: a unit that starts
 *            is known before it runs.
 * metadata   what an event stands for. The first connection of a process is an event; those like it that follow are counted
 *            here, and the cell goes, and with it the count into the trail, a minute later. Of one program in one group that are
 *            CMKD_METADATA_PROCESSES events within a minute: further processes are counted in a cell that is none's (tgid 0), so that
 *            a shell's loop does not fill the trail. No room: each is an event. Nothing of this needs cmkd-audit to be there. */

#ifndef __bpf__
#include <linux/types.h>
#endif

#define CMKD_METADATA_MAX 1024u
#define CMKD_METADATA_PROCESSES 16u
#define CMKD_UNITS_MAX 256u
#define CMKD_UNIT_SIZE 64            /* with its NUL; a longer name is none that may */

/* One process while it runs one program in one group, and what was made of it; or, without tgid and start, all of them. */
struct cmkd_asker {
        __u64 start_boottime_ns;
        __u64 exe_ino;
        __u64 cgroup_id;
        __u32 tgid;
        __u32 how;                   /* enum cmkd_event_how */
        __u32 port;
        __u32 zero;
};

struct cmkd_asked {
        __u64 first_ns, last_ns;     /* boot time */
        __u64 more;                  /* beyond the first, or the first processes' firsts, which were events */
        __u64 events;                /* how many those are */
};

_Static_assert(sizeof(struct cmkd_asker) == 40 && sizeof(struct cmkd_asked) == 32, "the layout is the contract of both sides");
