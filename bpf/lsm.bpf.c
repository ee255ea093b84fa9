// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* What needs no module: who works against the recording, or against our processes. Somebody with root who may load modules
 * defeats all of it.
 *
 * Three things are refused in Mode=audit as well, since they end the recording and nobody has any other use for them: the
 * unmount of a bpffs, kernel.ftrace_enabled=0, and detaching one of our programs. */

#include "guard.h"

/* The event of something that was done to a process of ours. */
static __always_inline struct cmkd_event *begin_against(__u32 kind, struct task_struct *task) {
        struct cmkd_event *e = event_begin(kind);

        if (!e)
                return NULL;
        e->other_pid = BPF_CORE_READ(task, tgid);
        READ_TEXT(e->target, BPF_CORE_READ(exe_of(task), d_name.name));
        return e;
}

/* A process of ours, and it is somebody else's. Anybody may run a program of ours as his own: that is his. cmkd-keyscript runs in others'
 * units, as root. */
static __always_inline bool is_against_us(struct task_struct *task) {
        return is_ours(task) && (BPF_CORE_READ(task, cred, uid.val) == 0 || is_at_home(task)) &&
               BPF_CORE_READ(task, tgid) != (int) current_tgid() && !is_quiet();
}

/* What our bpffs is mounted in: detached it takes all along. So does its like in another place or namespace that it is shared with,
 * where that has mounts in it. */
static __always_inline bool is_above_pins(const struct vfsmount *mnt) {
        const struct mount *m = (const void *) mnt - bpf_core_field_offset(struct mount, mnt);
        const void *mounts = (const void *) m + bpf_core_field_offset(struct mount, mnt_mounts);
        __u32 id = BPF_CORE_READ(m, mnt_id), group = BPF_CORE_READ(m, mnt_group_id);
        const struct cmkd_guard *g = guard_get();

        if (!g)
                return false;
        if (BPF_CORE_READ(m, mnt_mounts.next) == mounts)
                group = 0;
#pragma unroll
        for (int i = 0; i < CMKD_ABOVE_MAX; i++)
                if (g->above[i].id && (g->above[i].id == id || (group && g->above[i].group == group)))
                        return true;
        return false;
}

/* The pins are what keeps events flowing while cmkd-audit is not there; they go with an unmount. Each mount of bpffs
 * counts: the pins of any of them may be ours. */
SEC("lsm/sb_umount")
int on_sb_umount(__u64 *ctx) {
        struct vfsmount *mnt = (struct vfsmount *) ctx[0];
        bool takes_along = ((int) ctx[1] & MNT_DETACH) && is_above_pins(mnt);
        struct task_struct *task = (void *) bpf_get_current_task();
        struct cmkd_event *e;
        bool is_own;
        __u32 how;

        if ((!takes_along && BPF_CORE_READ(mnt, mnt_sb, s_magic) != BPF_FS_MAGIC) || !is_in_initial_user_ns())
                return 0;
        how = judge(true);
        is_own = is_ours(task) && is_at_home(task);        /* in a teardown: who holds the volume may have a bpffs of his own */
        e = event_begin(CMKD_GUARD_UMOUNT);
        if (e) {
                if (is_own)
                        e->how |= CMKD_HOW_OURS;
                send_judged(e, how);
        }
        return answer(how);
}

SEC("lsm/task_kill")
int on_task_kill(__u64 *ctx) {
        struct task_struct *task = (struct task_struct *) ctx[0];
        struct cmkd_event *e;

        if ((int) ctx[2] == 0 || !is_against_us(task))
                return 0;
        e = begin_against(CMKD_GUARD_SIGNAL, task);
        if (e) {
                e->number = (int) ctx[2];
                event_send(e);
        }
        return 0;
}

/* Attaching, /proc/PID/mem, process_vm_readv, pidfd_getfd. Reading /proc/PID of it asks too, with PTRACE_MODE_READ (1): ps is
 * no attack. */
SEC("lsm/ptrace_access_check")
int on_ptrace_access_check(__u64 *ctx) {
        struct task_struct *task = (struct task_struct *) ctx[0];
        struct cmkd_event *e;
        __u32 how;

        if (!((unsigned) ctx[1] & 2) || !is_against_us(task))
                return 0;
        how = judge(false);
        e = begin_against(CMKD_GUARD_PTRACE, task);
        if (e)
                send_judged(e, how);
        return answer(how);
}

/* By the directory's inode: the text that a socket was bound with is its owner's ("/run/cmkd/../../tmp/s"). */
static __always_inline bool is_our_socket(const struct dentry *d) {
        const struct cmkd_guard *g = guard_get();

        return g && g->run_ino && d && BPF_CORE_READ(d, d_parent, d_inode, i_ino) == g->run_ino &&
               BPF_CORE_READ(d, d_sb, s_dev) == g->run_dev;
}

/* The keys' socket is everybody's, and cmkd-keyscript runs in others' units. */
SEC("lsm/unix_stream_connect")
int on_unix_connect(__u64 *ctx) {
        TEXT(run, "/run/cmkd/");
        struct dentry *d = BPF_CORE_READ((struct unix_sock *) ctx[1], path.dentry);
        char name[32] = "";
        struct cmkd_event *e;

        if (!is_our_socket(d))
                return 0;
        READ_TEXT(name, BPF_CORE_READ(d, d_name.name));
        if (name[0] == 'k' || (program_may() & CMKD_MAY_CONNECT) || current_tgid() == INIT ||
            is_ours((void *) bpf_get_current_task()))
                return 0;
        e = event_begin(CMKD_GUARD_CONNECT);
        if (e) {
                __builtin_memcpy(e->text, run, sizeof(run));
                __builtin_memcpy(e->text + sizeof(run) - 1, name, sizeof(name));
                event_send(e);
        }
        return 0;
}

/* In the root of a file system. */
static __always_inline bool is_pins_root(const struct dentry *d) {
        return IS_NAME(d, "cmkd") && IS_NAME(BPF_CORE_READ(d, d_parent), "/");
}

/* Below our directory, or the directory itself: cmkd/v2-DIGEST/link-on_crypt_ctr. In our bpffs: anybody may mount one in a user namespace
 * of his own. */
static __always_inline bool is_pin(struct dentry *d) {
        struct dentry *parent = BPF_CORE_READ(d, d_parent);
        const struct cmkd_guard *g = guard_get();

        return g && BPF_CORE_READ(d, d_sb, s_dev) == g->pins_dev && BPF_CORE_READ(d, d_sb, s_magic) == BPF_FS_MAGIC &&
               (is_pins_root(d) || is_pins_root(parent) || is_pins_root(BPF_CORE_READ(parent, d_parent)));
}

/* d: the pin; the event says that name. */
static __always_inline int touch_pin(struct dentry *d) {
        struct cmkd_event *e;
        __u32 how;

        if (!d || is_quiet())
                return 0;
        how = judge(false);
        e = event_begin(CMKD_GUARD_PIN);
        if (e) {
                READ_TEXT(e->text, BPF_CORE_READ(d, d_name.name));
                send_judged(e, how);
        }
        return answer(how);
}

SEC("lsm/inode_unlink")
int on_inode_unlink(__u64 *ctx) {
        struct dentry *d = (struct dentry *) ctx[1];

        return touch_pin(is_pin(d) ? d : NULL);
}

/* Away from a name of ours, or onto one: then something else has it. Two that change places are asked for both ways. */
SEC("lsm/inode_rename")
int on_inode_rename(__u64 *ctx) {
        struct dentry *from = (struct dentry *) ctx[1], *to = (struct dentry *) ctx[3];

        return touch_pin(is_pin(from) ? from : is_pin(to) ? to : NULL);
}

/* A map of ours in somebody else's hands: with the right to write, counters and the ring can be falsified. To look at
 * them (bpftool) is recorded and never refused; a program that is loaded with such a descriptor may write: on_bpf_prog(). */
SEC("lsm/bpf_map")
int on_bpf_map(__u64 *ctx) {
        struct bpf_map *map = (struct bpf_map *) ctx[0];
        __u32 id = BPF_CORE_READ(map, id), how = 0;
        struct cmkd_event *e;

        if (!bpf_map_lookup_elem(&own, &id) || is_quiet())
                return 0;
        if (ctx[1] & 2)
                how = judge(false);
        e = event_begin(CMKD_GUARD_BPF);
        if (e) {
                if (ctx[1] & 2)
                        e->how |= CMKD_HOW_WRITE;
                READ_TEXT(e->text, &map->name);
                send_judged(e, how);
        }
        return answer(how);
}

#define USED_MAPS_MAX 64                   /* include/linux/bpf_verifier.h: MAX_USED_MAPS */

/* The first map of ours that a program refers to. */
static __always_inline struct bpf_map *find_own_map(const struct bpf_prog_aux *aux) {
        struct bpf_map **maps = BPF_CORE_READ(aux, used_maps), *map = NULL;
        __u32 n = BPF_CORE_READ(aux, used_map_cnt), id;

        for (__u32 i = 0; i < USED_MAPS_MAX; i++) {
                if (i >= n || bpf_probe_read_kernel(&map, sizeof(map), maps + i) < 0)
                        break;
                id = BPF_CORE_READ(map, id);
                if (bpf_map_lookup_elem(&own, &id))
                        return map;
        }
        return NULL;
}

/* Asked where a descriptor of a program is given out, which is also the end of its loading. The verifier lets a program write to a map
 * whatever the descriptor says that it was loaded with. */
SEC("lsm/bpf_prog")
int on_bpf_prog(__u64 *ctx) {
        struct bpf_prog_aux *aux = BPF_CORE_READ((struct bpf_prog *) ctx[0], aux);
        __u32 id = BPF_CORE_READ(aux, id) | CMKD_OWN_PROGRAM, how;
        struct cmkd_event *e;
        struct bpf_map *map;

        if (bpf_map_lookup_elem(&own, &id))
                return 0;                  /* one of ours that somebody looks at */
        map = find_own_map(aux);
        if (!map || is_quiet())
                return 0;
        how = judge(false);
        e = event_begin(CMKD_GUARD_BPF);
        if (e) {
                e->how |= CMKD_HOW_WRITE;
                READ_TEXT(e->text, &map->name);
                send_judged(e, how);
        }
        return answer(how);
}

/* The program of the link that a descriptor of this process is, by its number; any other file gives nonsense, safely. */
static __always_inline struct bpf_prog_aux *program_of_link(__u32 fd) {
        struct task_struct *task = (void *) bpf_get_current_task();
        struct fdtable *t = BPF_CORE_READ(task, files, fdt);
        struct file **files = BPF_CORE_READ(t, fd), *file = NULL;
        struct bpf_link *link;

        if (fd >= BPF_CORE_READ(t, max_fds))
                return NULL;
        bpf_probe_read_kernel(&file, sizeof(file), files + fd);
        link = BPF_CORE_READ(file, private_data);
        return BPF_CORE_READ(link, prog, aux);
}

/* Only a cgroup's link can be detached or given another program: ours are those of cgroup/sysctl and cgroup/connect, and detached
 * they stay. */
SEC("lsm/bpf")
int on_bpf(__u64 *ctx) {
        struct bpf_prog_aux *aux;
        struct cmkd_event *e;
        __u32 fd = 0, id, how;

        if ((int) ctx[0] != BPF_LINK_DETACH && (int) ctx[0] != BPF_LINK_UPDATE)
                return 0;
        bpf_probe_read_kernel(&fd, sizeof(fd), (const void *) ctx[1]);
        aux = program_of_link(fd);
        id = BPF_CORE_READ(aux, id) | CMKD_OWN_PROGRAM;
        if (!bpf_map_lookup_elem(&own, &id) || is_quiet())
                return 0;
        how = judge(true);
        e = event_begin(CMKD_GUARD_BPF);
        if (e) {
                e->number = (int) ctx[0];
                READ_TEXT(e->text, &aux->name);
                send_judged(e, how);
        }
        return answer(how);
}

/* /var/log/cmkd, /usr/lib/cmkd, /var/lib/cmkd, and the ones in the roots of /run and bpffs. */
static __always_inline bool is_our_directory(struct dentry *d) {
        struct dentry *parent = BPF_CORE_READ(d, d_parent);

        return IS_NAME(d, "cmkd") && (IS_NAME(parent, "log") || IS_NAME(parent, "lib") || IS_NAME(parent, "/"));
}

static __always_inline int mounted_over(const struct path *path) {
        struct task_struct *task = (void *) bpf_get_current_task();
        const struct cmkd_guard *g = guard_get();
        struct dentry *d = BPF_CORE_READ(path, dentry);
        struct cmkd_event *e;
        __u32 how;

        if (!g || BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum) != g->mnt_ns)
                return 0;
        if (!is_capable(CAP_SYS_ADMIN) || (!is_our_directory(d) && !is_our_directory(BPF_CORE_READ(d, d_parent))) || is_quiet())
                return 0;
        how = judge(false);
        e = event_begin(CMKD_GUARD_MOUNT);
        if (e) {
                READ_TEXT(e->text, BPF_CORE_READ(d, d_name.name));
                send_judged(e, how);
        }
        return answer(how);
}

SEC("lsm/sb_mount")
int on_sb_mount(__u64 *ctx) {
        return mounted_over((const struct path *) ctx[1]);
}

SEC("lsm/move_mount")
int on_move_mount(__u64 *ctx) {
        return mounted_over((const struct path *) ctx[1]);
}

/* The kernel gives a program TAI, which may be ahead of the wall clock by the leap seconds that somebody told it. */
#define LEAP_SECONDS 37

SEC("lsm/settime")
int on_settime(__u64 *ctx) {
        const struct timespec64 *ts = (const struct timespec64 *) ctx[0];

        if (!ts)
                return 0;
        return clock_back((__s64) (bpf_ktime_get_tai_ns() / 1000000000) - LEAP_SECONDS - BPF_CORE_READ(ts, tv_sec));
}

/* Independent of ftrace, unlike all the others: ftrace_enabled=0 would silence them without a word. */
SEC("cgroup/sysctl")
int on_sysctl(struct bpf_sysctl *ctx) {
        TEXT(want, "kernel/ftrace_enabled");
        char name[32] = "";
        struct cmkd_event *e;
        __u32 how;

        if (!ctx->write || bpf_sysctl_get_name(ctx, name, sizeof(name), 0) != sizeof(want) - 1)
                return 1;
#pragma unroll
        for (unsigned i = 0; i < sizeof(want); i++)
                if (name[i] != want[i])
                        return 1;
        how = judge(true);
        e = event_begin(CMKD_GUARD_SYSCTL);
        if (e)
                send_judged(e, how);
        return how & CMKD_HOW_REFUSED ? 0 : 1;
}
