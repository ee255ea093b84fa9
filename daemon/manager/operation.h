/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What verbs have in common: who asked, how they end, what they say. An operation is an object of its own that lives
 * from its start to its one callback; it survives the client's going away. */

#include <stdarg.h>

#include "common/key-digest.h"
#include "common/vault-proto.h"
#include "volume.h"

struct manager;

struct outcome {
        enum exit_code code;
        char message[1200];        /* a sentence for people; empty when done */
        bool changed;
        bool adopted;              /* take over: it was open, and what it is mapped as comes under its lease */
        char uuid[37];             /* format: of the volume */
        char key[513];             /* rotate: what it has now, with version */
        char kept[1025];           /* rotate: what its header still has of it besides; take over: a path; header accept: what was changed; empty: nothing */
        struct volume *volume;     /* may be NULL */
};

/* Called exactly once, never from inside the call that started the operation. */
typedef void (*operation_done)(const struct outcome *o, void *user);

#define RELEASE_UNUSED_USEC (60 * USEC_PER_SEC)     /* for the mapping to appear */
#define RELEASE_DIED_USEC USEC_PER_SEC              /* the same where who made it is dead: the kernel has announced what there is */

/* Who asked, for the trail: "uid=0 pid=123 comm=cmkctl", "cmkd (key enabled again)". */
struct requester {
        char text[160];
};

/* requester.c: a process, by what the kernel knows of it. */
void requester_describe(uid_t uid, pid_t pid, struct requester *ret);

void outcome_set(struct outcome *o, enum exit_code code, const char *format, ...) _printf_(3, 4);
void outcome_add(struct outcome *o, const char *format, ...) _printf_(2, 3);      /* to the message, as far as there is room */
void outcome_vset(struct outcome *o, enum exit_code code, const char *format, va_list ap) _printf_(3, 0);

/* Says what a vault's answer means for people: verdict, the vault's code, text and request id, what to do. */
void outcome_from_vault(struct outcome *o, const char *volume, const char *key, const struct vault_reply *y);

/* A failure, also where the child saw none: what it was to do it to was not there. */
void outcome_from_disk(struct outcome *o, const struct disk_reply *y);

enum attach_flags {
        ATTACH_READ_ONLY = 1 << 0,
        ATTACH_AUTOMATIC = 1 << 1,    /* nobody asked but udev: automatic.h; done without a volume: it was left alone */
};

/* attach.c: inspect, check against list and allow-list, unwrap, record, activate. what: a path below /dev, a UUID or a
 * name of the list. Returns 0 (done will be called) or -ENOMEM. */
int attach_start(struct manager *m, const char *what, unsigned flags, const struct requester *who,
                 operation_done done, void *user);

/* The same for a volume that is held: unwrap, record, give the key back, resume. */
int resume_start(struct volume *v, const struct requester *who, operation_done done, void *user);

/* release.c: the same up to the durable record; then the unlock key is written to sink (a pipe, a socket; taken over on
 * success) for whoever makes the mapping. device: a path below /dev, what: the UUID or the name
 * that the disk must have; one of the two may be empty. token: the key of that token only; UINT32_MAX: any. Afterwards the volume is ATTACHING and v->released,
 * until its mapping is seen, or for RELEASE_UNUSED_USEC. */
int release_start(struct manager *m, const char *device, const char *what, uint32_t token, int sink,
                  const struct requester *who, operation_done done, void *user);

/* Nobody will make the mapping: recorded, and the volume, which may be freed by this, is as it was before. Nothing happens
 * when it is not v->released, nor while there may be one that nobody has looked at: that is asked again after RELEASE_UNUSED_USEC. */
void release_unused(struct volume *v, const char *why);

/* The same for a volume in RECOVERY, whose mapping stays as it is: unwrap, record, prove that its keyslot opens and that
 * the mapping is what the header asks for; then it is under its lease. */
int claim_start(struct volume *v, const struct requester *who, operation_done done, void *user);
/* recovery-key.c. The key's text goes from the child into sink, which is taken over (add), or from source into the
 * child (test), or to and fro (rotate: peer, a socket): it is never in this process. what: as for attach; the volume may be open. */
int recovery_key_add(struct manager *m, const char *what, int sink, const struct requester *who, operation_done done,
                     void *user);
int recovery_key_rotate(struct manager *m, const char *what, int peer, const struct requester *who, operation_done done,
                        void *user);
int recovery_key_remove(struct manager *m, const char *what, const struct requester *who, operation_done done,
                        void *user);
int recovery_key_test(struct manager *m, const char *what, int source, const struct requester *who, operation_done done,
                      void *user);

/* recovery-escrow.c: a recovery key that nobody is shown, wrapped by that key. Done: the volume's name is in key. Returns 0 (done will be
 * called), -EPERM (no key, or not an allowed one: ret_refused says so) or -ENOMEM. */
struct escrow_request {
        const char *what, *key;
        const char *accept_unsafe;         /* the reason; empty: not accepted */
        const char *expected;              /* of its public key; empty: any */
};
int recovery_key_escrow(struct manager *m, const struct escrow_request *q, const struct requester *who, operation_done done, void *user,
                        struct outcome *ret_refused);

/* recovery-key.c: the same as recovery_key_remove() of every keyslot but those of the volume's keys and of the recovery key. */
int keyslots_remove(struct manager *m, const char *what, const struct requester *who, operation_done done, void *user);

/* header-accept.c: whatever was changed in the header since it was enrolled is enrolled from now on. Done: kept says what it was and what
 * there is, changed: something was. look: nothing is written, only said. */
int header_accept_start(struct manager *m, const char *what, bool look, const struct requester *who, operation_done done, void *user);

/* header-backup.c: a copy of the header into file, an empty one, which is taken over; no key is used. what: as for attach; the
 * volume may be open. */
int header_backup_start(struct manager *m, const char *what, int file, const struct requester *who, operation_done done,
                        void *user);

/* Where a wrapped key is to be kept: what was not said is the token, or for a rotation where it is. */
enum store {
        STORE_NOT_SAID,
        STORE_TOKEN,
        STORE_VAULT,               /* a secret of the key's vault: common/stored-key.h */
};
/* header-restore.c: the header in file, which is taken over, in the place of the one there is. The volume is closed; what: as above, a
 * path where its header is gone. Done says whether anything changed. */
struct restore_request {
        char what[257];
        bool older;                /* than the node has seen: that is what it has seen then */
        bool wipe;                 /* what is on the device may be anything but another volume */
};
int header_restore_start(struct manager *m, const struct restore_request *q, int file, const struct requester *who, operation_done done,
                         void *user);

/* format.c */
struct format_request {
        char device[257];
        char name[65];
        enum role role;
        char key[513];
        bool wipe;
        enum store store;
        bool take_over;            /* a LUKS volume that somebody else made: its data and keyslots stay */
        bool convert;              /* ... also of LUKS1 */
        int passphrase_fd;         /* ... a file with a passphrase of it, which is taken over; else -EBADF */
        char expected[KEY_DIGEST_SIZE];    /* of its public key; empty: any */
        char accept_unsafe[257];   /* the reason; empty: not accepted */
};
/* take_over: done says in kept where the header of before is, if it was converted. */
int format_start(struct manager *m, const struct format_request *q, const struct requester *who,
                 operation_done done, void *user);

/* encrypt.c: a device with a file system becomes a volume, which is attached; its encryption goes on from there (encrypt-run.h). Of
 * one that it is already: attached, where it is not. */
struct encrypt_request {
        char device[257];
        char name[65];
        enum role role;
        char key[513];
        char expected[KEY_DIGEST_SIZE];    /* of its public key; empty: any */
        char accept_unsafe[257];   /* the reason; empty: not accepted */
};
int encrypt_start(struct manager *m, const struct encrypt_request *q, const struct requester *who, operation_done done,
                  void *user);

/* reencrypt.c: another volume key; what is on it is encrypted anew (encrypt-run.h), which goes on when this has ended. what: as for
 * attach; attached, where it is not. words: a pipe (common/keyslot-words.h), which is taken over. Done says whether it began now: of one
 * that had begun before it goes on. Returns 0 (done will be called) or -ENOMEM (words stays the caller's). */
int reencrypt_start(struct manager *m, const char *what, int words, const struct requester *who, operation_done done, void *user);

/* personalize.c: a volume that was copied with an image gets a UUID, key material and a volume key that no other copy has. Done when that has
 * begun to be encrypted by the last one (encrypt-run.h), or was before: uuid, changed. what: as for attach; of role data, closed where its
 * header is the image's. Returns 0 (done will be called) or -ENOMEM. */
struct personalize_request {
        char what[257];
        char image[37];            /* the UUID that the image's volume has; empty: what it has now, where it was not personalized before */
        bool drop;                 /* keyslots of the image that are not cmkd's may go */
        char accept_unsafe[257];   /* the reason; empty: not accepted */
};
int personalize_start(struct manager *m, const struct personalize_request *q, const struct requester *who, operation_done done, void *user);

/* enroll.c: one more key for a volume, or one less; done says whether anything changed. what: as for attach; the volume may be
 * open. Returns 0 (done will be called) or -ENOMEM. */
struct enroll_request {
        char what[257];
        char key[513];             /* to add; to remove: any version of it */
        bool remove;
        enum store store;
        char expected[KEY_DIGEST_SIZE];    /* of its public key; empty: any */
        char accept_unsafe[257];   /* the reason; empty: not accepted */
};
int enroll_start(struct manager *m, const struct enroll_request *q, const struct requester *who, operation_done done,
                 void *user);

/* rotate.c: a key of the volume by another version of it. Done says whether anything changed, and key and kept. Returns 0 (done will
 * be called) or -ENOMEM. */
struct rotate_request {
        char what[257];
        char key[513];             /* whatever its version; empty: the only one */
        char version[33];          /* empty: the newest */
        enum store store;
        bool finish;               /* of a volume of role os: let go of the version before too */
        char expected[KEY_DIGEST_SIZE];    /* of its public key; empty: any */
        char accept_unsafe[257];   /* the reason; empty: not accepted */
};
int rotate_start(struct manager *m, const struct rotate_request *q, const struct requester *who, operation_done done,
                 void *user);

/* detach.c: orderly; refuses a volume in use. */
int detach_start(struct manager *m, struct volume *v, const struct requester *who, operation_done done, void *user);

/* detach.c: suspend and wipe the volume key; who: for the trail. BUSY: nobody could be started for it, and nothing has happened. */
int hold_start(struct volume *v, const struct requester *who, operation_done done, void *user);
