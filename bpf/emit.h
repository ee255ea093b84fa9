/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* For the programs: the shared maps, and how an event is begun, filled in and sent. */

#include "kernel.h"
#include "event.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, CMKD_RING_SIZE);
        __uint(pinning, LIBBPF_PIN_BY_NAME);
} events SEC(".maps");

/* Left to itself the compiler puts some into a section of strings, and says where in the type information as if it were .rodata: the kernel
 * refuses all of that then, and the object has none. */
#define TEXT(name, text) static const char name[] SEC(".rodata") = text

#define COUNTERS(name, kind)                              \
        struct {                                          \
                __uint(type, kind);                       \
                __uint(max_entries, _CMKD_EVENT_MAX);     \
                __type(key, __u32);                       \
                __type(value, __u64);                     \
                __uint(pinning, LIBBPF_PIN_BY_NAME);      \
        } name SEC(".maps")

COUNTERS(lost, BPF_MAP_TYPE_PERCPU_ARRAY);
COUNTERS(submitted, BPF_MAP_TYPE_PERCPU_ARRAY);
COUNTERS(reported, BPF_MAP_TYPE_ARRAY);

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 64);
        __type(key, char[CMKD_PROGRAM_SIZE]);
        __type(value, struct cmkd_missed);
        __uint(pinning, LIBBPF_PIN_BY_NAME);
} missed SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u32);
        __uint(pinning, LIBBPF_PIN_BY_NAME);
} self SEC(".maps");

#define READ_TEXT(to, from) bpf_probe_read_kernel_str((to), sizeof(to), (from))

/* Atomic: a program may be preempted by another one on the same CPU. */
static __always_inline void count(void *map, __u32 kind) {
        __u64 *n = bpf_map_lookup_elem(map, &kind);

        if (n)
                __sync_fetch_and_add(n, 1);
}

/* The executable: which file it is, and its path within its file system, from the base name upwards. */
static __always_inline void fill_exe(struct cmkd_event *e, struct task_struct *task) {
        struct dentry *d = BPF_CORE_READ(task, mm, exe_file, f_path.dentry);

        if (!d)
                return;
        e->exe_ino = BPF_CORE_READ(d, d_inode, i_ino);
        e->exe_dev = BPF_CORE_READ(d, d_sb, s_dev);
        READ_TEXT(e->exe, BPF_CORE_READ(d, d_name.name));
#pragma unroll
        for (int i = 0; i < CMKD_EXE_DIRS; i++) {
                struct dentry *parent = BPF_CORE_READ(d, d_parent);

                if (!parent || parent == d)
                        return;
                d = parent;
                READ_TEXT(e->exe_dir[i], BPF_CORE_READ(d, d_name.name));
        }
}

static __always_inline void fill_task(struct cmkd_event *e) {
        struct task_struct *task = (void *) bpf_get_current_task();

        e->pid = BPF_CORE_READ(task, pid);
        e->tgid = BPF_CORE_READ(task, tgid);
        e->ppid = BPF_CORE_READ(task, real_parent, tgid);
        e->start_boottime_ns = BPF_CORE_READ(task, group_leader, start_boottime);
        e->uid = BPF_CORE_READ(task, cred, uid.val);
        e->user_ns = BPF_CORE_READ(task, cred, user_ns, ns.inum);
        e->mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
        e->pid_ns = BPF_CORE_READ(task, nsproxy, pid_ns_for_children, ns.inum);
        e->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
        READ_TEXT(e->cgroup, BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, name));
        e->loginuid = e->sessionid = ~0u;
        if (bpf_core_field_exists(task->loginuid))
                e->loginuid = BPF_CORE_READ(task, loginuid.val);
        if (bpf_core_field_exists(task->sessionid))
                e->sessionid = BPF_CORE_READ(task, sessionid);
        BPF_CORE_READ_STR_INTO(&e->comm, task, comm);
        BPF_CORE_READ_STR_INTO(&e->parent_comm, task, real_parent, comm);
        fill_exe(e, task);
}

/* Reserves an event and says who, when. NULL: no room, counted. */
static __always_inline struct cmkd_event *event_begin(__u32 kind) {
        struct cmkd_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

        if (!e) {
                count(&lost, kind);
                return NULL;
        }
        __builtin_memset(e, 0, sizeof(*e));
        e->version = CMKD_EVENT_VERSION;
        e->kind = kind;
        e->boottime_ns = bpf_ktime_get_boot_ns();
        fill_task(e);
        return e;
}

static __always_inline void event_send(struct cmkd_event *e) {
        count(&submitted, e->kind);
        bpf_ringbuf_submit(e, 0);
}

static __always_inline void fill_disk(struct cmkd_event *e, struct gendisk *disk) {
        e->dev_major = BPF_CORE_READ(disk, major);
        e->dev_minor = BPF_CORE_READ(disk, first_minor);
}

/* Number, name and uuid of a mapping; name and uuid are gone while it is being removed. */
static __always_inline void fill_mapping(struct cmkd_event *e, struct mapped_device *md) {
        struct hash_cell *hc = BPF_CORE_READ(md, interface_ptr);

        fill_disk(e, BPF_CORE_READ(md, disk));
        if (!hc)
                return;
        READ_TEXT(e->name, BPF_CORE_READ(hc, name));
        READ_TEXT(e->uuid, BPF_CORE_READ(hc, uuid));
}

static __always_inline bool is_crypt_uuid(const char *u) {
        return u[0] == 'C' && u[1] == 'R' && u[2] == 'Y' && u[3] == 'P' && u[4] == 'T' && u[5] == '-';
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
