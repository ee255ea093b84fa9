/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* What the programs in the kernel tell cmkd-audit: the one header that both sides share.
 *
 *   dm.bpf.c  crypt.bpf.c  lsm.bpf.c ── struct cmkd_event ──► ring buffer "events" ──► cmkd-audit ──► trail
 *                                    └─ no room: lost[kind]++ on this CPU (never silent)
 *
 * Maps, pinned by name and shared by the three objects: events, lost, submitted (per CPU, by kind), reported (what of
 * lost already stands in the trail; written by cmkd-audit), self (cmkd-audit's pid, for the guards).
 *
 * Invariants: no event ever holds a key. Texts end in NUL. A field that a kind does not have is zero. Whoever changes
 * the struct or the numbers of the kinds raises CMKD_EVENT_VERSION. */

#ifndef __bpf__
#include <linux/types.h>
#endif

#define CMKD_EVENT_VERSION 1
#define CMKD_RING_SIZE (16u * 1024u * 1024u)      /* about 23,000 events while nobody reads */
#define CMKD_HEARTBEAT "cmkd-heartbeat"           /* a mapping that does not exist: its table status is our own echo */

enum cmkd_event_kind {
        CMKD_EVENT_NONE,
        /* dm_crypt */
        CMKD_KEY_SET,            /* a crypt table was made: text is the keyring description, if it is a keyring key */
        CMKD_KEY_SET_MESSAGE,    /* "key set" to a suspended mapping */
        CMKD_KEY_WIPED,          /* "key wipe" to a suspended mapping */
        CMKD_KEY_FREED,          /* the table went away and the key with it */
        CMKD_KEY_FETCHED,        /* dm_crypt took a key from a keyring: key_serial, text */
        CMKD_KEY_READ,           /* the table was printed with the volume key in it */
        /* device-mapper control */
        CMKD_DM_LOAD,
        CMKD_DM_STATUS,
        CMKD_DM_CLEAR,
        CMKD_DM_CREATE,
        CMKD_DM_REMOVE,
        CMKD_DM_SUSPEND,         /* CMKD_HOW_RESUME: the other direction */
        CMKD_DM_RENAME,          /* text: the new name; CMKD_HOW_UUID: the new uuid */
        CMKD_DM_MESSAGE,         /* text: the first word */
        /* use of a decrypted device */
        CMKD_VOLUME_OPEN,
        /* somebody works against the recording itself */
        CMKD_GUARD_UMOUNT,       /* of a bpffs */
        CMKD_GUARD_SIGNAL,       /* to cmkd-audit: number */
        CMKD_GUARD_PTRACE,       /* of cmkd-audit */
        CMKD_GUARD_SYSCTL,       /* kernel.ftrace_enabled, which would switch all of this off */
        _CMKD_EVENT_MAX,
};

enum cmkd_event_how {
        CMKD_HOW_KEYRING = 1 << 0,
        CMKD_HOW_INLINE = 1 << 1,
        CMKD_HOW_WRITE = 1 << 2,
        CMKD_HOW_RESUME = 1 << 3,
        CMKD_HOW_UUID = 1 << 4,
        CMKD_HOW_REFUSED = 1 << 5,
};

#define CMKD_COMM_SIZE 16
#define CMKD_EXE_SIZE 64
#define CMKD_EXE_DIRS 3
#define CMKD_EXE_DIR_SIZE 32
#define CMKD_DM_NAME_SIZE 128
#define CMKD_DM_UUID_SIZE 136
#define CMKD_TARGET_SIZE 16
#define CMKD_TEXT_SIZE 128

struct cmkd_event {
        __u16 version;
        __u16 kind;
        __s32 result;                  /* of the call: 0 or negative errno */
        __u64 boottime_ns;
        __u64 start_boottime_ns;       /* of the process: pid and this are never reused together */
        __u64 cgroup_id;               /* in the unified hierarchy */
        __u32 pid, tgid, ppid;         /* in the initial namespace; pid is the thread */
        __u32 uid, loginuid, sessionid;
        __u32 pid_ns, mnt_ns, user_ns; /* inode numbers, as in /proc/PID/ns */
        __u32 dev_major, dev_minor;    /* of the mapping */
        __u32 flags;                   /* DM_*_FLAG as they stand after the call */
        __u32 how;                     /* enum cmkd_event_how */
        __u32 key_size;
        __s32 key_serial;
        __s32 number;                  /* GUARD_SIGNAL: the signal */
        char comm[CMKD_COMM_SIZE];
        char parent_comm[CMKD_COMM_SIZE];
        char exe[CMKD_EXE_SIZE];       /* base name of the executable, below exe_dir[0], below exe_dir[1], ... */
        char exe_dir[CMKD_EXE_DIRS][CMKD_EXE_DIR_SIZE];   /* "/" where the file system of the executable begins */
        char name[CMKD_DM_NAME_SIZE];
        char uuid[CMKD_DM_UUID_SIZE];  /* behind name: crypt.bpf.c copies both at once */
        char target[CMKD_TARGET_SIZE];
        char text[CMKD_TEXT_SIZE];
};

_Static_assert(sizeof(struct cmkd_event) == 696, "the layout of an event is the contract of both sides");
