/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

struct ring {
        uint64_t *consumer;                /* ours to write */
        const uint64_t *producer;
        const uint8_t *data;
        size_t page, size;                 /* size: of the data, a power of two */
        uint64_t cursor;                   /* next to hand out; consumer <= cursor <= producer */
};

struct ring *ring_free(struct ring *r) {
        if (!r)
                return NULL;
        if (r->consumer)
                munmap(r->consumer, r->page);
        if (r->producer)
                munmap((void *) r->producer, r->page + 2 * r->size);
        free(r);
        return NULL;
}

int ring_open(int map_fd, struct ring **ret) {
        _cleanup_(ring_freep) struct ring *r = calloc(1, sizeof(*r));
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info);
        void *p;

        if (!r)
                return -ENOMEM;
        if (bpf_obj_get_info_by_fd(map_fd, &info, &size) < 0)
                return -errno;
        if (info.type != BPF_MAP_TYPE_RINGBUF)
                return -EINVAL;
        r->page = (size_t) sysconf(_SC_PAGESIZE);
        r->size = info.max_entries;
        p = mmap(NULL, r->page, PROT_READ|PROT_WRITE, MAP_SHARED, map_fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        r->consumer = p;
        p = mmap(NULL, r->page + 2 * r->size, PROT_READ, MAP_SHARED, map_fd, (off_t) r->page);
        if (p == MAP_FAILED)
                return -errno;
        r->producer = p;
        r->data = (const uint8_t *) p + r->page;
        ring_rewind(r);
        *ret = TAKE_PTR(r);
        return 0;
}

int ring_next(struct ring *r, const void **ret, size_t *ret_size, uint64_t *ret_position) {
        while (r->cursor < __atomic_load_n(r->producer, __ATOMIC_ACQUIRE)) {
                const uint8_t *header = r->data + (r->cursor & (r->size - 1));
                uint32_t length = __atomic_load_n((const uint32_t *) header, __ATOMIC_ACQUIRE);
                uint64_t position = r->cursor;
                uint32_t n = length & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

                if (length & BPF_RINGBUF_BUSY_BIT)
                        return 0;
                r->cursor += ((uint64_t) n + BPF_RINGBUF_HDR_SZ + 7) & ~UINT64_C(7);
                if (length & BPF_RINGBUF_DISCARD_BIT)
                        continue;
                *ret = header + BPF_RINGBUF_HDR_SZ;
                *ret_size = n;
                *ret_position = position;
                return 1;
        }
        return 0;
}

void ring_commit(struct ring *r) {
        __atomic_store_n(r->consumer, r->cursor, __ATOMIC_RELEASE);
}

void ring_give_back(struct ring *r, uint64_t position) {
        r->cursor = position;
}

void ring_rewind(struct ring *r) {
        r->cursor = __atomic_load_n(r->consumer, __ATOMIC_ACQUIRE);
}

int ring_skip(struct ring *r, uint64_t written, unsigned max) {
        uint64_t position, end = ring_consumed(r);
        unsigned n = 0;
        const void *data;
        size_t size;

        ring_rewind(r);
        while (written < ring_produced(r) && ring_next(r, &data, &size, &position) > 0 && position <= written && n <= max) {
                end = r->cursor;
                n++;
        }
        if (written >= ring_produced(r) || n > max) {
                ring_rewind(r);
                return -ERANGE;
        }
        r->cursor = end;
        return (int) n;
}

uint64_t ring_produced(const struct ring *r) {
        return __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
}

uint64_t ring_consumed(const struct ring *r) {
        return __atomic_load_n(r->consumer, __ATOMIC_ACQUIRE);
}
