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
#define OP_WRITE 1

/* Called for every request of every device: what the kernel's own types lead to is read by plain loads, which cost a tenth of
 * a helper's, and fail no worse (a bad address reads as zero). */

/* "dm-7": device-mapper's, and nobody else's. One load for the three letters. */
static __always_inline bool is_dm(const struct gendisk *disk) {
        return (*(const __u32 *) disk->disk_name & 0xffffff) == ('d' | 'm' << 8 | '-' << 16);
}

/* "CRYPT-LUKS2-", and 32 hex digits: a mapping without them is none of ours. */
static __always_inline bool find_volume(const struct gendisk *disk, char ret[CMKD_LUKS_HEX]) {
        struct mapped_device *md = disk->private_data;
        struct hash_cell *hc = BPF_CORE_READ(md, interface_ptr);
        char uuid[CMKD_LUKS_PREFIX + CMKD_LUKS_HEX] = "";

        if (bpf_probe_read_kernel(uuid, sizeof(uuid), BPF_CORE_READ(hc, uuid)) < 0 || !is_crypt_uuid(uuid) ||
            uuid[6] != 'L' || uuid[10] != '2' || uuid[11] != '-')
                return false;
        __builtin_memcpy(ret, uuid + CMKD_LUKS_PREFIX, CMKD_LUKS_HEX);
        return true;
}

/* The request's own says who dirtied its pages. Where the io controller is not on it is the root's, level 0: then who asks. */
static __always_inline struct cgroup *cgroup_of(const struct bio *bio) {
        struct cgroup *cgroup = NULL;

        if (bpf_core_field_exists(bio->bi_blkg))
                cgroup = bio->bi_blkg->blkcg->css.cgroup;
        if (!cgroup || cgroup->level == 0)
                cgroup = bpf_get_current_task_btf()->cgroups->dfl_cgrp;
        return cgroup;
}

static __always_inline void read_names(struct cmkd_io *io, struct cgroup *cgroup) {
#pragma unroll
        for (int i = 0; i < CMKD_CGROUP_NAMES; i++) {
                READ_TEXT(io->cgroup[i], BPF_CORE_READ(cgroup, kn, name));
                cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
        }
}

/* The first request of a cgroup to a mapping. NULL: it is none of ours, or there is no room, which is counted. */
static __always_inline struct cmkd_io *begin(const struct cmkd_workload *key, const struct gendisk *disk, struct cgroup *cgroup,
                                             __u32 write, __u64 bytes) {
        char hex[CMKD_LUKS_HEX];
        struct cmkd_io *io;
        __u64 *rest;

        if (!find_volume(disk, hex))
                return NULL;
        bpf_map_update_elem(&workloads, key, &none, BPF_NOEXIST);
        io = bpf_map_lookup_elem(&workloads, key);
        if (io) {
                __builtin_memcpy(io->hex, hex, sizeof(hex));
                read_names(io, cgroup);
                return io;
        }
        rest = bpf_map_lookup_elem(&unattributed, &write);
        if (rest)
                __sync_fetch_and_add(rest, bytes);
        return NULL;
}

SEC("tp_btf/block_bio_queue")
int on_bio_queue(__u64 *ctx) {
        const struct bio *bio = (const struct bio *) ctx[0];
        const struct gendisk *disk = bio->bi_bdev->bd_disk;
        struct cmkd_workload key;
        struct cgroup *cgroup;
        struct cmkd_io *io;
        __u32 op, write;
        __u64 bytes;

        if (!is_dm(disk))
                return 0;
        op = bio->bi_opf & OP_MASK;
        bytes = bio->bi_iter.bi_size;
        if (op > OP_WRITE || bytes == 0)
                return 0;
        write = op == OP_WRITE;
        cgroup = cgroup_of(bio);
        key.diskseq = disk->diskseq;
        key.cgroup_id = cgroup->kn->id;
        io = bpf_map_lookup_elem(&workloads, &key);
        if (!io)
                io = begin(&key, disk, cgroup, write, bytes);
        if (!io)
                return 0;
        __sync_fetch_and_add(write ? &io->written : &io->read, bytes);
        __sync_fetch_and_add(write ? &io->writes : &io->reads, 1);
        return 0;
}
