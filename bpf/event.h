/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* What the programs in the kernel tell cmkd-audit: the one header that both sides share.
 *
 *   dm.bpf.c  crypt.bpf.c  lsm.bpf.c  guard.bpf.c  connect.bpf.c ── struct cmkd_event ──► ring "events" ──► cmkd-audit ──► trail
 *                                    └─ no room: lost[kind]++ on this CPU (never silent)
 *
 * Maps, pinned by name and shared by the objects: events, lost, submitted (per CPU, by kind), reported and missed (what of lost, and of
 * what the kernel passed a program over, already stands in the trail; written by cmkd-audit), self (cmkd-audit's pid, for whoever looks), and for the guard: guard (the mode, and
 * where our programs are), programs (who may do what), devices (the volumes, and the disks below them), own (the
 * numbers of our maps and programs), units and metadata (connect.h).
 *
 * Invariants: no event ever holds a key. Texts end in NUL. A field that a kind does not have is zero. Whoever changes
 * the struct or the numbers of the kinds raises CMKD_EVENT_VERSION. A kind or a bit of how that is added at the end changes none of
 * them: a newer cmkd-audit reads all of an older ring, an older one counts what it does not know as lost. Nor does a field at the end
 * of the struct: an older cmkd-audit passes over it, for a newer one it is zero, "not told", in an older ring. */

#ifndef __bpf__
#include <linux/types.h>
#endif

#define CMKD_EVENT_VERSION 2
#define CMKD_RING_SIZE (16u * 1024u * 1024u)      /* about 21,000 events while nobody reads */
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
        CMKD_GUARD_UMOUNT,       /* of a bpffs; CMKD_HOW_OURS: in a unit of ours, too */
        CMKD_GUARD_SIGNAL,       /* to one of our processes: number; target, other_pid: which */
        CMKD_GUARD_PTRACE,       /* of one: attached to, or its memory opened */
        CMKD_GUARD_SYSCTL,       /* kernel.ftrace_enabled, which would switch all of this off */
        CMKD_GUARD_CONNECT,      /* to a socket of ours, by a program that has no business there; text: which */
        CMKD_GUARD_PIN,          /* one of our pins removed or renamed; text: which */
        CMKD_GUARD_BPF,          /* text: a map of ours that was opened or given to a program (CMKD_HOW_WRITE), or a program of ours
                                  * detached: number: command */
        CMKD_GUARD_MOUNT,        /* something mounted over a directory of ours; text: its name */
        CMKD_GUARD_OPEN,         /* a volume opened by a program that is not on the list */
        CMKD_GUARD_TABLE,        /* a table read by one */
        CMKD_MODULE_LOAD,        /* of device-mapper, or one that is not the kernel's own (CMKD_HOW_FOREIGN); text: its name */
        CMKD_MODULE_FREE,
        CMKD_CLOCK_BACK,         /* the wall clock set back; number: by so many seconds */
        CMKD_KEY_ASKED,          /* a volume key in a keyring was searched for, read, linked; number: enum cmkd_key_need */
        CMKD_HEADER_OPEN,        /* the disk below a volume opened for writing */
        CMKD_GUARD_METADATA,     /* a connection to the metadata service, by another than cmkd-vault; text: address, number: port */
        _CMKD_EVENT_MAX,
};

enum cmkd_event_how {
        CMKD_HOW_KEYRING = 1 << 0,
        CMKD_HOW_INLINE = 1 << 1,
        CMKD_HOW_WRITE = 1 << 2,
        CMKD_HOW_RESUME = 1 << 3,
        CMKD_HOW_UUID = 1 << 4,
        CMKD_HOW_REFUSED = 1 << 5,
        CMKD_HOW_WOULD = 1 << 6,           /* Mode=enforce would have refused it */
        CMKD_HOW_OURS = 1 << 7,            /* by an executable in our directory */
        CMKD_HOW_FOREIGN = 1 << 8,
        CMKD_HOW_ALLOWED = 1 << 9,         /* by somebody on the list of those who may */
};

/* What the kernel asks a key for; 6.1 to 7.2. */
enum cmkd_key_need { CMKD_NEED_READ = 2, CMKD_NEED_SEARCH = 4, CMKD_NEED_LINK = 5, CMKD_NEED_SETATTR = 6 };

enum cmkd_guard_mode { CMKD_GUARD_AUDIT, CMKD_GUARD_OFF, CMKD_GUARD_ENFORCE };

/* A mount, as in /proc/PID/mountinfo. */
struct cmkd_mount {
        __u32 id;
        __u32 group;                   /* that it shares its mounts with; 0: none */
};

#define CMKD_ABOVE_MAX 8

#define CMKD_PROGRAM_SIZE 32

/* In the map "missed", by a program's name: what of its recursion_misses stands in the trail. Written by cmkd-audit. */
struct cmkd_missed {
        __u32 id;                      /* of the program: another one's count begins anew */
        __u32 zero;
        __u64 count;
};

/* The one cell of the map "guard". All zero until cmkd-audit has filled it in: nothing is ours then. */
struct cmkd_guard {
        __u32 mode;                    /* enum cmkd_guard_mode */
        __u32 dir_dev;                 /* of the file system of the directory with our programs, as the kernel has it */
        __u64 dir_ino;                 /* and its inode: whoever is in it is ours */
        __u64 enforce_until_ns;        /* boot time; over: as in audit. 0: without an end */
        __u32 mnt_ns;                  /* of cmkd-audit: what is mounted in others covers nothing here */
        __u32 run_dev;                 /* of the directory with our sockets, */
        __u64 run_ino;                 /* likewise */
        __u32 pins_dev;                /* of the bpffs that our pins are in */
        __u32 zero;
        struct cmkd_mount above[CMKD_ABOVE_MAX];   /* our bpffs, and what it is mounted in, up to the root; then zero */
};

/* A program that may do what others may not. */
struct cmkd_program {
        __u64 ino;
        __u32 dev;                     /* of its file system, as the kernel has it */
        __u32 zero;
};

enum cmkd_program_may {
        CMKD_MAY_OPEN = 1 << 0,        /* volumes */
        CMKD_MAY_TABLE = 1 << 1,       /* read tables */
        CMKD_MAY_CONNECT = 1 << 2,     /* to our sockets */
        CMKD_MAY_KEYS = 1 << 3,        /* have to do with volume keys in keyrings: recorded as keys set already */
        CMKD_MAY_METADATA = 1 << 5,    /* connect to the metadata service */
};

enum cmkd_device { CMKD_DEVICE_VOLUME = 1 << 0, CMKD_DEVICE_DISK = 1 << 1 };

#define CMKD_KERNEL_DEV(major, minor) ((__u32) (major) << 20 | (__u32) (minor))
#define CMKD_OWN_PROGRAM (1u << 31)    /* in the map "own": the number of a program, not of a map */

#define CMKD_COMM_SIZE 16
#define CMKD_EXE_SIZE 64
#define CMKD_CGROUP_LEAF_SIZE 64
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
        __s32 number;                  /* see the kind */
        __u32 other_pid;               /* the process that it was done to */
        __u32 zero;
        char comm[CMKD_COMM_SIZE];
        char parent_comm[CMKD_COMM_SIZE];
        char exe[CMKD_EXE_SIZE];       /* base name of the executable, below exe_dir[0], below exe_dir[1], ... */
        char cgroup[CMKD_CGROUP_LEAF_SIZE];   /* the last part of its path: it may be gone when we look */
        char exe_dir[CMKD_EXE_DIRS][CMKD_EXE_DIR_SIZE];   /* "/" where the file system of the executable begins */
        char name[CMKD_DM_NAME_SIZE];
        char uuid[CMKD_DM_UUID_SIZE];  /* behind name: crypt.bpf.c copies both at once */
        char target[CMKD_TARGET_SIZE];
        char text[CMKD_TEXT_SIZE];
        /* The file that the process ran, by the kernel's own numbers: of its inode, and of that one's file system (0: not told) */
        __u64 exe_ino;
        __u32 exe_dev;
        __u32 zero_too;
};

#define CMKD_EVENT_SIZE_FIRST 768      /* what an event of this version has at least */

_Static_assert(__builtin_offsetof(struct cmkd_event, exe_ino) == CMKD_EVENT_SIZE_FIRST && sizeof(struct cmkd_event) == 784,
               "the layout of an event is the contract of both sides");
