/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The node's list of volumes it trusts: one small INI file an entry, DIR/UUID.conf, root only. `format` and `enroll`
 * write it; with Trust=listed nothing is opened that is not on it.
 *
 *   [Volume]
 *   Name=data1              unique on the node
 *   Role=data
 *   Key=https://HOST/keys/NAME
 *   Digest=64 hex digits    HMAC-SHA256(volume key, "cmkd trust v1|UUID|NAME|ROLE"): compared after unlock
 *   Generation=1            the newest that was seen; an older one is a rollback
 *   PublicKey=base64        SubjectPublicKeyInfo: what challenges are wrapped with; of a symmetric key its canary
 *   ProofTime=1700000000    when the vault proved at enrolment that the key works
 *   ProofRequestId=...      the vault's id of that proof
 *   Serial=...              of the device, optional
 *   Unencrypted=BYTES       while it is encrypted in place: how much of it may be plain yet (disk/encryption.h). No line: none
 *   Image=UUID              it was copied with an image, whose volume had that one (personalize.c): a header of it is not opened any more
 *   ImageDigest=...         what Digest= is while it has the image's volume key
 *   Key2=, Generation2=, PublicKey2=, ProofTime2=, ProofRequestId2=     of a second key of the volume; up to VOLUME_KEYS_MAX
 *
 * Invariants of a list: UUIDs are unique, names are unique, every entry is complete and valid. A file that is not (also
 * one that others than root may write, or whose name is not its UUID) is left out and named in `bad`. */

#include "common/disk-proto.h"
#include "common/key-uri.h"
#include "common/policy-values.h"

#define TRUST_DIRECTORY "/var/lib/cmkd/trust"
#define TRUST_FILE_MAX 16384u
#define TRUST_ENTRIES_MAX 1024u

struct trust_key {
        struct key_uri key;                        /* version is empty */
        uint64_t generation;
        uint8_t spki[DISK_SPKI_MAX];
        size_t spki_size;
        uint64_t proof_time;                       /* seconds since 1970; 0: not proven */
        char proof_request_id[129];
};

struct trust_entry {
        char uuid[37];
        char name[65];
        enum role role;
        uint8_t digest[DISK_DIGEST_SIZE];
        struct trust_key keys[VOLUME_KEYS_MAX];     /* in the order in which they are asked */
        unsigned n_keys;                           /* from 1 */
        char serial[65];
        char list[65];                             /* the signed list that it is from (trust-signed.h); empty: a file of ours */
        uint64_t unencrypted;                      /* bytes; 0: it is not being encrypted */
        bool rekeying;                             /* those are encrypted by the volume key of before, which is digest's no more */
        bool has_next;                             /* a header with another volume key was made, and is the disk's or not: */
        uint8_t next_digest[DISK_DIGEST_SIZE];
        char image[37];                            /* empty: it was made or enrolled as it is */
        uint8_t image_digest[DISK_DIGEST_SIZE];
        bool pending;                              /* the copy's header is being made: the disk's is this one or the image's (trust-places.h) */
        bool drill;                                /* of a drill (drill.h): opens nothing but the drill's own device */
};

/* On a signed list, and not for this node: why such a disk is refused. */
struct trust_elsewhere {
        char uuid[37];
        char node[65];
};

struct trust_list {
        struct trust_entry *entries;
        size_t n_entries;
        struct trust_elsewhere *elsewhere;
        size_t n_elsewhere;
        char **bad;                                /* "PATH: why", NULL-terminated; NULL: none */
        size_t n_bad;
};

/* Reads a directory; one that is missing is an empty list. Returns 0, -ENOMEM, -E2BIG (more than TRUST_ENTRIES_MAX
 * files), or what opendir(3) says. Bad files do not make it fail. */
int trust_load(const char *dir, struct trust_list **ret);

struct trust_list *trust_free(struct trust_list *l);
static inline void trust_freep(struct trust_list **l) { trust_free(*l); }

/* NULL where there is none. */
const struct trust_entry *trust_find_uuid(const struct trust_list *l, const char *uuid);
const struct trust_entry *trust_find_name(const struct trust_list *l, const char *name);

/* Pure: parses and prints one entry. uuid: what the file's name says. Parsing returns 0, -EINVAL (*ret_why, may be
 * NULL, is a sentence that the caller frees) or -ENOMEM. Printing returns 0 with an allocated text, -EINVAL (the entry
 * is not valid) or -ENOMEM. */
int trust_parse(const char *uuid, const char *text, size_t size, struct trust_entry *ret, char **ret_why);
int trust_print(const struct trust_entry *e, char **ret);

/* The node that a signed list names for a UUID which is not for this one, or NULL. */
const char *trust_find_elsewhere(const struct trust_list *l, const char *uuid);

/* The entry of a volume that was copied with the image whose volume had that UUID, or NULL. */
const struct trust_entry *trust_find_made_from(const struct trust_list *l, const char *image);

/* Pure: how far such a volume is from its image. */
enum trust_origin {
        ORIGIN_OWN,                                /* it is not from one */
        ORIGIN_IMAGE,                              /* its header is its own, its volume key is the image's */
        ORIGIN_CHANGING,                           /* what is on it is being encrypted by a key of its own */
        ORIGIN_CHANGED,
};
enum trust_origin trust_origin(const struct trust_entry *e);

/* The entry's key of that name, whatever the version; NULL: none. */
const struct trust_key *trust_find_key(const struct trust_entry *e, const struct key_uri *key);

/* k: as its token in a header has it, but for its name. */
void trust_key_take(struct trust_key *k, const struct disk_wrap *w);

/* What a header may say of an encryption that is under way (disk_flags of INSPECT): how many bytes may not be done yet, 0: it may not. */
uint64_t trust_left(const struct trust_entry *e, uint32_t header_flags);

/* As the volume that a header is of (the same flags) is trusted: the digest of its volume key, and what it may say of an encryption. */
void trust_fill_request(const struct trust_entry *e, uint32_t header_flags, struct disk_request *q);

/* One setting of an entry, for those who write them otherwise. seen: a bit a setting, 0 at first. Both return 0 or -EINVAL
 * with *ret_why, a sentence that the caller frees (if it is not NULL already). */
int trust_read_setting(struct trust_entry *e, uint64_t *seen, const char *key, const char *value, char **ret_why);
int trust_check_complete(const struct trust_entry *e, uint64_t seen, char **ret_why);

/* Notes what was left out, for `bad`. Returns 0 or -ENOMEM. */
int trust_note_bad(struct trust_list *l, const char *dir, const char *file, const char *why);

/* A file that nobody but root may write: fd. */
bool trust_file_is_ours(int fd);

/* Adds an entry, durably (a missing directory is made). Returns 0, -EINVAL (not valid), -EEXIST (the name is listed
 * already, or the UUID, be it in a bad file), or what writing it says. */
int trust_add(const char *dir, const struct trust_entry *e);

/* Replaces the entry of that UUID, for a new generation, key or digest. Returns 0, -EINVAL, -ENOENT (not listed),
 * -EEXIST (its name is another entry's), -ESTALE (a key's generation would go back), or what writing it says. */
int trust_update(const char *dir, const struct trust_entry *e);

/* The same for a header that was put back because somebody asked for it: a generation may go back too. */
int trust_put_back(const char *dir, const struct trust_entry *e);

/* Returns 0, -EINVAL, -ENOENT, or what unlink(2) and fsync(2) say. */
int trust_remove(const char *dir, const char *uuid);
