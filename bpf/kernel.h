/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* The few kernel types that the programs look into. Only the fields used are named; their places are relocated at load
 * against the running kernel's BTF, dm_mod's and dm_crypt's own included (tried: 6.1, 6.12, 7.2). A type or field of
 * which the kernels differ is asked for with bpf_core_*_exists first. */

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
#define NULL ((void *) 0)
#define true 1
#define false 0

enum {
        BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_ARRAY = 6, BPF_MAP_TYPE_LRU_HASH = 9,
        BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1 };

/* The contexts of cgroup/sysctl and cgroup/connect: stable, not relocated. */
struct bpf_sysctl {
        __u32 write;
        __u32 file_pos;
};

struct bpf_sock_addr {
        __u32 user_family;
        __u32 user_ip4;                   /* these three in network byte order */
        __u32 user_ip6[4];
        __u32 user_port;
        __u32 family;
        __u32 type;
        __u32 protocol;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct { __u32 val; } kuid_t;

struct ns_common { unsigned int inum; };
struct user_namespace { struct ns_common ns; };
struct pid_namespace { struct ns_common ns; };
struct mnt_namespace { struct ns_common ns; };
struct nsproxy { struct mnt_namespace *mnt_ns; struct pid_namespace *pid_ns_for_children; };
typedef struct { __u64 val; } kernel_cap_t;       /* two __u32 on 6.1: the same bits */
struct cred { kuid_t uid; kernel_cap_t cap_effective; struct user_namespace *user_ns; };
struct qstr { const unsigned char *name; };
struct super_block { unsigned long s_magic; __u32 s_dev; };
struct inode { unsigned short i_mode; __u32 i_rdev; unsigned long i_ino; };
struct dentry { struct dentry *d_parent; struct qstr d_name; struct inode *d_inode; struct super_block *d_sb; };
struct vfsmount { struct super_block *mnt_sb; };
struct list_head { struct list_head *next; };
struct mount { struct vfsmount mnt; struct list_head mnt_mounts; int mnt_id, mnt_group_id; };
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct file { struct path f_path; struct inode *f_inode; unsigned int f_mode; void *private_data; };
struct fdtable { unsigned int max_fds; struct file **fd; };
struct files_struct { struct fdtable *fdt; };
struct mm_struct { struct file *exe_file; };
struct kernfs_node { const char *name; __u64 id; };
struct cgroup_subsys_state { struct cgroup *cgroup; struct cgroup_subsys_state *parent; };
struct cgroup { struct cgroup_subsys_state self; int level; struct kernfs_node *kn; };
struct css_set { struct cgroup *dfl_cgrp; };

struct task_struct {
        int pid, tgid;
        struct task_struct *real_parent, *group_leader;
        __u64 start_boottime;
        const struct cred *cred;
        char comm[16];
        struct nsproxy *nsproxy;
        struct mm_struct *mm;
        struct css_set *cgroups;
        struct files_struct *files;
        kuid_t loginuid;
        unsigned int sessionid;
};

struct key_type { const char *name; };
struct key { int serial; kuid_t uid; char *description; struct key_type *type; };

struct bpf_map { char name[16]; __u32 id; };
struct bpf_prog_aux { __u32 used_map_cnt, id; struct bpf_map **used_maps; char name[16]; };
struct bpf_prog { struct bpf_prog_aux *aux; };
struct bpf_link { struct bpf_prog *prog; };

struct unix_sock { struct path path; };
struct module { char name[56]; unsigned long taints; };
struct timespec64 { __s64 tv_sec; };
struct __kernel_timex_timeval { __s64 tv_sec; };
struct __kernel_timex { unsigned int modes; struct __kernel_timex_timeval time; };

struct gendisk { int major, first_minor; char disk_name[32]; void *private_data; __u64 diskseq; };
struct block_device { struct gendisk *bd_disk; __u32 bd_dev; };
struct blkcg { struct cgroup_subsys_state css; };
struct blkcg_gq { struct blkcg *blkcg; };
struct bvec_iter { unsigned int bi_size; };
struct bio { struct block_device *bi_bdev; unsigned int bi_opf; struct bvec_iter bi_iter; struct blkcg_gq *bi_blkg; };

/* drivers/md/dm-ioctl.c, dm-core.h, include/linux/device-mapper.h */
struct hash_cell { char *name, *uuid; };
struct mapped_device { struct gendisk *disk; void *interface_ptr; };
struct dm_table { struct mapped_device *md; };
struct dm_target { struct dm_table *table; void *private; };

/* drivers/md/dm-crypt.c */
struct dm_dev { struct block_device *bdev; };
struct crypt_config { struct dm_dev *dev; unsigned long flags; char *key_string; unsigned int key_size; };
enum { DM_CRYPT_KEY_VALID = 1 };          /* a bit of flags, by its number */

#pragma clang attribute pop

/* include/uapi/linux/dm-ioctl.h: stable, not relocated. */
struct dm_ioctl {
        __u32 version[3];
        __u32 data_size;
        __u32 data_start;
        __u32 target_count;
        __s32 open_count;
        __u32 flags;
        __u32 event_nr;
        __u32 padding;
        __u64 dev;
        char name[128];
        char uuid[129];
        char data[7];
};

struct dm_target_spec {
        __u64 sector_start;
        __u64 length;
        __s32 status;
        __u32 next;
        char target_type[16];
};

/* union bpf_attr of BPF_LINK_DETACH and BPF_LINK_UPDATE: stable. */
struct bpf_attr_link { __u32 link_fd; };
enum { BPF_LINK_UPDATE = 29, BPF_LINK_DETACH = 34 };

#define DM_SUSPEND_FLAG (1u << 1)
#define DM_STATUS_TABLE_FLAG (1u << 4)
#define DM_UUID_FLAG (1u << 14)
#define DM_MESSAGE_OFFSET 8u             /* of the text in struct dm_target_msg */
#define STATUSTYPE_TABLE 1
#define BPF_FS_MAGIC 0xcafe4a11
#define MNT_DETACH 2
#define CAP_SYS_ADMIN 21
#define CAP_SYS_TIME 25
#define PROC_USER_INIT_INO 0xeffffffdu   /* include/linux/proc_ns.h: the initial user namespace */
