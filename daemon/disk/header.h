/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A LUKS2 header, read once into memory, checked there, and used from there ("what was checked is what is used").
 *
 *   device ── bounded reads ─► memfd, sealed ─► header-check ─► libcryptsetup, as a detached header (/proc/self/fd/N)
 *                                      └─► header_digest
 *
 * Only what the header says it needs is copied: the copies of the metadata and the areas of the keyslots that exist;
 * the rest of the memfd reads as zeros. Nothing changes the bytes once header_read() returned. */

#include "encryption.h"

struct header {
        int fd;                           /* the sealed memfd */
        struct header_copy copy;          /* the one that counts */
        struct header_layout layout;
        struct json_object *metadata;     /* as it is on the disk */
        struct json_object *settled;      /* the same, or what it will be when the encryption that is under way has ended */
        struct header_encryption encryption;
        bool damaged;                     /* the other copy is missing, unreadable or older */
        uint64_t device_size;
        uint8_t digest[DISK_DIGEST_SIZE]; /* SHA-256 over the copy that counts, and the keyslots */
};

/* Reads from fd, which the caller knows to be of device_size bytes. Of two good copies that differ the one with the
 * higher sequence number counts, as in libcryptsetup. Returns 0, the errors of header_metadata_check(), -ENODATA (no
 * LUKS2 header at its start), -EBADMSG (no copy is good, or both are, with the same sequence number and different
 * metadata), or
 * -errno of read or memfd_create(2). why is filled on failure. */
int header_read(int fd, uint64_t device_size, struct header **ret, struct header_why *why);

/* The same for one that need not be ours: header_metadata_check_plain(). -EPERM also for one that is being encrypted, by whomever. */
int header_read_plain(int fd, uint64_t device_size, struct header **ret, struct header_why *why);

/* The newer of the copies there are, whatever their metadata say. ret_metadata: NULL: not wanted; the caller owns it. Returns 0, -ENOMEM,
 * and -ENODATA where none is whole. */
int header_peek(int fd, uint64_t device_size, struct header_copy *ret, struct json_object **ret_metadata);

/* Whether header_read() would come to the very same now: the bytes that were copied are those on the device. False also where
 * that cannot be said, or one of the two copies was left out. */
bool header_is_same(const struct header *h, int fd, uint64_t device_size);

/* The same bytes at that place of two files. Returns 1, 0 (they differ) or -errno. */
int header_compare_bytes(int a, int b, uint64_t offset, uint64_t size);

/* "/proc/self/fd/N" for libcryptsetup; valid as long as the header is. */
#define HEADER_PATH_MAX 32u
void header_path(const struct header *h, char ret[static HEADER_PATH_MAX]);

/* Fills what a reply says about a header: uuid, token, digest, DISK_FLAG_TOKEN. */
void header_describe(const struct header *h, struct disk_reply *y);

/* The exit code for an error of header_read(): EXIT_CODE_POLICY for what is well-formed and not allowed. */
enum exit_code header_exit_code(int error);

struct header *header_free(struct header *h);
static inline void header_freep(struct header **h) { header_free(*h); }
