// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* Volumes and keys: who opens, reads, asks for what is cmkd's to give; and what would make the kernel another one. */

#include "guard.h"
#include "devices.h"

#define S_IFMT 0170000
#define S_IFBLK 0060000
#define FMODE_WRITE 2

static __always_inline void fill_device(struct cmkd_event *e, __u32 dev) {
        e->dev_major = dev >> 20;
        e->dev_minor = dev & 0xfffff;
}

/* Opens by path. What mount(2) opens is not seen here: dm_blk_open sees both, and refuses none. */
SEC("lsm/file_open")
int on_file_open(__u64 *ctx) {
        struct file *file = (struct file *) ctx[0];
        struct inode *inode = BPF_CORE_READ(file, f_inode);
        bool write = BPF_CORE_READ(file, f_mode) & FMODE_WRITE;
        __u32 dev, *what, how = 0;
        struct cmkd_event *e;
        bool is_volume;

        if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFBLK)
                return 0;
        dev = BPF_CORE_READ(inode, i_rdev);
        what = bpf_map_lookup_elem(&devices, &dev);
        if (!what || current_tgid() == INIT || is_quiet())
                return 0;
        is_volume = (*what & CMKD_DEVICE_VOLUME) && !(program_may() & CMKD_MAY_OPEN);
        if (!is_volume && !(write && (*what & CMKD_DEVICE_DISK)))
                return 0;
        if (is_volume)
                how = judge(false);
        e = event_begin(is_volume ? CMKD_GUARD_OPEN : CMKD_HEADER_OPEN);
        if (e) {
                fill_device(e, dev);
                if (write)
                        e->how |= CMKD_HOW_WRITE;
                send_judged(e, how);
        }
        return answer(how);
}

#define DM_IOCTL 0xfd
#define DM_TABLE_STATUS_CMD 12
#define MISC_MAJOR 10
#define MAPPER_CTRL_MINOR 236

static __always_inline bool is_table_status(__u64 *ctx) {
        struct file *file = (struct file *) ctx[0];
        __u32 cmd = (__u32) ctx[1];

        return ((cmd >> 8) & 0xff) == DM_IOCTL && (cmd & 0xff) == DM_TABLE_STATUS_CMD &&
               BPF_CORE_READ(file, f_inode, i_rdev) == CMKD_KERNEL_DEV(MISC_MAJOR, MAPPER_CTRL_MINOR);
}

/* A table as dmsetup table asks for it. The flags are read before the kernel reads them: a second thread that changes them
 * in between gets past, and is seen by dm.bpf.c and crypt.bpf.c all the same. */
static __always_inline int table_asked(__u64 *ctx, __u32 flags) {
        const struct dm_ioctl *user = (const struct dm_ioctl *) ctx[2];
        struct cmkd_event *e;
        __u32 how;

        if (!(flags & DM_STATUS_TABLE_FLAG) || (program_may() & CMKD_MAY_TABLE) || is_quiet())
                return 0;
        how = judge(false);
        e = event_begin(CMKD_GUARD_TABLE);
        if (e) {
                bpf_probe_read_user_str(e->name, sizeof(e->name), &user->name);
                send_judged(e, how);
        }
        return answer(how);
}

SEC("lsm.s/file_ioctl")
int on_file_ioctl(__u64 *ctx) {
        __u32 flags = 0;

        if (!is_table_status(ctx) ||
            bpf_copy_from_user(&flags, sizeof(flags), &((const struct dm_ioctl *) ctx[2])->flags) < 0)
                return 0;
        return table_asked(ctx, flags);
}

/* From a 32-bit program, whose structure is the same. May not sleep on 6.1: what is not in memory now may be anything. */
SEC("lsm/file_ioctl_compat")
int on_file_ioctl_compat(__u64 *ctx) {
        __u32 flags = 0;

        if (!is_table_status(ctx))
                return 0;
        if (bpf_probe_read_user(&flags, sizeof(flags), &((const struct dm_ioctl *) ctx[2])->flags) < 0)
                flags = DM_STATUS_TABLE_FLAG;
        return table_asked(ctx, flags);
}

static __always_inline bool is_volume_key(const struct key *key) {
        char type[8] = "", d[12] = "";

        READ_TEXT(type, BPF_CORE_READ(key, type, name));
        if (!(type[0] == 'l' && type[1] == 'o' && type[2] == 'g') && !(type[0] == 'u' && type[1] == 's'))
                return false;
        READ_TEXT(d, BPF_CORE_READ(key, description));
        if (d[0] == 'c' && d[1] == 'm' && d[2] == 'k' && d[3] == 'd' && d[4] == ':')
                return true;
        return d[0] == 'c' && d[1] == 'r' && d[2] == 'y' && d[3] == 'p' && d[4] == 't' && d[5] == 's' && d[6] == 'e' &&
               d[7] == 't' && d[8] == 'u' && d[9] == 'p' && d[10] == ':';
}

/* To see that there is one (/proc/keys) is no use of it. The volumes' are root's: anybody may call one of his own so. Called for every key that anything looks at: the type first. */
SEC("fexit/security_key_permission")
int on_key_permission(__u64 *ctx) {
        __u64 ref = 0, need = 0, result = 0;
        struct cmkd_event *e;
        struct key *key;

        bpf_get_func_arg(ctx, 2, &need);
        if (need != CMKD_NEED_READ && need != CMKD_NEED_SEARCH && need != CMKD_NEED_LINK && need != CMKD_NEED_SETATTR)
                return 0;
        bpf_get_func_arg(ctx, 0, &ref);
        key = (struct key *) (ref & ~1ull);        /* bit 0: it is possessed */
        if (BPF_CORE_READ(key, uid.val) != 0 || !is_volume_key(key) || (program_may() & CMKD_MAY_KEYS) || is_quiet())
                return 0;
        e = event_begin(CMKD_KEY_ASKED);
        if (!e)
                return 0;
        bpf_get_func_ret(ctx, &result);
        e->result = (__s32) result;
        e->number = (__s32) need;
        e->key_serial = BPF_CORE_READ(key, serial);
        READ_TEXT(e->text, BPF_CORE_READ(key, description));
        event_send(e);
        return 0;
}

#define TAINTS_FOREIGN (1ul << 12 | 1ul << 13 | 1ul << 1)      /* out of tree, unsigned, forced */

static __always_inline int module_event(struct module *m, __u32 kind) {
        bool foreign = BPF_CORE_READ(m, taints) & TAINTS_FOREIGN;
        struct cmkd_event *e;
        char name[4] = "";

        READ_TEXT(name, &m->name);
        if (!foreign && !(name[0] == 'd' && name[1] == 'm' && (name[2] == '_' || name[2] == '-')))
                return 0;
        e = event_begin(kind);
        if (!e)
                return 0;
        if (foreign)
                e->how |= CMKD_HOW_FOREIGN;
        READ_TEXT(e->text, &m->name);
        event_send(e);
        return 0;
}

SEC("tp_btf/module_load")
int on_module_load(__u64 *ctx) {
        return module_event((struct module *) ctx[0], CMKD_MODULE_LOAD);
}

SEC("tp_btf/module_free")
int on_module_free(__u64 *ctx) {
        return module_event((struct module *) ctx[0], CMKD_MODULE_FREE);
}

#define ADJ_SETOFFSET 0x100

/* The other way to set the clock, which asks no LSM. */
SEC("fentry/do_adjtimex")
int on_adjtimex(__u64 *ctx) {
        const struct __kernel_timex *txc = (const struct __kernel_timex *) ctx[0];

        return (BPF_CORE_READ(txc, modes) & ADJ_SETOFFSET) && is_capable(CAP_SYS_TIME) ? clock_back(-BPF_CORE_READ(txc, time.tv_sec)) : 0;
}
