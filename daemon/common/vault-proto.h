/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Manager <-> cmkd-vault, over /run/cmkd/vault.sock: one request, one reply with the same id; several may be under way
 * on one connection and replies come in any order.
 *
 *   cmkd ── VAULT_REQUEST (+ write end of a pipe, for a release) ──► cmkd-vault ── TLS ──► the vault
 *        ◄── VAULT_REPLY ────────────────────────────────────────────
 *
 * A release (unwrap with deliver) writes the plaintext into the pipe and never into the frame: the manager does not see
 * secret W. A challenge's plaintext is 32 random bytes of no value and comes back in the reply. The worker finds host,
 * port, CA and identity in its own reading of the configuration, by the vault's name, and refuses a key that is not on
 * that vault's list; it answers with what the vault said and believes nothing on the manager's behalf.
 *
 * VAULT_REPLY_LIST goes with the two operations that list keys: VAULT_REPLY with one page of them behind it. They are asked for by
 * cmkctl, not by cmkd. A request's blob then says which page, and a reply's blob which one comes next; both are the vault's words.
 *
 * VAULT_REPLY_TAGS is VAULT_REPLY with tags behind it, and is sent where there are some: to an earlier peer's eyes nothing
 * else has changed. Tags are those of the key's owner that begin with VAULT_TAG_PREFIX; nothing is made of them here.
 * VAULT_REQUEST_BOUND is in the same way VAULT_REQUEST with the volume's UUID behind it, to which a symmetric key binds W, and
 * VAULT_REQUEST_STORED is that with the digest of a wrapped key behind it, which the worker gets from the vault itself
 * (stored-key.h): for a release it is fetched in place of the blob, for a challenge it has to be there beside it. */

#include "key-uri.h"
#include "stored-key.h"
#include "verdict.h"
#include "wire.h"

#define VAULT_SOCKET "/run/cmkd/vault.sock"
#define VAULT_BLOB_MAX 1024u           /* an RSA-4096 block is 512 bytes */
#define VAULT_SPKI_MAX 1024u
#define VAULT_SECRET_SIZE 64u          /* what a release delivers: exactly W. Any other length is BROKEN */
#define VAULT_CHALLENGE_SIZE 32u       /* what an unwrap without deliver may bring back: so that W never can */

/* Codes of a reply that tell of a wrapped secret id (SecretIdWrapped=), with any verdict: somebody else has it, or may have it; and,
 * with GRANTED only, another one than before was unwrapped and is used from now on. */
#define VAULT_CODE_SECRET_ID_TAKEN "secret id taken"
#define VAULT_CODE_SECRET_ID_FOREIGN "secret id not its own"
#define VAULT_CODE_SECRET_ID_REPLACED "secret id replaced"

/* Codes of a reply, UNREACHABLE, that tell what the vault's owner did to the whole of it. */
#define VAULT_CODE_SEALED "sealed"
#define VAULT_CODE_NAMESPACE_LOCKED "namespace locked"

/* Where the vault has no such place as Mount=, AuthMount= or Namespace= say: UNREACHABLE, or DENIED of the cluster that is meant. */
#define VAULT_CODE_NO_MOUNT "no such mount"
#define VAULT_CODE_NO_NAMESPACE "no such namespace"

#define VAULT_TAG_PREFIX "cmkd-"
#define VAULT_TAGS_MAX 16u
#define VAULT_TAG_NAME_MAX 32u
#define VAULT_TAG_VALUE_MAX 32u

enum vault_message {
        VAULT_MSG_REQUEST = 0x0101,
        VAULT_MSG_REPLY = 0x0102,
        VAULT_MSG_REPLY_TAGS = 0x0103,
        VAULT_MSG_REPLY_LIST = 0x0104,
        VAULT_MSG_REQUEST_BOUND = 0x0105,
        VAULT_MSG_REQUEST_STORED = 0x0106,
};

enum vault_op {
        VAULT_OP_GET_KEY = 1,          /* public key, attributes, recovery level, tags */
        VAULT_OP_WRAP,
        VAULT_OP_UNWRAP,
        VAULT_OP_CHECK_DELETED,        /* is the key (stored: its secret, or the key) listed as deleted? GRANTED: it is; anything
                                        * else: cannot tell */
        VAULT_OP_LIST_KEYS,            /* all keys of the vault, whichever of those allowed is named; one page */
        VAULT_OP_LIST_VERSIONS,        /* of the key */
        VAULT_OP_WRAP_NEW,             /* a new W, made by the worker and shown to nobody: its blob. Symmetric keys, a volume. Stored:
                                        * any key, the blob becomes a secret of the vault and its digest comes back */
        VAULT_OP_CHECK_STORED,         /* stored: the secret is there, enabled and as it was enrolled; recovery level and
                                        * VAULT_KEY_PURGE_PROTECTED are the secret's. Nothing is unwrapped */
        VAULT_OP_MAY_STORE,            /* may this node set secrets of that volume? DENIED: no; GRANTED: it is not refused. Nothing is set */
        VAULT_OP_CHECK_EXCESS,         /* may this node do more with the key than read it, wrap and unwrap? GRANTED: yes, and text says what;
                                        * DENIED: nothing was found. What is asked for changes nothing */
        _VAULT_OP_MAX,
};

enum vault_flags {
        VAULT_FLAG_FRESH_CONNECTION = 1 << 0,
        VAULT_FLAG_FRESH_TOKEN = 1 << 1,
        VAULT_FLAG_DELIVER = 1 << 2,   /* unwrap: into the pipe that came along */
};

struct vault_request {
        uint8_t op;                    /* enum vault_op */
        uint8_t flags;
        char vault[65];                /* section [Vault NAME] */
        struct key_uri key;            /* with a version for wrap and unwrap */
        char algorithm[33];            /* algorithm.h */
        char client_request_id[37];    /* a UUID, sent to the vault and recorded */
        uint32_t timeout_ms;           /* of the whole operation */
        uint64_t configured_usec;      /* when the asker read its configuration (CLOCK_BOOTTIME); 0: any will do */
        uint8_t blob[VAULT_BLOB_MAX];  /* what to wrap (never a secret of ours: a challenge) or unwrap */
        size_t blob_size;
        char volume[37];               /* UUID: whose W it is; empty: nobody's, a challenge or a canary */
        bool stored;                   /* the volume's wrapped key is in the vault */
        uint8_t digest[STORED_DIGEST_SIZE];    /* of it; WRAP_NEW: zeros */
};

enum vault_key_flags {
        VAULT_KEY_ENABLED = 1 << 0,
        VAULT_KEY_CAN_WRAP = 1 << 1,   /* key_ops */
        VAULT_KEY_CAN_UNWRAP = 1 << 2,
        VAULT_KEY_PURGE_PROTECTED = 1 << 3,
        VAULT_KEY_HSM = 1 << 4,
        VAULT_KEY_TAGS_LEFT_OUT = 1 << 5,  /* more tags than VAULT_TAGS_MAX, or one that vault_tag_is_valid() refuses */
};

struct vault_tag {
        char name[VAULT_TAG_NAME_MAX + 1];
        char value[VAULT_TAG_VALUE_MAX + 1];
};

struct vault_reply {
        enum verdict verdict;          /* GRANTED: done */
        uint16_t http_status;          /* 0: there was no answer */
        char code[129];                /* the vault's own: "Forbidden/KeyDisabled", "AKV10046", "curl: ..."; GRANTED: none, or of a login */
        char text[513];                /* its message, for people; printable ASCII */
        char request_id[129];          /* the vault's */
        char kid[KEY_URI_MAX];         /* full identifier with version, as the vault gave it */
        uint32_t retry_after_sec;      /* 0: not said */
        uint32_t round_trip_usec;      /* the request that decided, without the token */
        uint32_t token_usec;           /* getting a token, 0 where one was cached */
        /* get key */
        uint8_t key_flags;
        uint16_t key_bits;
        char key_type[17];             /* "RSA", "RSA-HSM", "rsa-2048"; of a symmetric key its algorithm (algorithm.h) */
        uint64_t not_before, expires;  /* seconds since 1970, 0: none. Check deleted: expires is when it will be purged */
        char recovery_level[65];
        uint8_t spki[VAULT_SPKI_MAX];  /* public key, DER SubjectPublicKeyInfo */
        size_t spki_size;
        struct vault_tag tags[VAULT_TAGS_MAX];
        uint8_t n_tags;
        /* wrap, unwrap without deliver: the result; with deliver: its length only */
        uint8_t blob[VAULT_BLOB_MAX];
        size_t blob_size;
        uint32_t delivered;
};

#define VAULT_LIST_MAX 25u              /* a page, as Key Vault has it */

struct vault_list {
        struct {
                char kid[KEY_URI_MAX];     /* with a version where versions are listed */
                uint8_t key_flags;         /* VAULT_KEY_ENABLED, VAULT_KEY_PURGE_PROTECTED */
                uint64_t created, not_before, expires;     /* as in vault_reply */
        } items[VAULT_LIST_MAX];
        uint8_t n;
};

/* The prefix and more of lower case letters, digits and dashes; a value of printable ASCII. */
bool vault_tag_is_valid(const char *name, const char *value) _pure_;

/* Encoding: 0, -EMSGSIZE or -EINVAL. Decoding: 0 or -EBADMSG; every field is checked for length, range and (names,
 * identifiers) characters, so that what comes out may be printed and compared. */
int vault_request_encode(const struct vault_request *q, uint32_t id, struct wire_frame *ret);
int vault_request_decode(struct wire_cursor *c, struct vault_request *ret);
int vault_reply_encode(const struct vault_reply *y, uint32_t id, struct wire_frame *ret);
int vault_reply_decode(struct wire_cursor *c, struct vault_reply *ret);

/* The same for the reply to a listing: VAULT_REPLY_LIST where it was GRANTED, else VAULT_REPLY with an empty list. */
int vault_list_encode(const struct vault_reply *y, const struct vault_list *l, uint32_t id, struct wire_frame *ret);
int vault_list_decode(struct wire_cursor *c, struct vault_reply *ret, struct vault_list *ret_list);

static inline bool vault_op_lists(unsigned op) { return op == VAULT_OP_LIST_KEYS || op == VAULT_OP_LIST_VERSIONS; }
