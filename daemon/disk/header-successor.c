/* SPDX-License-Identifier: Apache-2.0 */
#include "header-write.h"

#include <endian.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <unistd.h>

#define AREA_ALIGN 4096u

struct plan {
        const struct header *h, *old;
        uint64_t offsets[HEADER_KEYSLOTS_MAX];    /* where each of h's is to be */
};

static bool hits(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size) {
        return a < b + b_size && b < a + a_size;
}

/* Of another keyslot, of either header, or of its own in the old one. Returns the end of what is in the way, or 0. */
static uint64_t find_obstacle(const struct plan *p, size_t skip, uint64_t at, uint64_t size) {
        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++) {
                const struct header_layout *l = &p->h->layout;

                if (i != skip && l->areas[i].used && hits(at, size, p->offsets[i], l->areas[i].size))
                        return p->offsets[i] + l->areas[i].size;
                l = p->old ? &p->old->layout : NULL;
                if (l && l->areas[i].used && hits(at, size, l->areas[i].offset, l->areas[i].size))
                        return l->areas[i].offset + l->areas[i].size;
        }
        return 0;
}

/* What is there already, byte for byte, is in nobody's way. */
static bool is_in_place(const struct plan *p, size_t i) {
        const struct header_layout *l = &p->h->layout, *o = &p->old->layout;

        return o->areas[i].used && o->areas[i].offset == l->areas[i].offset && o->areas[i].size == l->areas[i].size &&
               header_compare_bytes(p->h->fd, p->old->fd, l->areas[i].offset, l->areas[i].size) > 0;
}

static int place(struct plan *p, size_t i) {
        const struct header_layout *l = &p->h->layout;
        uint64_t begin = 2 * p->h->copy.header_size, end = begin + l->keyslots_size, next;

        if (p->old && is_in_place(p, i))
                return 0;
        if (find_obstacle(p, i, l->areas[i].offset, l->areas[i].size) == 0)
                return 0;
        for (uint64_t at = begin; at + l->areas[i].size <= end; at = (next + AREA_ALIGN - 1) / AREA_ALIGN * AREA_ALIGN) {
                next = find_obstacle(p, i, at, l->areas[i].size);
                if (next == 0) {
                        p->offsets[i] = at;
                        return 0;
                }
        }
        return -ENOSPC;
}

static int set_offset(struct json_object *metadata, size_t i, uint64_t offset) {
        struct json_object *o, *text;
        char number[24];

        snprintf(number, sizeof(number), "%zu", i);
        if (!json_object_object_get_ex(metadata, "keyslots", &o) || !json_object_object_get_ex(o, number, &o) ||
            !json_object_object_get_ex(o, "area", &o))
                return -EBADMSG;
        snprintf(number, sizeof(number), "%llu", (unsigned long long) offset);
        text = json_object_new_string(number);
        return text && json_object_object_add(o, "offset", text) == 0 ? 0 : -ENOMEM;
}

/* The bytes of a copy that is good; in the memfd there are zeros where one was not. */
static int read_copy(const struct header *h, uint8_t *copy) {
        for (int second = 0; second < 2; second++) {
                ssize_t n = pread(h->fd, copy, h->copy.header_size, second ? (off_t) h->copy.header_size : 0);

                if (n != (ssize_t) h->copy.header_size)
                        return n < 0 ? -errno : -EIO;
                if (*copy)
                        return 0;
        }
        return -EBADMSG;
}

/* Both copies are made from that one, but for what tells them apart. */
static int write_copy(int image, uint8_t *copy, const struct header *h, uint64_t seqid, const char *text, bool second) {
        struct luks2_binary *b = (struct luks2_binary *) copy;
        uint64_t size = h->copy.header_size;
        uint8_t digest[EVP_MAX_MD_SIZE];
        unsigned n;

        memcpy(b->magic, second ? "SKUL" : "LUKS", 4);
        b->seqid = htobe64(MAX_OF(seqid, h->copy.seqid));
        b->header_offset = htobe64(second ? size : 0);
        memset(b->checksum, 0, sizeof(b->checksum));
        memset(copy + HEADER_BINARY_SIZE, 0, size - HEADER_BINARY_SIZE);
        memcpy(copy + HEADER_BINARY_SIZE, text, strlen(text));
        if (!EVP_Digest(copy, size, digest, &n, EVP_sha256(), NULL))
                return -EIO;
        memcpy(b->checksum, digest, n);
        return pwrite_all(image, copy, size, second ? size : 0);
}

static int write_copies(int image, const struct header *h, struct json_object *metadata, uint64_t seqid) {
        const char *text = json_object_to_json_string_ext(metadata, JSON_C_TO_STRING_PLAIN|JSON_C_TO_STRING_NOSLASHESCAPE);
        _cleanup_(freep) uint8_t *copy = malloc(h->copy.header_size);
        int r;

        if (!copy || !text)
                return -ENOMEM;
        if (strlen(text) >= h->copy.header_size - HEADER_BINARY_SIZE)
                return -ENOSPC;
        r = read_copy(h, copy);
        if (r >= 0)
                r = write_copy(image, copy, h, seqid, text, false);
        return r < 0 ? r : write_copy(image, copy, h, seqid, text, true);
}

static int write_areas(int image, const struct plan *p) {
        const struct header_layout *l = &p->h->layout;
        size_t size = (size_t) (2 * p->h->copy.header_size + l->keyslots_size);
        const uint8_t *from = mmap(NULL, size, PROT_READ, MAP_SHARED, p->h->fd, 0);
        int r = 0;

        if (from == MAP_FAILED)
                return -errno;
        for (size_t i = 0; r >= 0 && i < HEADER_KEYSLOTS_MAX; i++)
                if (l->areas[i].used)
                        r = pwrite_all(image, from + l->areas[i].offset, l->areas[i].size, p->offsets[i]);
        munmap((void *) from, size);
        return r;
}

static int make_image(const struct plan *p, struct json_object *metadata, uint64_t seqid) {
        size_t size = (size_t) (2 * p->h->copy.header_size + p->h->layout.keyslots_size);
        _cleanup_(closep) int image = memfd_create("cmkd-header", MFD_CLOEXEC);
        int r;

        if (image < 0 || ftruncate(image, (off_t) size) < 0)
                return -errno;
        r = write_areas(image, p);
        if (r >= 0)
                r = write_copies(image, p->h, metadata, seqid);
        return r < 0 ? r : TAKE_FD(image);
}

static void plan_in_place(struct plan *p) {
        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++)
                p->offsets[i] = p->h->layout.areas[i].offset;
}

int header_successor(const struct header *h, const struct header *old, uint64_t seqid) {
        _cleanup_(json_object_putp) struct json_object *metadata = NULL;
        struct plan p = { .h = h, .old = old };
        int r = 0;

        if (json_object_deep_copy(h->metadata, &metadata, NULL) < 0)
                return -ENOMEM;
        plan_in_place(&p);
        for (size_t i = 0; r >= 0 && i < HEADER_KEYSLOTS_MAX; i++)
                if (h->layout.areas[i].used) {
                        r = place(&p, i);
                        if (r >= 0 && p.offsets[i] != h->layout.areas[i].offset)
                                r = set_offset(metadata, i, p.offsets[i]);
                }
        return r < 0 ? r : make_image(&p, metadata, seqid);
}

int header_reworded(const struct header *h, struct json_object *metadata) {
        struct plan p = { .h = h };

        plan_in_place(&p);
        return make_image(&p, metadata, h->copy.seqid + 1);
}

int header_settled(const struct header *h) {
        return header_reworded(h, h->settled);
}
