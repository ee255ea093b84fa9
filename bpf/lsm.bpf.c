// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* What needs no module: who works against the recording. Somebody with root who may load modules defeats all of it. */

#include "emit.h"

/* Set between open and load. Not bool: clang makes -x of "x ? -1 : 0" then, which 6.12 refuses as a verdict. */
const volatile __u32 refuse_umount = 1;
const volatile __u32 refuse_sysctl = 1;

#define EPERM 1

static __always_inline bool is_self(struct task_struct *task) {
        __u32 tgid = self_tgid();

        return tgid != 0 && BPF_CORE_READ(task, tgid) == (int) tgid &&
               (__u32) (bpf_get_current_pid_tgid() >> 32) != tgid;
}

/* Whoever has a user namespace of his own may mount and unmount in a mount namespace that belongs to it, and nowhere
 * else: what he unmounts there is a copy. */
static __always_inline bool is_in_initial_user_ns(void) {
        struct task_struct *task = (void *) bpf_get_current_task();

        return BPF_CORE_READ(task, cred, user_ns, ns.inum) == PROC_USER_INIT_INO;
}

/* The pins are what keeps events flowing while cmkd-audit is not there; they go with an unmount. Each mount of bpffs
 * counts: the pins of any of them may be ours. */
SEC("lsm/sb_umount")
int on_sb_umount(__u64 *ctx) {
        struct vfsmount *mnt = (struct vfsmount *) ctx[0];
        struct cmkd_event *e;

        if (BPF_CORE_READ(mnt, mnt_sb, s_magic) != BPF_FS_MAGIC || !is_in_initial_user_ns())
                return 0;
        e = event_begin(CMKD_GUARD_UMOUNT);
        if (e) {
                if (refuse_umount) {
                        e->how = CMKD_HOW_REFUSED;
                        e->result = -EPERM;
                }
                event_send(e);
        }
        return refuse_umount ? -EPERM : 0;
}

SEC("lsm/task_kill")
int on_task_kill(__u64 *ctx) {
        struct cmkd_event *e;

        if (!is_self((struct task_struct *) ctx[0]) || (int) ctx[2] == 0)
                return 0;
        e = event_begin(CMKD_GUARD_SIGNAL);
        if (e) {
                e->number = (int) ctx[2];
                event_send(e);
        }
        return 0;
}

/* Reading /proc/PID of it asks too, with PTRACE_MODE_READ (1): ps is no attack. */
SEC("lsm/ptrace_access_check")
int on_ptrace_access_check(__u64 *ctx) {
        struct cmkd_event *e;

        if (!is_self((struct task_struct *) ctx[0]) || !((unsigned) ctx[1] & 2))
                return 0;
        e = event_begin(CMKD_GUARD_PTRACE);
        if (e)
                event_send(e);
        return 0;
}

/* Independent of ftrace, unlike all the others: ftrace_enabled=0 would silence them without a word. */
SEC("cgroup/sysctl")
int on_sysctl(struct bpf_sysctl *ctx) {
        static const char want[] = "kernel/ftrace_enabled";
        char name[32] = "";
        struct cmkd_event *e;

        if (!ctx->write || bpf_sysctl_get_name(ctx, name, sizeof(name), 0) != sizeof(want) - 1)
                return 1;
#pragma unroll
        for (unsigned i = 0; i < sizeof(want); i++)
                if (name[i] != want[i])
                        return 1;
        e = event_begin(CMKD_GUARD_SYSCTL);
        if (e) {
                if (refuse_sysctl) {
                        e->how = CMKD_HOW_REFUSED;
                        e->result = -EPERM;
                }
                event_send(e);
        }
        return refuse_sysctl ? 0 : 1;
}
