/* SPDX-License-Identifier: Apache-2.0 */

/* One more key for a volume, open or not, and one less. What unlock.h does with header_only is a step of it, once by a key
 * that opens the volume already and once by the new one:
 *
 *   add:    INSPECT (already so?) ─► key-proof.h ─► W of another key ─► WRAP_ADD (child) ─► W of the new key, by a real
 *           unwrap ─► CHECK (child: its keyslot opens, the manifest holds) ─► the node's list ─► polled from now on
 *   remove: INSPECT ─► W of another key ─► CHECK ─► off the node's list, not polled any more ─► W of another key ─►
 *           WRAP_REMOVE (child)
 *
 * The list is what makes a key count (wrap-choice.h). Interrupted at any point the volume opens as it did before: a token that
 * is not on the list is not used, and the manifest covers it from the moment that it is there. The same command once more
 * goes on from there. */

#include <syslog.h>

#include "common/log.h"
#include "header-verb.h"
#include "manager.h"
#include "new-secret.h"
#include "pin.h"
#include "trust.h"

struct enroll {
        struct header_work work;         /* first: it is what the steps are about */
        struct enroll_request request;
        struct proven_key key;
        struct new_secret new;           /* fd: -EBADF where there is none */
        struct key_waiter waiter;        /* for what is left to be granted */
        char waiting_for[KEY_URI_MAX];
        char old_secret[STORED_NAME_SIZE];    /* that the vault keeps for the token that is taken out; empty: none */
};

/* ---- the list, and the volume where it is known ---- */

static const struct disk_wrap *find_token(const struct enroll *e) {
        for (unsigned i = 0; i < e->work.header.n_wraps; i++) {
                struct key_uri u;

                if (key_uri_parse(e->work.header.wraps[i].key, &u, NULL) >= 0 && key_uri_same_key(&u, &e->key.uri))
                        return e->work.header.wraps + i;
        }
        return NULL;
}

static void add_to(struct trust_entry *t, const struct disk_wrap *w, const struct key_uri *key) {
        struct trust_key *k = t->keys + t->n_keys++;

        *k = (struct trust_key) { .key = *key };
        *k->key.version = 0;
        trust_key_take(k, w);
}

static void take_from(struct trust_entry *t, const struct key_uri *key) {
        unsigned n = 0;

        for (unsigned i = 0; i < t->n_keys; i++)
                if (!key_uri_same_key(&t->keys[i].key, key))
                        t->keys[n++] = t->keys[i];
        t->n_keys = n;
}

/* Returns 0, or a negative errno: the list is as it was. */
static int change_list(struct enroll *e) {
        const struct trust_entry *t = trust_find_uuid(e->work.manager->trust, e->work.uuid);
        _cleanup_(freep) struct trust_entry *new = malloc(sizeof(*new));
        const struct disk_wrap *w = find_token(e);

        if (!t || *t->list || (!e->request.remove && (!w || t->n_keys == VOLUME_KEYS_MAX)))
                return -ESTALE;
        if (!new)
                return -ENOMEM;
        *new = *t;
        take_from(new, &e->key.uri);
        if (!e->request.remove)
                add_to(new, w, &e->key.uri);
        return header_work_list(&e->work, new);
}

/* ---- the steps that ask a vault ---- */

/* Which key it is about, besides the one that opens. */
static void fill(const struct header_work *w, struct disk_request *q, int *ret_fd) {
        const struct enroll *e = (const struct enroll *) w;

        if (e->request.remove) {
                key_uri_format(&e->key.uri, q->key, sizeof(q->key));
                return;
        }
        key_proof_fill(&e->key, q);
        new_secret_fill(&e->new, q);
        *ret_fd = e->new.fd;
}

static void use_add(struct unlock *u) {
        header_work_use_change(u, DISK_OP_WRAP_ADD);
}

static void use_remove(struct unlock *u) {
        header_work_use_change(u, DISK_OP_WRAP_REMOVE);
}

static const struct unlock_verb add_verb = { .name = "enroll", .header_only = true, .use = use_add };
static const struct unlock_verb prove_verb = { .name = "enroll", .header_only = true, .lenient = true, .use = header_work_use_check };
static const struct unlock_verb drop_verb = {
        .name = "enroll --remove", .header_only = true, .lenient = true, .use = use_remove,
};

static void step(struct enroll *e, const struct unlock_verb *verb, enum unlock_pick pick, operation_done done) {
        if (header_work_step(&e->work, verb, pick, &e->key.uri, done) < 0)
                header_verb_out_of_memory(&e->work);
}

/* ---- add ---- */

/* What its header has, by this run or an earlier one, is what is pinned. False: it is not what was expected, and is not used. */
static bool take_pin(struct enroll *e) {
        const struct disk_wrap *w = find_token(e);

        if (!w)
                return true;         /* change_list() says so */
        pin_take(&e->key, w);
        if (pin_check(e->work.manager->config, &e->key, w->spki, w->spki_size, e->work.name, &e->work.outcome) >= 0)
                return true;
        outcome_add(&e->work.outcome, ". Its header has it from an earlier run: take it out (\"cmkctl enroll --remove\")");
        return false;
}

static void on_new_key_opens(const struct outcome *o, void *user) {
        struct enroll *e = user;
        int r;

        if (o->code != EXIT_CODE_DONE) {
                header_verb_end(&e->work, o);
                return;
        }
        if (!take_pin(e)) {
                header_verb_fail(&e->work, NULL);
                return;
        }
        r = change_list(e);
        if (r < 0) {
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: its header has the key, but it could not be entered on the node's list "
                                   "in %s (%s): it is not used. The same command goes on from here", e->work.name, TRUST_DIRECTORY,
                                   strerror(-r));
                return;
        }
        e->work.outcome.changed = true;
        log_notice("%s: it has one key more", e->work.name);
        header_verb_record(&e->work, "key_enrolled", LOG_NOTICE);
        (void) header_work_bind(&e->work, -1);
        header_verb_end(&e->work, NULL);
}

static void on_added(const struct outcome *o, void *user) {
        struct enroll *e = user;

        if (o->code != EXIT_CODE_DONE)
                header_verb_end(&e->work, o);
        else
                step(e, &prove_verb, PICK_KEY, on_new_key_opens);
}

static void on_new_secret(const struct outcome *o, struct new_secret *s, void *user) {
        struct enroll *e = user;

        e->new = *s;
        s->fd = -EBADF;
        if (o->code != EXIT_CODE_DONE) {
                header_verb_fail(&e->work, o);
                return;
        }
        step(e, &add_verb, PICK_ANY, on_added);
}

static void on_proven(const struct outcome *o, const struct proven_key *k, void *user) {
        struct enroll *e = user;
        const struct new_secret_request n = {
                .key = &e->key, .verb = "enroll", .name = e->work.name, .uuid = e->work.uuid, .device = e->work.device, .use_id = e->work.use_id,
                .who = &e->work.who,
        };

        e->key = *k;
        if (o->code != EXIT_CODE_DONE)
                header_verb_fail(&e->work, o);
        else if (!new_secret_is_needed(k))
                step(e, &add_verb, PICK_ANY, on_added);
        else if (new_secret_start(e->work.manager, &n, on_new_secret, e) < 0)
                header_verb_out_of_memory(&e->work);
}

static void add(struct enroll *e, const struct trust_entry *t) {
        const struct key_proof_request p = {
                .subject = e->work.name, .key = e->request.key, .accept_unsafe = e->request.accept_unsafe, .use_id = e->work.use_id,
        };
        const struct trust_key *k = trust_find_key(t, &e->key.uri);

        if (k && pin_check(NULL, &e->key, k->spki, k->spki_size, e->work.name, &e->work.outcome) < 0) {
                header_verb_fail(&e->work, NULL);
                return;
        }
        if (k) {
                snprintf(e->work.outcome.message, sizeof(e->work.outcome.message), "%s has that key already", e->work.name);
                header_verb_end(&e->work, NULL);
                return;
        }
        if (t->n_keys == VOLUME_KEYS_MAX) {
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s has %u keys, and no room for one more", e->work.name, VOLUME_KEYS_MAX);
                return;
        }
        if (t->role == ROLE_OS && key_proof_check_boot(e->work.manager, &e->key, &e->work.outcome) < 0) {
                header_verb_fail(&e->work, NULL);
                return;
        }
        header_verb_record(&e->work, "request", LOG_INFO);
        if (find_token(e))                  /* an earlier run was interrupted after it wrote the header */
                step(e, &prove_verb, PICK_KEY, on_new_key_opens);
        else if (key_proof_start(e->work.manager, &p, &e->key, on_proven, e) < 0)
                header_verb_out_of_memory(&e->work);
}

/* ---- remove ---- */

/* What the vault keeps for the token that goes next (the child takes the first there is); empty: nothing. */
static void name_old_secret(struct enroll *e) {
        const struct disk_wrap *w = find_token(e);

        *e->old_secret = 0;
        if (w && w->stored)
                stored_key_name(e->work.uuid, w->wrapped, e->old_secret);
}

static void on_removed(const struct outcome *o, void *user);

static void drop(struct enroll *e) {
        name_old_secret(e);
        step(e, &drop_verb, PICK_OTHERS, on_removed);
}

/* A record for each token: two versions, in the middle of a rotation, may be two secrets. */
static void on_removed(const struct outcome *o, void *user) {
        struct enroll *e = user;

        e->work.outcome = *o;
        e->work.outcome.changed = true;
        if (o->code != EXIT_CODE_DONE)
                outcome_add(&e->work.outcome, "; it is not used any more, but its keyslot is still there: the same command once more removes it");
        header_verb_record(&e->work, "key_removed", LOG_WARNING);
        if (o->code == EXIT_CODE_DONE && find_token(e)) {
                drop(e);
                return;
        }
        (void) header_work_bind(&e->work, -1);
        header_verb_end(&e->work, NULL);
}

static void take_off_list(struct enroll *e) {
        int r = change_list(e);

        if (r < 0) {
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: the key could not be taken off the node's list in %s: %s", e->work.name,
                                   TRUST_DIRECTORY, strerror(-r));
                return;
        }
        (void) header_work_bind(&e->work, -1);
        if (find_token(e))
                drop(e);
        else
                on_removed(&(struct outcome) {}, e);
}

static void on_granted(const struct vault_reply *y, void *user) {
        struct enroll *e = user;

        if (y->verdict == VERDICT_GRANTED) {
                take_off_list(e);
                return;
        }
        outcome_from_vault(&e->work.outcome, e->work.name, e->waiting_for, y);
        outcome_add(&e->work.outcome, ". Without the other key nobody would have granted it: nothing was changed");
        header_verb_fail(&e->work, NULL);
}

/* One of those that stay, if none of them was ever granted: enrolled a moment ago, and not answered yet. */
static struct key *find_without_lease(const struct enroll *e) {
        const struct volume *v = manager_volume_by_uuid(e->work.manager, e->work.uuid);
        struct key *found = NULL;

        for (unsigned i = 0; v && volume_is_open(v) && i < v->n_wraps; i++) {
                struct key *k = v->wraps[i]->key;

                if (!k || key_uri_same_key(&k->uri, &e->key.uri))
                        continue;
                if (k->track.has_grant)
                        return NULL;
                found = k;
        }
        return found;
}

/* An open volume has to have a lease by what is left before it loses that of the key that goes. */
static void on_other_key_opens(const struct outcome *o, void *user) {
        struct enroll *e = user;
        struct key *k;

        if (o->code != EXIT_CODE_DONE) {
                header_verb_end(&e->work, o);
                return;
        }
        k = find_without_lease(e);
        e->waiter = (struct key_waiter) { .done = on_granted, .user = e };
        if (k)
                snprintf(e->waiting_for, sizeof(e->waiting_for), "%s", k->uri_text);
        if (!k || key_prove(k, &e->waiter))
                take_off_list(e);
}

static void take_out(struct enroll *e, const struct trust_entry *t) {
        const struct trust_key *k = trust_find_key(t, &e->key.uri);
        const struct disk_wrap *w = find_token(e);

        name_old_secret(e);
        if (!k && !w) {
                snprintf(e->work.outcome.message, sizeof(e->work.outcome.message), "%s does not have that key", e->work.name);
                header_verb_end(&e->work, NULL);
                return;
        }
        if (k && t->n_keys == 1) {
                header_verb_refuse(&e->work, EXIT_CODE_POLICY, "%s: that is its only key: nothing would open it any more", e->work.name);
                return;
        }
        header_verb_record(&e->work, "request", LOG_INFO);
        step(e, &prove_verb, PICK_OTHERS, on_other_key_opens);
}

/* ---- both ---- */

static void record(const struct header_work *w, struct audit_message_record *r) {
        const struct enroll *e = (const struct enroll *) w;
        char secret[STORED_NAME_SIZE];

        header_verb_record_key(r, &e->key, e->request.accept_unsafe);
        audit_record_add(r, "secret", new_secret_name(&e->new, w->uuid, secret));
        audit_record_add(r, "old_secret", e->old_secret);
}

static void enroll_free(struct header_work *w) {
        struct enroll *e = (struct enroll *) w;

        safe_close(e->new.fd);
        free(e);
}

static const struct header_verb enroll_verb = { .name = "enroll", .fill = fill, .record = record, .free = enroll_free };
static const struct header_verb remove_verb = { .name = "enroll --remove", .fill = fill, .record = record, .free = enroll_free };

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct enroll *e = user;
        const struct trust_entry *t;

        safe_close(fd);
        t = header_work_begin(&e->work, y);
        if (!t)
                header_verb_fail(&e->work, NULL);
        else if (e->request.remove)
                take_out(e, t);
        else
                add(e, t);
}

static int on_refused(sd_event_source *s, void *user) {
        struct enroll *e = user;

        sd_event_source_disable_unref(s);
        header_verb_record(&e->work, "refused", LOG_WARNING);
        header_verb_end(&e->work, NULL);
        return 0;
}

/* To take a key out its vault need not be allowed any more. */
static bool request_is_valid(struct enroll *e) {
        const char *why;

        if (!e->request.remove)
                return key_proof_check(e->work.manager, e->request.key, &e->key, &e->work.outcome) >= 0 &&
                       (e->request.store != STORE_VAULT || key_proof_check_store(e->work.manager, &e->key, &e->work.outcome) >= 0);
        if (key_uri_parse(e->request.key, &e->key.uri, &why) >= 0)
                return true;
        outcome_set(&e->work.outcome, EXIT_CODE_USAGE, "%s is no key: %s", e->request.key, why);
        return false;
}

int enroll_start(struct manager *m, const struct enroll_request *q, const struct requester *who, operation_done done,
                 void *user) {
        struct enroll *e = calloc(1, sizeof(*e));
        sd_event_source *s = NULL;
        int r;

        if (!e)
                return -ENOMEM;
        header_verb_init(&e->work, m, q->remove ? &remove_verb : &enroll_verb, q->what, who, done, user);
        e->request = *q;
        memcpy(e->key.expected, q->expected, sizeof(e->key.expected));
        e->new.fd = -EBADF;
        if (request_is_valid(e))
                r = header_work_inspect(&e->work, on_inspected, e);
        else
                r = sd_event_add_defer(m->event, &s, on_refused, e);
        if (r < 0)
                free(e);
        return r < 0 ? -ENOMEM : 0;
}
