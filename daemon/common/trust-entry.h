/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One entry of a node's list of volumes (manager/trust.h), as the manager writes and reads it, signed lists have it and doctor finds it on
 * the node and in an image. Pure: texts only.
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
 *   OldKey=BYTES            while its volume key changes: how much the old one encrypts yet
 *   NextDigest=             the next one's: a header with it was made, and is the disk's or not
 *   Image=UUID              it was copied with an image, whose volume had that one (personalize.c): a header of it is not opened any more
 *   ImageDigest=...         what Digest= is while it has the image's volume key
 *   Key2=, Generation2=, PublicKey2=, ProofTime2=, ProofRequestId2=     of a second key of the volume; up to VOLUME_KEYS_MAX */

#include "disk-proto.h"
#include "key-uri.h"
#include "policy-values.h"

#define TRUST_FILE_MAX 16384u

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

/* Parses and prints one entry. uuid: what the file's name says. Parsing returns 0, -EINVAL (*ret_why, may be
 * NULL, is a sentence that the caller frees) or -ENOMEM. Printing returns 0 with an allocated text, -EINVAL (the entry
 * is not valid) or -ENOMEM. */
int trust_parse(const char *uuid, const char *text, size_t size, struct trust_entry *ret, char **ret_why);
int trust_print(const struct trust_entry *e, char **ret);

/* Whether trust_print() has something to print. */
bool trust_entry_is_valid(const struct trust_entry *e);

/* One setting of an entry, for those who write them otherwise. seen: a bit a setting, 0 at first. Both return 0 or -EINVAL
 * with *ret_why, a sentence that the caller frees (if it is not NULL already). */
int trust_read_setting(struct trust_entry *e, uint64_t *seen, const char *key, const char *value, char **ret_why);
int trust_check_complete(const struct trust_entry *e, uint64_t seen, char **ret_why);

/* The entry's key of that name, whatever the version; NULL: none. */
const struct trust_key *trust_find_key(const struct trust_entry *e, const struct key_uri *key);

/* How far a volume that was copied with an image is from it. */
enum trust_origin {
        ORIGIN_OWN,                                /* it is not from one */
        ORIGIN_IMAGE,                              /* its header is its own, its volume key is the image's */
        ORIGIN_CHANGING,                           /* what is on it is being encrypted by a key of its own */
        ORIGIN_CHANGED,
};
enum trust_origin trust_origin(const struct trust_entry *e);
