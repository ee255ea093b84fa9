/* SPDX-License-Identifier: Apache-2.0 */

/* A recovery key that nobody is shown, for the owner of a key in whatever vault of the configuration:
 *
 *   get key (the permission get is enough) ─► INSPECT ─► W of one of the volume's keys, by a real unwrap ─► RECOVERY_ADD (child: the text,
 *   wrapped by that public key, in a token of the header)
 *
 * That its owner can decrypt is not proven: this node may not. */

#include <syslog.h>

#include "challenge.h"
#include "common/algorithm.h"
#include "header-verb.h"
#include "key-proof.h"
#include "manager.h"
#include "pin.h"

struct escrow {
        struct header_work work;         /* first: it is what the step is about */
        struct proven_key key;
        bool accept_unsafe;
};

static void fill(const struct header_work *w, struct disk_request *q, int *ret_fd _unused_) {
        key_proof_fill(&((const struct escrow *) w)->key, q);
}

static void use_add(struct unlock *u) {
        header_work_use_change(u, DISK_OP_RECOVERY_ADD);
}

static const struct unlock_verb add_verb = { .name = "recovery-key add", .header_only = true, .use = use_add };

static void on_added(const struct outcome *o, void *user) {
        struct escrow *e = user;

        if (o->code == EXIT_CODE_DONE) {
                header_verb_record(&e->work, "recovery_key_escrowed", LOG_WARNING);
                (void) header_work_bind(&e->work, -1);
        }
        header_verb_end(&e->work, o);
}

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct escrow *e = user;
        const struct trust_entry *t;

        safe_close(fd);
        t = header_work_begin(&e->work, y);
        if (!t)
                header_verb_fail(&e->work, NULL);
        else if (trust_find_key(t, &e->key.uri))
                header_verb_refuse(&e->work, EXIT_CODE_POLICY, "%s: that key opens it already: a recovery key for its owner is none",
                                   t->name);
        else if (header_work_step(&e->work, &add_verb, PICK_ANY, NULL, on_added) < 0)
                header_verb_out_of_memory(&e->work);
}

/* Returns NULL, or what is wrong with it. */
static const char *unfit(const struct escrow *e, const struct vault_reply *y) {
        if (!(y->key_flags & VAULT_KEY_ENABLED))
                return "it is disabled";
        if (algorithm_is_symmetric(y->key_type) || challenge_check_key(e->key.algorithm, y->spki, y->spki_size, NULL) < 0)
                return "it is not an RSA key of 2048, 3072 or 4096 bits";
        if (!(y->key_flags & VAULT_KEY_PURGE_PROTECTED) && !e->accept_unsafe)
                return "it can be destroyed for good, and the recovery key with it. Switch purge protection on, or say "
                       "--accept-unsafe-vault=REASON";
        return NULL;
}

static void on_key(const struct vault_reply *y, void *user) {
        struct escrow *e = user;
        char uri[KEY_URI_MAX];
        const char *why;
        struct key_uri u;

        key_uri_format(&e->key.uri, uri, sizeof(uri));
        if (y->verdict != VERDICT_GRANTED) {
                outcome_from_vault(&e->work.outcome, e->work.device, uri, y);
                header_verb_fail(&e->work, NULL);
                return;
        }
        why = key_uri_parse(y->kid, &u, NULL) < 0 || !key_uri_answers(&e->key.uri, &u) ? "the vault answered with another key" : unfit(e, y);
        if (why) {
                header_verb_refuse(&e->work, EXIT_CODE_POLICY, "Key %s is not taken for escrow: %s", uri, why);
                return;
        }
        e->key.uri = u;
        memcpy(e->key.spki, y->spki, y->spki_size);
        e->key.spki_size = y->spki_size;
        if (pin_check(e->work.manager->config, &e->key, y->spki, y->spki_size, e->work.device, &e->work.outcome) < 0)
                header_verb_fail(&e->work, NULL);
        else if (header_work_inspect(&e->work, on_inspected, e) < 0)
                header_verb_out_of_memory(&e->work);
}

static void record(const struct header_work *w, struct audit_message_record *r) {
        header_verb_record_key(r, &((const struct escrow *) w)->key, NULL);
}

static void escrow_free(struct header_work *w) {
        free(w);
}

static const struct header_verb escrow_verb = {
        .name = "recovery-key add --escrow", .fill = fill, .record = record, .free = escrow_free,
};

int recovery_key_escrow(struct manager *m, const struct escrow_request *q, const struct requester *who, operation_done done, void *user,
                        struct outcome *ret_refused) {
        _cleanup_(freep) struct vault_request *ask = calloc(1, sizeof(*ask));
        struct escrow *e = calloc(1, sizeof(*e));
        int r = ask && e ? 0 : -ENOMEM;

        if (r >= 0)
                r = key_proof_check(m, q->key, &e->key, ret_refused) < 0 ? -EPERM : 0;
        if (r >= 0) {
                header_verb_init(&e->work, m, &escrow_verb, q->what, who, done, user);
                e->accept_unsafe = *q->accept_unsafe;
                snprintf(e->key.expected, sizeof(e->key.expected), "%s", q->expected);
                key_proof_request(&e->key, VAULT_OP_GET_KEY, e->work.use_id, ask);
                r = worker_ask(m->worker, ask, -EBADF, on_key, e);
        }
        if (r < 0)
                free(e);
        return r;
}
