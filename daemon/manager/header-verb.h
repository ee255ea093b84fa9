/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How the verbs that are a header_work begin and end, and what the trail says of them. */

#include "header-work.h"
#include "key-proof.h"

struct header_verb {
        const char *name;
        bool names_uuid;                 /* record() does: it has more than one */
        /* For a step that changes the header: what the request says of the key, and a descriptor for the child or -EBADF. */
        void (*fill)(const struct header_work *w, struct disk_request *q, int *ret_fd);
        /* What its records say besides volume, device, who asked and what went wrong. NULL: nothing. */
        void (*record)(const struct header_work *w, struct audit_message_record *r);
        void (*failed)(struct header_work *w);   /* says more in outcome; or NULL */
        void (*free)(struct header_work *w);     /* after its end */
};

/* w: the first member of a verb's object, all zero. what: as header_work_resolve(), which this calls. */
void header_verb_init(struct header_work *w, struct manager *m, const struct header_verb *verb, const char *what,
                      const struct requester *who, operation_done done, void *user);

/* A record of the trail about it, written when there is time. */
void header_verb_record(const struct header_work *w, const char *event, uint8_t priority);

/* For record(): a key and what its vault said of it. accept_unsafe: the reason, or an empty text. */
void header_verb_record_key(struct audit_message_record *r, const struct proven_key *k, const char *accept_unsafe);

/* Its end: the header is given back, done is called, w is freed. o: how; NULL: as w->outcome has it. Nothing is written down. */
void header_verb_end(struct header_work *w, const struct outcome *o);

/* The same for a failure that nobody wrote down yet. */
void header_verb_fail(struct header_work *w, const struct outcome *o);
void header_verb_refuse(struct header_work *w, enum exit_code code, const char *format, ...) _printf_(3, 4);
void header_verb_out_of_memory(struct header_work *w);
