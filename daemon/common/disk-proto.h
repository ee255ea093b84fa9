/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Manager <-> cmkd-disk and cmkd-ladder, the disposable children that touch disks: one request, one reply, exit.
 *
 * fd 3: a SEQPACKET socket for both frames; a descriptor may travel with either (the mount root of a teardown).
 * fd 4: for CHECK, ACTIVATE, UNLOCK_KEY and RESUME, a pipe that yields the DISK_W_SIZE bytes of secret W.
 *
 * With DISK_FLAG_STAY a child that succeeded serves one request more, and cmkd-ladder as many as are asked that way: the start of
 * a program is a good part of what an attach takes, and of a teardown.
 *
 * cmkd-disk has the operations on headers and with keys: the unlock key and the volume key exist in it only, and the
 * unlock key in what UNLOCK_KEY writes to. cmkd-ladder has those on mappings alone: QUERY, USES, DEACTIVATE, HOLD, NOTICE,
 * AWAIT and the ladder. */

#include "policy-values.h"
#include "verdict.h"
#include "wire.h"

#define DISK_W_SIZE 64u
#define DISK_DIGEST_SIZE 32u
#define DISK_WRAPPED_MAX 512u
#define DISK_SPKI_MAX 1024u
#define DISK_SALT_SIZE 32u
#define VOLUME_KEYS_MAX 4u              /* keys that one volume may have */
#define DISK_WRAPS_MAX (VOLUME_KEYS_MAX + 1)    /* and a new version of one of them, while it is rotated */
#define DISK_CORES_LIST_MAX 65536u

enum disk_message { DISK_MSG_REQUEST = 0x0201, DISK_MSG_REPLY = 0x0202 };

enum disk_op {
        DISK_OP_INSPECT = 1,     /* device -> validated header: uuid, token, header_digest. No secret */
        DISK_OP_FORMAT,          /* device, name, role, key, spki, proof_* -> uuid, wrapped, trust_digest, header_digest. With a
                                  * symmetric key, or STORED: uuid, wrapped and W too */
        DISK_OP_CHECK,           /* device, uuid, W -> the keyslot opens, the manifest holds; trust_digest */
        DISK_OP_ERASE,           /* device, uuid: undo of a FORMAT that could not be proven; nothing else is erased */
        DISK_OP_ACTIVATE,        /* device, name, uuid, header_digest, trust_digest (if listed), W -> dev, sectors */
        DISK_OP_DEACTIVATE,      /* name, uuid: orderly; -EBUSY with the holders in message */
        DISK_OP_QUERY,           /* name, uuid -> is there a mapping: flags, dev, sectors, mounts */
        /* The ladder, in its order; name, uuid, dev and sectors from ACTIVATE or QUERY */
        DISK_OP_STEP_OPEN,       /* dev -> descriptor of mount roots, ladder/roots.h (or none: not mounted) */
        DISK_OP_STEP_SHUT,       /* descriptor: shut the file system down */
        DISK_OP_STEP_CUT,        /* name, sectors: error table, verified */
        DISK_OP_STEP_THAW,       /* descriptor */
        DISK_OP_STEP_FLUSH,      /* dev: BLKFLSBUF on the mapping */
        DISK_OP_STEP_KILL,       /* dev: SIGKILL holders, rescan, three times; count and names */
        DISK_OP_STEP_UNMOUNT,    /* dev: in every namespace, swapoff */
        DISK_OP_STEP_REMOVE,     /* name, uuid */
        DISK_OP_STEP_VERIFY,     /* name, uuid: no mapping, no key in a keyring */
        DISK_OP_HOLD,            /* name: suspend, wipe the volume key */
        DISK_OP_RESUME,          /* device, name, uuid, W: volume key back, resume */
        DISK_OP_NOTICE,          /* dev: SIGTERM to holders (orderly stop before a cut) */
        DISK_OP_UNLOCK_KEY,      /* as ACTIVATE, but W opens the keyslot in memory only, and the unlock key is written to the
                                  * descriptor that comes with the request: for somebody else who makes the mapping */
        DISK_OP_RECOGNIZE,       /* device, mapping, uuid: a mapping that somebody else made, or that stood before: QUERY, the
                                  * header, and DISK_FLAG_TABLE_OK where its live table is what the header asks for */
        /* device, name, uuid, header_digest, trust_digest -> header, count (of what changed) */
        DISK_OP_RECOVERY_ADD,    /* W, descriptor: a pipe to write the new key's text into; or key, algorithm, spki: it is wrapped by that,
                                  * into a token, and nobody is shown it */
        DISK_OP_RECOVERY_REMOVE, /* W */
        DISK_OP_RECOVERY_TEST,   /* descriptor: a pipe to read the text from. No W */
        DISK_OP_NO_CORES,        /* descriptor: a file with the dm uuids of volumes, a line each, at most DISK_CORES_LIST_MAX
                                  * bytes: their holders may not dump core any more; what NOTICE does without a signal */
        DISK_OP_USES,            /* name, uuid -> descriptor: who and what is on it, common/uses.h. Changes nothing */
        DISK_OP_AWAIT,           /* name, uuid: replies when no holder is left but protected ones; the deadline is the caller's */
        /* As RECOVERY_ADD and _REMOVE, of one more key that opens the volume: key, and for ADD algorithm, spki, proof_* */
        DISK_OP_WRAP_ADD,        /* W; with a symmetric key, or STORED: wrapped, and the pipe of the new W as descriptor */
        DISK_OP_WRAP_REMOVE,     /* W */
        DISK_OP_SCRATCH,         /* device, name, uuid (new), WIPE -> dev, sectors: a mapping with a volume key that is random and kept
                                  * nowhere; what the device held goes */
        DISK_OP_RECOVERY_ROTATE, /* as RECOVERY_ADD; descriptor: a socket, that the new key's text is written into, and RECOVERY_SHOWN is
                                  * read from, before the old key goes */
        DISK_OP_HEADER_BACKUP,   /* device, name, uuid, header_digest; descriptor: an empty file -> count (of bytes). No W */
        /* A new version of a key that opens it: as WRAP_ADD, generation; the one before is there until it is dropped */
        DISK_OP_WRAP_ROTATE,
        DISK_OP_WRAP_DROP,       /* W; key: exactly that version. Its keyslot is overwritten first */
        /* device, WIPE; descriptor: a file with a header for it -> what that header says, as INSPECT of a device */
        DISK_OP_HEADER_CANDIDATE,
        /* The same, name, uuid, header_digest (of the file's), trust_digest, W: it takes the place of the one there is -> header,
         * count. The device is closed */
        DISK_OP_HEADER_RESTORE,
        /* A LUKS volume that somebody else made: device, CONVERT -> uuid; MAPPED: it is open. Changes nothing */
        DISK_OP_TAKE_OVER_LOOK,
        /* As FORMAT of such a volume, uuid; descriptor: a file with a passphrase of it -> header, trust_digest, count; message: where what
         * was converted is kept. Its data and keyslots stay */
        DISK_OP_TAKE_OVER,
        DISK_OP_KEYSLOTS_REMOVE, /* as WRAP_REMOVE, of every keyslot but those of our tokens and the recovery key -> count */
        /* A device with a file system that stays: ENCRYPT_STAGE and BEGIN are what FORMAT is to an empty one */
        DISK_OP_ENCRYPT_STAGE,   /* as FORMAT; nothing is written but a file with the header to be (ENCRYPT_DIRECTORY) -> as FORMAT */
        DISK_OP_ENCRYPT_BEGIN,   /* device, uuid, W: the file's keyslot opens; the file system makes room, its beginning is moved, the
                                  * header written -> count: 1 where the device may have a header now, also on failure */
        DISK_OP_ENCRYPT_RUN,     /* as ACTIVATE, of a mapping that is there; descriptor: a pipe, of struct disk_progress. SIGTERM: it ends
                                  * after the part that it is at, as done -> plain, header */
        /* Another volume key: the header is made step by step, in a memfd that comes with the first reply and goes with the other requests */
        DISK_OP_REENCRYPT_STAGE, /* as WRAP_REMOVE; descriptor: a pipe, common/keyslot-words.h -> trust_digest to be, descriptor */
        DISK_OP_REENCRYPT_WRAP,  /* the same, by another of its keys; descriptor */
        DISK_OP_REENCRYPT_BEGIN, /* the same; descriptor: it takes the place of the header there is, and says what ENCRYPT_RUN is to do ->
                                  * header, count, trust_digest */
        DISK_OP_HEADER_ACCEPT,   /* device, name, uuid, header_digest, trust_digest, W: whatever was changed in the header, the manifest is made
                                  * anew over it -> header; count: 1 where it did not hold; message: what was changed, and what there is.
                                  * LOOK: says so and changes nothing */
        /* As WRAP_ADD, of the only key there is, other_uuid; the header becomes one of that UUID, which nothing of before opens. DROP: keyslots
         * that are not cmkd's may go -> header, trust_digest to be, descriptor: a memfd with it, for HEADER_CANDIDATE. Nothing is written */
        DISK_OP_PERSONALIZE_STAGE,
        _DISK_OP_MAX,
};

/* Where headers are until they are on their disks: UUID.header, and UUID.begun from when a disk cannot do without; root only. */
#define ENCRYPT_DIRECTORY "/var/lib/cmkd/encrypt"

struct disk_progress {
        uint64_t size, done;              /* bytes */
};

#define RECOVERY_SHOWN 'k'

enum disk_flags {
        DISK_FLAG_MAPPED = 1 << 0,        /* QUERY: there is a mapping of that name */
        DISK_FLAG_OURS = 1 << 1,          /* its dm uuid is the one of this volume */
        DISK_FLAG_SUSPENDED = 1 << 2,
        DISK_FLAG_ERROR_TABLE = 1 << 3,   /* it has been cut */
        DISK_FLAG_MOUNTED = 1 << 4,
        DISK_FLAG_SWAP = 1 << 5,
        DISK_FLAG_SYSTEM = 1 << 6,        /* carries what a hold is not possible for: trail, state, swap, / /usr /var */
        DISK_FLAG_TOKEN = 1 << 7,         /* INSPECT: there is a cmkd token */
        DISK_FLAG_UNTRUSTED_OK = 1 << 8,  /* ACTIVATE: Trust=allowed-keys, do not compare trust_digest */
        DISK_FLAG_READ_ONLY = 1 << 9,
        DISK_FLAG_WIPE = 1 << 10,         /* FORMAT, SCRATCH, HEADER_RESTORE: what is on the disk may be overwritten (asked and answered) */
        DISK_FLAG_TABLE_OK = 1 << 11,     /* RECOGNIZE: one crypt target, as the header has it; message: why not */
        DISK_FLAG_NO_TABLE = 1 << 12,     /* RECOGNIZE: the mapping is being made, it has no live table yet */
        DISK_FLAG_ENCRYPTING = 1 << 13,   /* the header says that an encryption in place is under way */
        DISK_FLAG_HALF_WAY = 1 << 14,     /* RECOGNIZE, of role os: a part waits for whoever encrypted it, and he is gone */
        DISK_FLAG_RECOVERY_KEY = 1 << 16, /* there is one */
        DISK_FLAG_FOREIGN = 1 << 17,      /* ACTIVATE, CHECK: keyslots, tokens or flags that are not enrolled; message names them */
        DISK_FLAG_FOREIGN_OK = 1 << 18,   /* ACTIVATE: OnForeignKeyslot=report, open it all the same */
        DISK_FLAG_DEEP = 1 << 20,         /* USES: look at all descriptors of all threads; takes longer */
        DISK_FLAG_STORED = 1 << 21,       /* FORMAT, WRAP_ADD, WRAP_ROTATE: the wrapped key is in the vault, wrapped is its digest */
        DISK_FLAG_CONVERT = 1 << 22,      /* TAKE_OVER, _LOOK: LUKS1 becomes LUKS2 */
        DISK_FLAG_REKEYING = 1 << 23,     /* with ENCRYPTING, and with plain_max: from one volume key to another, nothing is plain */
        DISK_FLAG_LOOK = 1 << 24,         /* HEADER_ACCEPT; KEYSLOTS_REMOVE: none is, what none of them uses is overwritten */
        DISK_FLAG_DROP = 1 << 25,         /* PERSONALIZE_STAGE */
        DISK_FLAG_STAY = 1 << 19,         /* any request: then wait for one more; of one that needs W the descriptor is its pipe */
};

struct disk_request {
        uint8_t op;
        uint32_t flags;
        uint8_t role;                     /* enum role */
        uint64_t generation;              /* of the token to be; 0 is 1 */
        char device[257];                 /* a path below /dev */
        char name[65];                    /* of the volume */
        char mapping[129];                /* name in the mapping's dm uuid; empty: the volume's */
        char uuid[37];
        char key[513];                    /* identifier with version: what is about to be enrolled, or taken out */
        char opener[513];                 /* the key that W was wrapped with; empty: the volume has no other */
        char algorithm[33];
        char proof_request_id[129];       /* the vault's id of the proof at enrolment */
        uint64_t proof_time;              /* seconds since 1970 */
        uint32_t dev_major, dev_minor;    /* of the mapping */
        uint64_t sectors;
        uint8_t spki[DISK_SPKI_MAX];      /* pinned public key, DER; of a symmetric key its canary (algorithm.h) */
        size_t spki_size;
        uint8_t wrapped[DISK_WRAPPED_MAX]; /* FORMAT, WRAP_ADD with a symmetric key: W as its vault wrapped it; STORED: SHA-256 of that */
        size_t wrapped_size;
        uint8_t header_digest[DISK_DIGEST_SIZE];
        uint8_t trust_digest[DISK_DIGEST_SIZE];
        uint64_t plain_max;               /* ACTIVATE, RECOGNIZE, ENCRYPT_RUN: bytes that may be plain yet; 0: it is not being encrypted */
        char other_uuid[37];              /* PERSONALIZE_STAGE: that it is to have; HEADER_CANDIDATE, HEADER_RESTORE: that the device's header may
                                           * have, of the same volume key; empty: the file's own */
};

/* One key of a volume, as its token has it. */
struct disk_wrap {
        uint8_t token;                    /* number of the token */
        uint64_t generation;
        char key[513];
        char algorithm[33];
        uint64_t proof_time;
        char proof_request_id[129];
        uint8_t spki[DISK_SPKI_MAX];
        size_t spki_size;
        bool stored;                      /* in the vault (stored-key.h): wrapped is its digest */
        uint8_t wrapped[DISK_WRAPPED_MAX];
        size_t wrapped_size;
};

/* Not on the wire: what the manager says in the place of a child. */
enum disk_silence {
        DISK_ANSWERED,                    /* it spoke for itself */
        DISK_SILENT,                      /* it was killed, or made no sense: it may have begun, and not have ended yet */
        DISK_DIED,                        /* it ended without an answer: what it did is done */
        DISK_NOT_STARTED,                 /* there was none: nobody was asked, and nothing happened */
};

struct disk_reply {
        int32_t error;                    /* negative errno, 0: done */
        enum disk_silence silence;        /* of a reply that came from a child: DISK_ANSWERED, whatever it sent */
        uint8_t exit_code;                /* enum exit_code that says it best */
        char message[1025];               /* for people: what is wrong and what to do; no control characters */
        uint32_t flags;
        uint8_t role;
        char name[65];                    /* as the token says: not to be believed before ACTIVATE */
        char uuid[37];
        struct disk_wrap wraps[DISK_WRAPS_MAX];     /* in the order of their tokens; nor is this */
        uint8_t n_wraps;
        uint32_t dev_major, dev_minor;    /* INSPECT: of the device; ACTIVATE, QUERY: of the mapping */
        uint64_t sectors;
        uint32_t count;                   /* KILL, NOTICE: processes; UNMOUNT: mounts */
        uint64_t plain;                   /* with ENCRYPTING: bytes that are not encrypted yet; REKEYING: by the new key */
        uint8_t header_digest[DISK_DIGEST_SIZE];
        uint8_t trust_digest[DISK_DIGEST_SIZE];
        char activation[97];              /* ACTIVATE, RECOGNIZE, RESUME: the persistent flags that the mapping has ("allow-discards");
                                           * INSPECT: that the header asks for, not to be believed */
};

/* Encoding: 0, -EMSGSIZE or -EINVAL. Decoding: 0 or -EBADMSG; names and UUIDs that are not empty are valid ones. */
int disk_request_encode(const struct disk_request *q, struct wire_frame *ret);
int disk_request_decode(struct wire_cursor *c, struct disk_request *ret);
int disk_reply_encode(const struct disk_reply *y, struct wire_frame *ret);
int disk_reply_decode(struct wire_cursor *c, struct disk_reply *ret);

const char *disk_op_to_string(enum disk_op op);

/* A failure that says nothing of the disk's header or its mapping: whoever asks again may hear something else. */
static inline bool disk_reply_is_passing(const struct disk_reply *y) {
        return y->error < 0 && (y->silence != DISK_ANSWERED || y->error == -EIO || y->error == -ETIMEDOUT || y->error == -ENOMEM);
}
