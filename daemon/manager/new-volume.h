/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a device becomes a volume. format.c and encrypt.c are two verbs of it, which differ in the header that the child makes and in what
 * proves it:
 *
 *   child: what is there? ─► (verb) new_volume_begin() ─► key-proof.h ─► new-secret.h, where the vault wraps ─► child: header (verb: fill)
 *      ─► (verb: made) ─► unwrap of the real wrapped key ─► record, durable ─► (verb: prove) ─► new_volume_end()
 *                         any step: new_volume_fail(), which writes it down ─► (verb: undo) ─► new_volume_end()
 *
 * A verb's object begins with a struct new_volume and lives until its free(), which new_volume_end() calls. */

#include "disk-child.h"
#include "key-proof.h"
#include "lease.h"
#include "release-record.h"
#include "stored.h"
#include "trust.h"

struct new_volume;

struct new_volume_verb {
        const char *name;
        /* For the child that makes the header: its operation, its flags, and a descriptor or -EBADF. */
        void (*fill)(struct new_volume *v, struct disk_request *q, int *ret_fd);
        bool (*made)(struct new_volume *v);      /* v->made is there. False: it is not to be used, and this has ended */
        void (*prove)(struct new_volume *v);     /* W may be used: v->secret_fd. Goes on to the end */
        void (*undo)(struct new_volume *v);      /* of what was made, after a failure. Goes on to the end */
        void (*free)(struct new_volume *v);
};

struct new_volume {
        struct manager *manager;
        const struct new_volume_verb *verb;
        struct requester who;
        const char *device, *name;       /* of the verb's request, as the next two */
        const char *key_text;            /* as it was said */
        const char *accept_unsafe;
        enum role role;
        struct proven_key key;
        struct vault_reply answer;       /* the last one */
        struct disk_reply made;          /* by the child; empty uuid: nothing yet */
        struct instant asked;            /* when the vault was asked to unwrap it */
        int secret_fd;                   /* a pipe with W */
        char use_id[37];
        char uuid[37];                   /* of the volume to be, where its W is made before its header; said beforehand or chosen here */
        char secret[STORED_NAME_SIZE];   /* the secret of the vault that has its wrapped key; empty: none */
        struct outcome outcome;
        operation_done done;
        void *user;
};

/* v: all zero but for the request's (device to role). */
void new_volume_init(struct new_volume *v, struct manager *m, const struct new_volume_verb *verb, const struct requester *who,
                     operation_done done, void *user);

/* Whether it is a name for a volume; else the outcome is filled in. */
bool new_volume_check_name(struct new_volume *v);

/* Its first step: q to the child, if the request is valid, else its end as the outcome says. Nothing is called from inside this call.
 * Returns 0 or -ENOMEM (v is the caller's still). */
int new_volume_start(struct new_volume *v, const struct disk_request *q, bool valid, disk_callback on_looked);

/* From the proof of the key to the verb's prove(). name_is_free: no other volume of the list has it. nothing_lost: as in key-proof.h. */
void new_volume_begin(struct new_volume *v, bool name_is_free, bool nothing_lost);

/* A request to the child about the header that was made. */
void new_volume_fill(const struct new_volume *v, enum disk_op op, struct disk_request *q);

/* t: the volume that is asked for, which is there already, with v's key. Whether that key's pinned public key is the expected one; if not, v has
 * failed. */
bool new_volume_has_expected_key(struct new_volume *v, const struct trust_entry *t);

/* What the child made for the key: where an earlier run left another one, there are two. */
const struct disk_wrap *new_volume_wrap(const struct new_volume *v);

/* For the node's list. */
void new_volume_entry(const struct new_volume *v, struct trust_entry *ret);

/* A record of the trail about it, written when there is time. */
void new_volume_record(const struct new_volume *v, const char *event);

/* Its end: done is called, v is freed. Nothing is written down. */
void new_volume_end(struct new_volume *v);

/* The same for a failure, as the outcome says, which is written down and undone. */
void new_volume_fail(struct new_volume *v);
void new_volume_refuse(struct new_volume *v, enum exit_code code, const char *format, ...) _printf_(3, 4);
void new_volume_not_listed(struct new_volume *v, int error);     /* the node's list could not be written */
void new_volume_out_of_memory(struct new_volume *v);
