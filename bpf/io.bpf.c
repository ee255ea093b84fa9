// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* Use by workload: bytes read and written through each decrypted device, by cgroup. Counted where a request enters the block
 * layer, with the cgroup that its pages belong to: what another process writes back later counts for who dirtied it, where
 * the io controller is on. Nothing goes through the ring; cmkd-audit reads the map. */

#include "emit.h"
#include "io.h"

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, CMKD_WORKLOADS_MAX);
        __type(key, struct cmkd_workload);
        __type(value, struct cmkd_io);
        __uint(pinning, LIBBPF_PIN_BY_NAME);
} workloads SEC(".maps");

/* What found no room in the map: [0] bytes read, [1] bytes written. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 2);
        __type(key, __u32);
        __type(value, __u64);
        __uint(pinning, LIBBPF_PIN_BY_NAME);
} unattributed SEC(".maps");

static const struct cmkd_io none;

#define OP_MASK 0xff
#define OP_READ 0
#define OP_WRITE 1

/* "dm-7": device-mapper's, and nobody else's. */
static __always_inline bool is_dm(struct gendisk *disk) {
        char name[4] = "";

        bpf_probe_read_kernel(name, sizeof(name), &disk->disk_name);
        return name[0] == 'd' && name[1] == 'm' && name[2] == '-';
}

/* "CRYPT-LUKS2-", and 32 hex digits: a mapping without them is none of ours. */
static __always_inline bool find_volume(struct gendisk *disk, struct cmkd_workload *ret) {
        struct mapped_device *md = BPF_CORE_READ(disk, private_data);
        struct hash_cell *hc = BPF_CORE_READ(md, interface_ptr);
        char uuid[CMKD_LUKS_PREFIX + CMKD_LUKS_HEX] = "";

        if (bpf_probe_read_kernel(uuid, sizeof(uuid), BPF_CORE_READ(hc, uuid)) < 0 || !is_crypt_uuid(uuid) ||
            uuid[6] != 'L' || uuid[10] != '2' || uuid[11] != '-')
                return false;
        __builtin_memcpy(ret->hex, uuid + CMKD_LUKS_PREFIX, sizeof(ret->hex));
        return true;
}

/* The request's own says who dirtied its pages. Where the io controller is not on it is the root's, level 0: then who asks. */
static __always_inline struct cgroup *cgroup_of(struct bio *bio) {
        struct task_struct *task = (void *) bpf_get_current_task();
        struct cgroup *cgroup = NULL;

        if (bpf_core_field_exists(bio->bi_blkg))
                cgroup = BPF_CORE_READ(bio, bi_blkg, blkcg, css.cgroup);
        if (!cgroup || BPF_CORE_READ(cgroup, level) == 0)
                cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);
        return cgroup;
}

static __always_inline void read_names(struct cmkd_io *io, struct cgroup *cgroup) {
#pragma unroll
        for (int i = 0; i < CMKD_CGROUP_NAMES; i++) {
                READ_TEXT(io->cgroup[i], BPF_CORE_READ(cgroup, kn, name));
                cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
        }
}

static __always_inline void count_bytes(struct cmkd_workload *key, struct cgroup *cgroup, __u32 write, __u64 bytes) {
        struct cmkd_io *io = bpf_map_lookup_elem(&workloads, key);
        __u64 *rest;

        if (!io) {
                bpf_map_update_elem(&workloads, key, &none, BPF_NOEXIST);
                io = bpf_map_lookup_elem(&workloads, key);
                if (io)
                        read_names(io, cgroup);
        }
        if (io && write) {
                __sync_fetch_and_add(&io->written, bytes);
                __sync_fetch_and_add(&io->writes, 1);
        } else if (io) {
                __sync_fetch_and_add(&io->read, bytes);
                __sync_fetch_and_add(&io->reads, 1);
        } else {
                rest = bpf_map_lookup_elem(&unattributed, &write);
                if (rest)
                        __sync_fetch_and_add(rest, bytes);
        }
}

SEC("tp_btf/block_bio_queue")
int on_bio_queue(__u64 *ctx) {
        struct bio *bio = (struct bio *) ctx[0];
        struct gendisk *disk = BPF_CORE_READ(bio, bi_bdev, bd_disk);
        struct cmkd_workload key = {};
        struct cgroup *cgroup;
        __u32 op, write;
        __u64 bytes;

        if (!is_dm(disk))
                return 0;
        op = (__u32) BPF_CORE_READ(bio, bi_opf) & OP_MASK;
        bytes = BPF_CORE_READ(bio, bi_iter.bi_size);
        if (op > OP_WRITE || bytes == 0 || !find_volume(disk, &key))
                return 0;
        write = op == OP_WRITE;
        cgroup = cgroup_of(bio);
        key.cgroup_id = BPF_CORE_READ(cgroup, kn, id);
        count_bytes(&key, cgroup, write, bytes);
        return 0;
}
