/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* For the programs of the guard: who acts, who is ours, and what Mode= makes of it.
 *
 *   actor ── is it ours, at home? ── no ── event ── enforce: refused · audit: "would" · off: recorded only
 *
 * Ours is an executable in our own directory; to be passed over in silence it has to be in a unit of ours as well (unit.h).
 * PID 1 is never refused anything. Whoever preloads a library into one of our programs, in one of our units, passes:
 * he is root, and the record of how he got there is another one. */

#include "emit.h"
#include "unit.h"

#define EPERM 1
#define INIT 1

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct cmkd_guard);
        __uint(pinning, LIBBPF_PIN_BY_NAME);
} guard SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 1024);
        __type(key, struct cmkd_program);
        __type(value, __u32);
        __uint(pinning, LIBBPF_PIN_BY_NAME);
} programs SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 256);
        __type(key, __u32);
        __type(value, __u32);
        __uint(pinning, LIBBPF_PIN_BY_NAME);
} own SEC(".maps");

static __always_inline const struct cmkd_guard *guard_get(void) {
        __u32 zero = 0;

        return bpf_map_lookup_elem(&guard, &zero);
}

static __always_inline struct dentry *exe_of(struct task_struct *task) {
        return BPF_CORE_READ(task, mm, exe_file, f_path.dentry);
}

static __always_inline bool is_ours(struct task_struct *task) {
        const struct cmkd_guard *g = guard_get();
        struct dentry *d = exe_of(task);

        return g && g->dir_ino && d && BPF_CORE_READ(d, d_parent, d_inode, i_ino) == g->dir_ino &&
               BPF_CORE_READ(d, d_sb, s_dev) == g->dir_dev;
}

/* In a unit of ours: where the service manager puts our programs. An initramfs has the root's cgroup only. */
static __always_inline bool is_at_home(struct task_struct *task) {
        return is_in_root_group(task) || is_in_unit(task, is_our_unit);
}

static __always_inline __u32 current_tgid(void) {
        return (__u32) (bpf_get_current_pid_tgid() >> 32);
}

/* Whom nobody needs to hear of; and while cmkd-audit loads the programs for the first time, nobody is known yet. */
static __always_inline bool is_quiet(void) {
        struct task_struct *task = (void *) bpf_get_current_task();
        const struct cmkd_guard *g = guard_get();

        return !g || !g->dir_ino || (is_ours(task) && is_at_home(task));
}

static __always_inline __u32 program_may(void) {
        struct dentry *d = exe_of((void *) bpf_get_current_task());
        struct cmkd_program p = {};
        __u32 *may;

        if (!d)
                return ~0u;            /* a thread of the kernel's own */
        p.ino = BPF_CORE_READ(d, d_inode, i_ino);
        p.dev = BPF_CORE_READ(d, d_sb, s_dev);
        may = bpf_map_lookup_elem(&programs, &p);
        return may ? *may : 0;
}

/* What is to happen with something that Mode=enforce refuses; always: and Mode=audit too. 0, CMKD_HOW_WOULD or
 * CMKD_HOW_REFUSED. */
static __always_inline __u32 judge(bool always) {
        const struct cmkd_guard *g = guard_get();

        if (current_tgid() == INIT || !g || g->mode == CMKD_GUARD_OFF)
                return 0;
        if (always || (g->mode == CMKD_GUARD_ENFORCE &&
                       (g->enforce_until_ns == 0 || bpf_ktime_get_boot_ns() < g->enforce_until_ns)))
                return CMKD_HOW_REFUSED;
        return CMKD_HOW_WOULD;
}

static __always_inline void send_judged(struct cmkd_event *e, __u32 how) {
        e->how |= how;
        if (how & CMKD_HOW_REFUSED)
                e->result = -EPERM;
        event_send(e);
}

/* An LSM program's answer. The barrier keeps clang from making -x of "x ? -1 : 0", which 6.12 refuses as a verdict. */
static __always_inline int answer(__u32 how) {
        int r = 0;

        if (how & CMKD_HOW_REFUSED) {
                r = -EPERM;
                asm volatile("" : "+r"(r));
        }
        return r;
}

/* The wall clock was set back by so much. */
#define CLOCK_SLACK_SEC 2

static __always_inline int clock_back(__s64 seconds) {
        struct cmkd_event *e;

        if (seconds < CLOCK_SLACK_SEC)
                return 0;
        e = event_begin(CMKD_CLOCK_BACK);
        if (e) {
                e->number = seconds < 0x7fffffff ? (__s32) seconds : 0x7fffffff;
                event_send(e);
        }
        return 0;
}

/* Whoever has a user namespace of his own may mount and unmount in a mount namespace that belongs to it, and nowhere
 * else: what he unmounts there is a copy. */
static __always_inline bool is_in_initial_user_ns(void) {
        struct task_struct *task = (void *) bpf_get_current_task();

        return BPF_CORE_READ(task, cred, user_ns, ns.inum) == PROC_USER_INIT_INO;
}

/* For hooks that come before the kernel's own question: what it is about to refuse is nobody's attack, and must not fill the trail. */
static __always_inline bool is_capable(unsigned cap) {
        struct task_struct *task = (void *) bpf_get_current_task();
        const struct cred *cred = BPF_CORE_READ(task, cred);
        __u64 caps = 0;

        bpf_core_read(&caps, sizeof(caps), &cred->cap_effective);
        return (caps & 1ull << cap) && is_in_initial_user_ns();
}

static __always_inline bool is_name(const struct dentry *d, const char *want, unsigned size) {
        char name[8] = "";

        READ_TEXT(name, BPF_CORE_READ(d, d_name.name));
#pragma unroll
        for (unsigned i = 0; i < 8; i++) {
                if (i >= size)
                        break;
                if (name[i] != want[i])
                        return false;
        }
        return true;
}

#define IS_NAME(d, want) is_name((d), (want), sizeof(want))
