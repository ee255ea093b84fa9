// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* dm_crypt: keys set, replaced, wiped, freed, and read out.
 *
 * The second word of a crypt table is either ":SIZE:TYPE:DESCRIPTION" of a key in a keyring or the key itself in hex:
 * it is copied only where it begins with a colon, and only one byte of it is looked at before. */

#include "emit.h"
#include "devices.h"

/* The key that a thread brought to crypt_ctr or crypt_message: at their exit the word has been wiped. */
struct call {
        __u32 how;
        char text[CMKD_TEXT_SIZE];
};

struct {
        __uint(type, BPF_MAP_TYPE_LRU_HASH);
        __uint(max_entries, 1024);
        __type(key, __u64);
        __type(value, struct call);
} calls SEC(".maps");

/* The names of a target's mapping, as they lie in an event, by the target: when it is destroyed they are gone. */
struct names {
        char name[CMKD_DM_NAME_SIZE];
        char uuid[CMKD_DM_UUID_SIZE];
};

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 4096);
        __type(key, __u64);
        __type(value, struct names);
} targets SEC(".maps");

static const struct names no_names;

static __always_inline __u64 arg_of(__u64 *ctx, __u32 n) {
        __u64 v = 0;

        bpf_get_func_arg(ctx, n, &v);
        return v;
}

static __always_inline __s32 result_of(__u64 *ctx) {
        __u64 v = 0;

        bpf_get_func_ret(ctx, &v);
        return (__s32) v;
}

/* The n-th word of a target's arguments: its address. */
static __always_inline const char *word_of(const void *argv, unsigned n) {
        const char *word = NULL;

        bpf_probe_read_kernel(&word, sizeof(word), (const char *) argv + n * sizeof(word));
        return word;
}

static __always_inline struct cmkd_event *target_begin(__u32 kind, struct dm_target *ti) {
        struct cmkd_event *e = event_begin(kind);

        if (!e)
                return NULL;
        e->target[0] = 'c';
        e->target[1] = 'r';
        e->target[2] = 'y';
        e->target[3] = 'p';
        e->target[4] = 't';
        fill_mapping(e, BPF_CORE_READ(ti, table, md));
        return e;
}

static __always_inline void remember_call(const char *key) {
        __u64 id = bpf_get_current_pid_tgid();
        struct call call = {};
        char first = 0;

        bpf_probe_read_kernel(&first, 1, key);
        call.how = first == ':' ? CMKD_HOW_KEYRING : CMKD_HOW_INLINE;
        if (first == ':')
                READ_TEXT(call.text, key);
        bpf_map_update_elem(&calls, &id, &call, BPF_ANY);
}

/* At each exit either of the two: the entry is done with. (One with "if (e)" in it is refused by 6.1.) */
static __always_inline void forget(void) {
        __u64 id = bpf_get_current_pid_tgid();

        bpf_map_delete_elem(&calls, &id);
}

static __always_inline void recall(struct cmkd_event *e) {
        __u64 id = bpf_get_current_pid_tgid();
        struct call *call = bpf_map_lookup_elem(&calls, &id);

        if (!call)
                return;
        e->how = call->how;
        __builtin_memcpy(e->text, call->text, sizeof(e->text));
        bpf_map_delete_elem(&calls, &id);
}

SEC("fentry/crypt_ctr")
int on_crypt_ctr(__u64 *ctx) {
        if ((__u32) arg_of(ctx, 1) >= 2)
                remember_call(word_of((void *) arg_of(ctx, 2), 1));
        return 0;
}

/* From now on the guard looks at who opens the volume, and who writes to the disk below it. */
static __always_inline void remember_devices(const struct cmkd_event *e, struct crypt_config *cc) {
        __u32 volume = CMKD_KERNEL_DEV(e->dev_major, e->dev_minor), is_volume = CMKD_DEVICE_VOLUME;
        __u32 disk = BPF_CORE_READ(cc, dev, bdev, bd_dev), is_disk = CMKD_DEVICE_DISK, *what;

        if (e->uuid[6] != 'L' || e->uuid[10] != '2')       /* CRYPT-LUKS2-... */
                return;
        what = bpf_map_lookup_elem(&devices, &disk);
        if (what)
                is_disk |= *what;      /* a volume on a volume */
        bpf_map_update_elem(&devices, &volume, &is_volume, BPF_ANY);
        bpf_map_update_elem(&devices, &disk, &is_disk, BPF_ANY);
}

SEC("fexit/crypt_ctr")
int on_crypt_ctr_done(__u64 *ctx) {
        struct dm_target *ti = (struct dm_target *) arg_of(ctx, 0);
        struct cmkd_event *e = target_begin(CMKD_KEY_SET, ti);
        struct crypt_config *cc;
        __u64 target = (__u64) ti;
        struct names *names;

        if (!e) {
                forget();
                return 0;
        }
        recall(e);
        e->result = result_of(ctx);
        if (e->result == 0) {
                cc = BPF_CORE_READ(ti, private);
                e->key_size = BPF_CORE_READ(cc, key_size);
                /* In two steps: 6.1 takes no ring memory as a map's value, and the stack has no room for it */
                bpf_map_update_elem(&targets, &target, &no_names, BPF_ANY);
                names = bpf_map_lookup_elem(&targets, &target);
                if (names)
                        __builtin_memcpy(names, e->name, sizeof(*names));
                remember_devices(e, cc);
        }
        event_send(e);
        return 0;
}

SEC("fexit/set_key_user")
int on_set_key_user(__u64 *ctx) {
        struct key *key = (struct key *) arg_of(ctx, 1);
        struct cmkd_event *e = event_begin(CMKD_KEY_FETCHED);

        if (!e)
                return 0;
        e->result = result_of(ctx);
        e->how = CMKD_HOW_KEYRING;
        e->key_serial = BPF_CORE_READ(key, serial);
        READ_TEXT(e->text, BPF_CORE_READ(key, description));
        event_send(e);
        return 0;
}

SEC("fentry/crypt_message")
int on_crypt_message(__u64 *ctx) {
        if ((__u32) arg_of(ctx, 1) >= 3)
                remember_call(word_of((void *) arg_of(ctx, 2), 2));
        return 0;
}

/* "key set KEY" and "key wipe"; the rest is none of ours. */
static __always_inline __u32 kind_of_message(__u64 *ctx) {
        char verb = 0;

        if ((__u32) arg_of(ctx, 1) < 2)
                return CMKD_EVENT_NONE;
        bpf_probe_read_kernel(&verb, 1, word_of((const void *) arg_of(ctx, 2), 1));
        if (verb == 'w' || verb == 'W')
                return CMKD_KEY_WIPED;
        return verb == 's' || verb == 'S' ? CMKD_KEY_SET_MESSAGE : CMKD_EVENT_NONE;
}

SEC("fexit/crypt_message")
int on_crypt_message_done(__u64 *ctx) {
        struct dm_target *ti = (struct dm_target *) arg_of(ctx, 0);
        __u32 kind = kind_of_message(ctx);
        struct cmkd_event *e;

        if (kind == CMKD_EVENT_NONE) {
                forget();
                return 0;
        }
        e = target_begin(kind, ti);
        if (!e) {
                forget();
                return 0;
        }
        recall(e);
        e->result = result_of(ctx);
        event_send(e);
        return 0;
}

/* The volume key itself goes out: dmsetup table, with or without --showkeys, cryptsetup status and close get the same
 * answer. A key in a keyring is only named in it, and a wiped one is random bytes: no more than table reads. */
SEC("fentry/crypt_status")
int on_crypt_status(__u64 *ctx) {
        struct dm_target *ti = (struct dm_target *) arg_of(ctx, 0);
        struct crypt_config *cc;
        struct cmkd_event *e;

        if ((__u32) arg_of(ctx, 1) != STATUSTYPE_TABLE)
                return 0;
        cc = BPF_CORE_READ(ti, private);
        if (BPF_CORE_READ(cc, key_string) || !(BPF_CORE_READ(cc, flags) & (1ul << DM_CRYPT_KEY_VALID)))
                return 0;
        e = target_begin(CMKD_KEY_READ, ti);
        if (!e)
                return 0;
        e->key_size = BPF_CORE_READ(cc, key_size);
        e->how = CMKD_HOW_INLINE;
        event_send(e);
        return 0;
}

SEC("fentry/crypt_dtr")
int on_crypt_dtr(__u64 *ctx) {
        struct dm_target *ti = (struct dm_target *) arg_of(ctx, 0);
        __u64 target = (__u64) ti;
        struct names *names = bpf_map_lookup_elem(&targets, &target);
        struct cmkd_event *e;

        if (!BPF_CORE_READ(ti, private))
                return 0;          /* the constructor failed early: there was no key */
        e = target_begin(CMKD_KEY_FREED, ti);
        if (e) {
                if (names && !e->uuid[0])
                        __builtin_memcpy(e->name, names, sizeof(*names));
                event_send(e);
        }
        bpf_map_delete_elem(&targets, &target);
        return 0;
}
