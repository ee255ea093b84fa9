/* SPDX-License-Identifier: Apache-2.0 */
#include "header.h"
#include "activation.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK (64u * 1024u)

struct raw_copy {
        uint8_t *data;                    /* NULL: not good */
        uint64_t offset;
        struct header_copy copy;
        struct json_object *metadata;
};

static void raw_copy_done(struct raw_copy *c) {
        free(c->data);
        json_object_put(c->metadata);
}

static void md_freep(EVP_MD_CTX **p) { EVP_MD_CTX_free(*p); }

static int pread_exact(int fd, void *buf, size_t size, uint64_t offset) {
        uint8_t *p = buf;

        while (size > 0) {
                ssize_t n = pread(fd, p, size, (off_t) offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -ENODATA;
                p += n;
                offset += (uint64_t) n;
                size -= (size_t) n;
        }
        return 0;
}

static int read_copy(int fd, uint64_t device_size, uint64_t offset, struct raw_copy *ret, struct header_why *why) {
        _cleanup_(freep) uint8_t *data = NULL;
        uint8_t binary[HEADER_BINARY_SIZE];
        struct raw_copy c = { .offset = offset };
        uint64_t size;
        int r;

        snprintf(why->text, sizeof(why->text), "there is no LUKS2 header");
        if (device_size < offset + sizeof(binary))
                return -ENODATA;
        r = pread_exact(fd, binary, sizeof(binary), offset);
        if (r < 0)
                return r;
        r = header_copy_size(binary, offset != 0, &size);
        if (r < 0)
                return r;
        if (device_size < offset + size)
                return -EBADMSG;
        data = malloc(size);
        if (!data)
                return -ENOMEM;
        r = pread_exact(fd, data, size, offset);
        if (r < 0)
                return r;
        r = header_copy_check(data, size, offset, &c.copy, why);
        if (r < 0)
                return r;
        r = header_json_parse(data, size, &c.metadata, why);
        if (r < 0)
                return r;
        c.data = TAKE_PTR(data);
        *ret = c;
        return 0;
}

/* Where the first copy is damaged, its size cannot be believed: the second may stand at any that a header can have. */
static int find_second(int fd, uint64_t device_size, const struct raw_copy *first, struct raw_copy *ret) {
        struct header_why unused;
        int r = -ENODATA;

        if (first->data)
                return read_copy(fd, device_size, first->copy.header_size, ret, &unused);
        for (uint64_t at = HEADER_SIZE_MIN; at <= HEADER_SIZE_MAX; at *= 2) {
                r = read_copy(fd, device_size, at, ret, &unused);
                if (r == 0 || r == -ENOMEM)
                        return r;
        }
        return r;
}

/* Returns the copy that counts, or NULL: both claim to be the current one and differ. */
static struct raw_copy *choose(struct raw_copy *a, struct raw_copy *b, bool *ret_damaged) {
        *ret_damaged = true;
        if (!a->data || !b->data)
                return a->data ? a : b;
        if (a->copy.seqid != b->copy.seqid)
                return a->copy.seqid > b->copy.seqid ? a : b;
        if (!streq(a->copy.uuid, b->copy.uuid) || !json_object_equal(a->metadata, b->metadata))
                return NULL;
        *ret_damaged = false;
        return a;
}

/* Each piece is digested with its place before it. */
static int digest_place(EVP_MD_CTX *md, uint64_t offset) {
        return EVP_DigestUpdate(md, &offset, sizeof(offset)) ? 0 : -EIO;
}

/* Without what tells one copy from the other: a header is the same when the copy that was left behind by a crash is put in order. */
static int digest_copy(EVP_MD_CTX *md, const struct raw_copy *c) {
        struct luks2_binary b;

        memcpy(&b, c->data, sizeof(b));
        memset(b.magic, 0, sizeof(b.magic));
        memset(b.salt, 0, sizeof(b.salt));
        memset(b.checksum, 0, sizeof(b.checksum));
        b.header_offset = 0;
        return EVP_DigestUpdate(md, &b, sizeof(b)) &&
               EVP_DigestUpdate(md, c->data + sizeof(b), c->copy.header_size - sizeof(b)) ? 0 : -EIO;
}

static int copy_keyslots(int from, const struct header *h, EVP_MD_CTX *md) {
        _cleanup_(freep) uint8_t *buffer = malloc(CHUNK);
        int r;

        if (!buffer)
                return -ENOMEM;
        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++) {
                uint64_t offset = h->layout.areas[i].offset, end = offset + h->layout.areas[i].size;

                if (!h->layout.areas[i].used)
                        continue;
                r = digest_place(md, offset);
                for (size_t n; r >= 0 && offset < end; offset += n) {
                        n = (size_t) MIN_OF(end - offset, (uint64_t) CHUNK);
                        r = pread_exact(from, buffer, n, offset);
                        if (r >= 0)
                                r = EVP_DigestUpdate(md, buffer, n) ? pwrite_all(h->fd, buffer, n, offset) : -EIO;
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A copy that was not good is left out, so that libcryptsetup cannot come to another choice than ours. */
static int fill_memfd(int from, const struct raw_copy *a, const struct raw_copy *b, const struct raw_copy *chosen, struct header *h) {
        _cleanup_(md_freep) EVP_MD_CTX *md = EVP_MD_CTX_new();
        const struct raw_copy *copies[] = { a, b };
        int r;

        if (!md || !EVP_DigestInit_ex(md, EVP_sha256(), NULL))
                return -ENOMEM;
        h->fd = memfd_create("cmkd-header", MFD_CLOEXEC|MFD_ALLOW_SEALING);
        if (h->fd < 0)
                return -errno;
        if (ftruncate(h->fd, (off_t) (2 * h->copy.header_size + h->layout.keyslots_size)) < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(copies); i++) {
                if (!copies[i]->data || copies[i]->copy.seqid != h->copy.seqid)
                        continue;
                r = pwrite_all(h->fd, copies[i]->data, copies[i]->copy.header_size, copies[i]->offset);
                if (r < 0)
                        return r;
        }
        r = digest_copy(md, chosen);
        if (r < 0)
                return r;
        r = copy_keyslots(from, h, md);
        if (r < 0)
                return r;
        if (!EVP_DigestFinal_ex(md, h->digest, NULL))
                return -EIO;
        if (fcntl(h->fd, F_ADD_SEALS, F_SEAL_WRITE|F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_SEAL) < 0)
                return -errno;
        return 0;
}

static int read_header(int fd, uint64_t device_size, bool plain, struct header **ret, struct header_why *why) {
        _cleanup_(raw_copy_done) struct raw_copy a = {}, b = {};
        _cleanup_(header_freep) struct header *h = NULL;
        struct raw_copy *chosen;
        int r, r2;

        r = read_copy(fd, device_size, 0, &a, why);
        if (r < 0 && r != -ENODATA && r != -EBADMSG)
                return r;
        r2 = find_second(fd, device_size, &a, &b);
        if (r2 == -ENOMEM)
                return r2;
        if (r < 0 && r2 < 0)
                return r;
        if (r == -ENODATA) {
                /* What overwrote the first copy (mkfs, say) is what the device is now. */
                snprintf(why->text, sizeof(why->text), "there is no LUKS2 header at its start, only a second copy "
                         "at byte %llu", (unsigned long long) b.offset);
                return r;
        }
        h = calloc(1, sizeof(*h));
        if (!h)
                return -ENOMEM;
        h->fd = -EBADF;
        chosen = choose(&a, &b, &h->damaged);
        if (!chosen) {
                snprintf(why->text, sizeof(why->text), "its two copies differ and claim to be of the same age");
                return -EBADMSG;
        }
        h->copy = chosen->copy;
        h->device_size = device_size;
        h->metadata = TAKE_PTR(chosen->metadata);
        r = header_settle(h->metadata, device_size, &h->settled, &h->encryption, why);
        if (r >= 0 && plain && h->encryption.under_way) {
                snprintf(why->text, sizeof(why->text), "it is being encrypted, which has to end first");
                r = -EPERM;
        }
        if (r >= 0)
                r = plain ? header_metadata_check_plain(h->settled, &h->copy, device_size, &h->layout, why)
                          : header_metadata_check(h->settled, &h->copy, device_size, &h->layout, why);
        if (r >= 0 && h->encryption.under_way && h->layout.data_offset != h->encryption.shift) {
                snprintf(why->text, sizeof(why->text), "its data would not begin where it is shifted to");
                r = -EPERM;
        }
        if (r < 0)
                return r;
        r = fill_memfd(fd, &a, &b, chosen, h);
        if (r < 0) {
                snprintf(why->text, sizeof(why->text), "it cannot be copied to memory: %s", strerror(-r));
                return r;
        }
        *ret = TAKE_PTR(h);
        return 0;
}

int header_read(int fd, uint64_t device_size, struct header **ret, struct header_why *why) {
        return read_header(fd, device_size, false, ret, why);
}

int header_read_plain(int fd, uint64_t device_size, struct header **ret, struct header_why *why) {
        return read_header(fd, device_size, true, ret, why);
}

int header_peek(int fd, uint64_t device_size, struct header_copy *ret, struct json_object **ret_metadata) {
        _cleanup_(raw_copy_done) struct raw_copy a = {}, b = {};
        struct header_why unused;
        struct raw_copy *newer;
        int r, r2;

        r = read_copy(fd, device_size, 0, &a, &unused);
        r2 = find_second(fd, device_size, &a, &b);
        if (r < 0 && r2 < 0)
                return r == -ENOMEM || r2 == -ENOMEM ? -ENOMEM : -ENODATA;
        newer = !b.data || (a.data && a.copy.seqid >= b.copy.seqid) ? &a : &b;
        *ret = newer->copy;
        if (ret_metadata)
                *ret_metadata = TAKE_PTR(newer->metadata);
        return 0;
}

int header_compare_bytes(int a, int b, uint64_t offset, uint64_t size) {
        _cleanup_(freep) uint8_t *buffer = malloc(2 * (size_t) CHUNK);
        int r;

        if (!buffer)
                return -ENOMEM;
        for (size_t n; size > 0; offset += n, size -= n) {
                n = (size_t) MIN_OF(size, (uint64_t) CHUNK);
                r = pread_exact(a, buffer, n, offset);
                if (r >= 0)
                        r = pread_exact(b, buffer + CHUNK, n, offset);
                if (r < 0)
                        return r;
                if (memcmp(buffer, buffer + CHUNK, n) != 0)
                        return 0;
        }
        return 1;
}

bool header_is_same(const struct header *h, int fd, uint64_t device_size) {
        if (h->damaged || h->device_size != device_size ||
            header_compare_bytes(h->fd, fd, 0, 2 * h->copy.header_size) <= 0)
                return false;
        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++)
                if (h->layout.areas[i].used &&
                    header_compare_bytes(h->fd, fd, h->layout.areas[i].offset, h->layout.areas[i].size) <= 0)
                        return false;
        return true;
}

void header_path(const struct header *h, char ret[static HEADER_PATH_MAX]) {
        snprintf(ret, HEADER_PATH_MAX, "/proc/self/fd/%d", h->fd);
}

static void describe_wrap(const struct header_wrap *w, struct disk_wrap *ret) {
        const struct token *t = &w->token;

        *ret = (struct disk_wrap) {
                .token = (uint8_t) w->token_id, .generation = t->generation, .proof_time = t->proof_time,
                .spki_size = t->spki_size, .stored = t->stored, .wrapped_size = t->wrapped_size,
        };
        strcpy(ret->key, t->key);
        strcpy(ret->algorithm, t->algorithm);
        strcpy(ret->proof_request_id, t->proof_request_id);
        memcpy(ret->spki, t->spki, t->spki_size);
        memcpy(ret->wrapped, t->wrapped, t->wrapped_size);
}

void header_describe(const struct header *h, struct disk_reply *y) {
        const struct header_layout *l = &h->layout;

        y->flags |= DISK_FLAG_TOKEN;
        y->role = (uint8_t) l->wraps[0].token.role;
        strcpy(y->name, l->wraps[0].token.name);
        strcpy(y->uuid, h->copy.uuid);
        for (unsigned i = 0; i < l->n_wraps; i++)
                describe_wrap(l->wraps + i, y->wraps + i);
        y->n_wraps = (uint8_t) l->n_wraps;
        memcpy(y->header_digest, h->digest, sizeof(h->digest));
        y->plain = h->encryption.plain;
        activation_to_text(l->activation | l->integrity, y->activation);
        y->flags &= ~(uint32_t) (DISK_FLAG_ENCRYPTING|DISK_FLAG_REKEYING);
        y->flags |= (h->encryption.under_way ? DISK_FLAG_ENCRYPTING : 0) | (h->encryption.rekeys ? DISK_FLAG_REKEYING : 0);
        if (h->layout.recovery_keyslot >= 0)
                y->flags |= DISK_FLAG_RECOVERY_KEY;
}

enum exit_code header_exit_code(int error) {
        switch (error) {
        case -EPERM:
                return EXIT_CODE_POLICY;
        default:
                return EXIT_CODE_FAILED;
        }
}

struct header *header_free(struct header *h) {
        if (!h)
                return NULL;
        safe_close(h->fd);
        json_object_put(h->metadata);
        json_object_put(h->settled);
        free(h);
        return NULL;
}
