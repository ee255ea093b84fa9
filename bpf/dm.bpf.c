// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* dm_mod: control calls, and opens of decrypted devices (mounts included, which lsm/file_open would not see).
 *
 * The handlers of dm-ioctl.c all are int f(struct file *, struct dm_ioctl *, size_t), and fexit finds in the dm_ioctl
 * what they filled in: name, uuid and number of the mapping; table_status and target_message also where their answer is (data_start).
 * What follows data_start may hold a key: of it only a target's type, a new name or the first word of a message is ever read. */

#include "guard.h"

/* Linux 6.5 and later: dm_blk_open has a gendisk where it had a block_device. blk_mode_t came with it. */
typedef unsigned int blk_mode_t;

static __always_inline struct dm_ioctl *param_of(__u64 *ctx) {
        __u64 param = 0;

        bpf_get_func_arg(ctx, 1, &param);
        return (struct dm_ioctl *) param;
}

static __always_inline __s32 result_of(__u64 *ctx) {
        __u64 result = 0;

        bpf_get_func_ret(ctx, &result);
        return (__s32) result;
}

#define PARAM(p, field) ({ typeof(+(p)->field) _v = 0; bpf_probe_read_kernel(&_v, sizeof(_v), &(p)->field); _v; })

/* A text that the caller gave, offset bytes behind data_start. The number is the caller's own, and nothing was checked where the call
 * failed: read is what lies in his buffer, whose size is the handler's third argument. 6.1 wants the bound as the last thing. */
static __always_inline void read_data(char *to, __u64 room, __u64 *ctx, const struct dm_ioctl *p, __u32 offset) {
        __u64 size = 0, start = (__u64) PARAM(p, data_start) + offset;

        bpf_get_func_arg(ctx, 2, &size);
        if (start >= size)
                return;
        size -= start;
        asm volatile("" : "+r"(size));
        if (size > room)
                size = room;
        bpf_probe_read_kernel_str(to, size, (const char *) p + start);
}

#define READ_DATA(to, ctx, p, offset) read_data((to), sizeof(to), (ctx), (p), (offset))

static __always_inline struct cmkd_event *dm_begin(__u64 *ctx, __u32 kind, const struct dm_ioctl *p) {
        struct cmkd_event *e = event_begin(kind);
        __u64 dev;

        if (!e)
                return NULL;
        dev = PARAM(p, dev);
        e->result = result_of(ctx);
        e->flags = PARAM(p, flags);
        e->dev_major = (dev & 0xfff00) >> 8;
        e->dev_minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
        READ_TEXT(e->name, p->name);
        READ_TEXT(e->uuid, p->uuid);
        return e;
}

static __always_inline void read_target(struct cmkd_event *e, __u64 *ctx, const struct dm_ioctl *p) {
        if (PARAM(p, target_count) > 0)
                READ_DATA(e->target, ctx, p, __builtin_offsetof(struct dm_target_spec, target_type));
}

SEC("fexit/table_load")
int on_table_load(__u64 *ctx) {
        struct dm_ioctl *p = param_of(ctx);
        struct cmkd_event *e = dm_begin(ctx, CMKD_DM_LOAD, p);

        if (!e)
                return 0;
        read_target(e, ctx, p);
        event_send(e);
        return 0;
}

static __always_inline bool is_heartbeat(const char *name) {
        const char want[] = CMKD_HEARTBEAT;

#pragma unroll
        for (unsigned i = 0; i < sizeof(want); i++)
                if (name[i] != want[i])
                        return false;
        return true;
}

/* Only what prints the table of a crypt mapping: LVM asks for the status of its own all day. */
SEC("fexit/table_status")
int on_table_status(__u64 *ctx) {
        struct dm_ioctl *p = param_of(ctx);
        char name[sizeof(CMKD_HEARTBEAT)] = "", uuid[8] = "";
        struct cmkd_event *e;

        READ_TEXT(name, p->name);
        READ_TEXT(uuid, p->uuid);
        if (!is_heartbeat(name) && !(is_crypt_uuid(uuid) && (PARAM(p, flags) & DM_STATUS_TABLE_FLAG)))
                return 0;
        e = dm_begin(ctx, CMKD_DM_STATUS, p);
        if (!e)
                return 0;
        if (e->result == 0)
                read_target(e, ctx, p);
        if (is_ours((void *) bpf_get_current_task()))
                e->how |= CMKD_HOW_OURS;
        event_send(e);
        return 0;
}

static __always_inline int plain(__u64 *ctx, __u32 kind) {
        struct cmkd_event *e = dm_begin(ctx, kind, param_of(ctx));

        if (e)
                event_send(e);
        return 0;
}

SEC("fexit/table_clear")
int on_table_clear(__u64 *ctx) {
        return plain(ctx, CMKD_DM_CLEAR);
}

SEC("fexit/dev_create")
int on_dev_create(__u64 *ctx) {
        return plain(ctx, CMKD_DM_CREATE);
}

SEC("fexit/dev_remove")
int on_dev_remove(__u64 *ctx) {
        return plain(ctx, CMKD_DM_REMOVE);
}

/* A successful call leaves the new state in the flags, a failed one what was asked for: either way the direction. */
SEC("fexit/dev_suspend")
int on_dev_suspend(__u64 *ctx) {
        struct cmkd_event *e = dm_begin(ctx, CMKD_DM_SUSPEND, param_of(ctx));

        if (!e)
                return 0;
        if (!(e->flags & DM_SUSPEND_FLAG))
                e->how |= CMKD_HOW_RESUME;
        event_send(e);
        return 0;
}

SEC("fexit/dev_rename")
int on_dev_rename(__u64 *ctx) {
        struct dm_ioctl *p = param_of(ctx);
        struct cmkd_event *e = dm_begin(ctx, CMKD_DM_RENAME, p);

        if (!e)
                return 0;
        if (e->flags & DM_UUID_FLAG)
                e->how |= CMKD_HOW_UUID;
        READ_DATA(e->text, ctx, p, 0);
        event_send(e);
        return 0;
}

/* The first word of the message that a thread sends: at the handler's exit data_start is another, where its answer goes. */
struct {
        __uint(type, BPF_MAP_TYPE_LRU_HASH);
        __uint(max_entries, 1024);
        __type(key, __u64);
        __type(value, char[CMKD_TARGET_SIZE]);
} messages SEC(".maps");

/* "key set HEX" holds the key: nothing behind the first word leaves the stack. The size of word bounds what is read. Words end at any white
 * space of the kernel's, which has 0xa0 too: at whatever is not a plain character. */
SEC("fentry/target_message")
int on_target_message(__u64 *ctx) {
        char word[CMKD_TARGET_SIZE] = "", first[CMKD_TARGET_SIZE] = "";
        __u64 id = bpf_get_current_pid_tgid();

        READ_DATA(word, ctx, param_of(ctx), DM_MESSAGE_OFFSET);
#pragma unroll
        for (unsigned i = 0; i < sizeof(word) - 1; i++) {
                if ((__s8) word[i] <= ' ')
                        break;
                first[i] = word[i];
        }
        bpf_map_update_elem(&messages, &id, first, BPF_ANY);
        return 0;
}

SEC("fexit/target_message")
int on_target_message_done(__u64 *ctx) {
        struct cmkd_event *e = dm_begin(ctx, CMKD_DM_MESSAGE, param_of(ctx));
        __u64 id = bpf_get_current_pid_tgid();
        char *word;

        if (!e) {
                bpf_map_delete_elem(&messages, &id);
                return 0;
        }
        word = bpf_map_lookup_elem(&messages, &id);
        if (word) {
                __builtin_memcpy(e->text, word, CMKD_TARGET_SIZE);
                bpf_map_delete_elem(&messages, &id);
        }
        event_send(e);
        return 0;
}

SEC("fexit/dm_blk_open")
int on_dm_blk_open(__u64 *ctx) {
        __u64 first = 0, mode = 0;
        struct mapped_device *md;
        struct hash_cell *hc;
        struct gendisk *disk;
        struct cmkd_event *e;
        char uuid[8] = "";

        bpf_get_func_arg(ctx, 0, &first);
        bpf_get_func_arg(ctx, 1, &mode);
        if (bpf_core_type_exists(blk_mode_t))
                disk = (struct gendisk *) first;
        else
                disk = BPF_CORE_READ((struct block_device *) first, bd_disk);
        md = BPF_CORE_READ(disk, private_data);
        hc = BPF_CORE_READ(md, interface_ptr);
        READ_TEXT(uuid, BPF_CORE_READ(hc, uuid));
        if (!is_crypt_uuid(uuid))
                return 0;
        e = event_begin(CMKD_VOLUME_OPEN);
        if (!e)
                return 0;
        e->result = result_of(ctx);
        if (mode & 2)              /* FMODE_WRITE and BLK_OPEN_WRITE have the same value */
                e->how |= CMKD_HOW_WRITE;
        fill_mapping(e, md);
        event_send(e);
        return 0;
}
