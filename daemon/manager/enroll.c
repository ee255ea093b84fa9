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

#include <stdarg.h>
#include <syslog.h>

#include "common/algorithm.h"
#include "common/log.h"
#include "disk-child.h"
#include "manager.h"
#include "new-secret.h"
#include "trust-places.h"
#include "unlock.h"

#define INSPECT_TIMEOUT_USEC (60 * USEC_PER_SEC)

struct enroll {
        struct manager *manager;
        struct enroll_request request;
        struct requester who;
        struct proven_key key;
        char device[257];
        char uuid[37];
        char name[65];
        struct disk_reply header;        /* as last seen */
        char use_id[37];
        struct new_secret new;           /* of a symmetric key; fd: -EBADF where there is none */
        struct outcome outcome;
        operation_done done;
        void *user;
};

static void end(struct enroll *e) {
        memcpy(e->outcome.uuid, e->uuid, sizeof(e->outcome.uuid));
        e->outcome.volume = manager_volume_by_uuid(e->manager, e->uuid);
        e->done(&e->outcome, e->user);
        safe_close(e->new.fd);
        free(e);
}

static void record(struct enroll *e, const char *event, uint8_t priority) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        char uri[KEY_URI_MAX];

        if (!r)
                return;
        key_uri_format(&e->key.uri, uri, sizeof(uri));
        audit_record_start(r, event, priority, false);
        audit_record_add(r, "verb", e->request.remove ? "enroll --remove" : "enroll");
        audit_record_add(r, "volume", e->name);
        audit_record_add(r, "uuid", e->uuid);
        audit_record_add(r, "device", e->device);
        audit_record_add(r, "key", uri);
        if (*e->key.answer.code || e->key.answer.http_status > 0)
                manager_record_reply(r, &e->key.answer);
        audit_record_add(r, "accept_unsafe_vault", e->request.accept_unsafe);
        audit_record_add(r, "by", e->who.text);
        audit_record_add(r, "why", e->outcome.message);
        manager_record(e->manager, r);
}

static void _printf_(3, 4) refuse(struct enroll *e, enum exit_code code, const char *format, ...) {
        va_list ap;

        e->outcome.code = code;
        va_start(ap, format);
        vsnprintf(e->outcome.message, sizeof(e->outcome.message), format, ap);
        va_end(ap);
        record(e, code == EXIT_CODE_POLICY ? "refused" : "failed", LOG_WARNING);
        end(e);
}

/* What a step said. It has written that down. */
static void end_as(struct enroll *e, const struct outcome *o) {
        e->outcome = *o;
        end(e);
}

/* ---- the list, and the volume where it is known ---- */

/* The volume is polled by the keys that the list has now. */
static void apply(struct enroll *e) {
        const struct trust_entry *t = trust_find_uuid(e->manager->trust, e->uuid);
        struct volume *v = manager_volume_by_uuid(e->manager, e->uuid);
        struct wrap_choice c;
        char opener[513], why[600] = "";

        if (!v || v->n_wraps == 0 || !streq(v->device, e->device))
                return;
        snprintf(opener, sizeof(opener), "%s", volume_key_text(v));
        v->header = e->header;
        *v->header.message = 0;
        if (wrap_choose(&v->header, t, false, &c, why) < 0 || wraps_bind(v, &c, false, why) < 0) {
                log_alert("%s: its keys are polled as before: %s", v->name, why);
                return;
        }
        v->opener = c.at[0];
        for (unsigned i = 0; i < v->header.n_wraps; i++)
                if (streq(v->header.wraps[i].key, opener))
                        v->opener = i;
        manager_volume_changed(e->manager, v);
        key_evaluate_volume(v);
        wraps_schedule(v);
}

static const struct disk_wrap *find_token(const struct enroll *e) {
        for (unsigned i = 0; i < e->header.n_wraps; i++) {
                struct key_uri u;

                if (key_uri_parse(e->header.wraps[i].key, &u, NULL) >= 0 && key_uri_same_key(&u, &e->key.uri))
                        return e->header.wraps + i;
        }
        return NULL;
}

static void add_to(struct trust_entry *t, const struct disk_wrap *w, const struct key_uri *key) {
        struct trust_key *k = t->keys + t->n_keys++;

        *k = (struct trust_key) {
                .key = *key, .generation = w->generation, .proof_time = w->proof_time, .spki_size = w->spki_size,
        };
        *k->key.version = 0;
        memcpy(k->spki, w->spki, w->spki_size);
        memcpy(k->proof_request_id, w->proof_request_id, sizeof(k->proof_request_id));
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
        const struct trust_entry *t = trust_find_uuid(e->manager->trust, e->uuid);
        _cleanup_(freep) struct trust_entry *new = malloc(sizeof(*new));
        const struct disk_wrap *w = find_token(e);
        int r;

        if (!t || *t->list || (!e->request.remove && (!w || t->n_keys == DISK_WRAPS_MAX)))
                return -ESTALE;
        if (!new)
                return -ENOMEM;
        *new = *t;
        take_from(new, &e->key.uri);
        if (!e->request.remove)
                add_to(new, w, &e->key.uri);
        r = trust_places_update(new);
        return r < 0 ? r : manager_reload_trust(e->manager);
}

/* ---- the steps that ask a vault ---- */

static const struct trust_entry *listed(const struct unlock *u) {
        return trust_find_uuid(u->manager->trust, u->volume->uuid);
}

static void on_changed(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        struct enroll *e = u->user;
        struct outcome o = {};

        safe_close(fd);
        u->secret_fd = safe_close(u->secret_fd);
        if (unlock_try_next(u, y))
                return;
        if (y->error < 0) {
                outcome_from_disk(&o, y);
                unlock_fail(u, &o, o.code == EXIT_CODE_POLICY ? "refused" : "failed");
                return;
        }
        e->header = *y;
        o.changed = y->count > 0;
        unlock_end(u, &o);
}

static void on_checked(const struct disk_reply *y, int fd, void *user) {
        const struct trust_entry *t = listed(user);
        struct unlock *u = user;
        struct enroll *e = u->user;
        struct outcome o = {};

        safe_close(fd);
        u->secret_fd = safe_close(u->secret_fd);
        if (unlock_try_next(u, y))
                return;
        if (y->error < 0)
                outcome_from_disk(&o, y);
        else if (!t || memcmp(y->trust_digest, t->digest, sizeof(t->digest)) != 0)
                outcome_set(&o, EXIT_CODE_POLICY, "%s: it is not the volume that this node trusts under its UUID", u->volume->name);
        if (o.code != EXIT_CODE_DONE) {
                unlock_fail(u, &o, o.code == EXIT_CODE_POLICY ? "refused" : "failed");
                return;
        }
        e->header = *y;
        unlock_end(u, &o);
}

/* The child that changes a header is told which key it is about, besides the one that opens. */
static void use_change(struct unlock *u, enum disk_op op) {
        const struct enroll *e = u->user;
        struct outcome o = {};
        struct disk_request q;

        unlock_disk_request(u, op, &q);
        if (op == DISK_OP_WRAP_ADD) {
                key_proof_fill(&e->key, &q);
                new_secret_fill(&e->new, &q);
        } else
                key_uri_format(&e->key.uri, q.key, sizeof(q.key));
        if (disk_child_start(u->manager->children, &q, u->secret_fd, e->new.fd, MANAGER_DISK_TIMEOUT_USEC, on_changed, u, NULL) >= 0)
                return;
        outcome_set(&o, EXIT_CODE_FAILED, "%s: out of memory", u->volume->name);
        unlock_end(u, &o);
}

static void use_add(struct unlock *u) {
        use_change(u, DISK_OP_WRAP_ADD);
}

static void use_remove(struct unlock *u) {
        use_change(u, DISK_OP_WRAP_REMOVE);
}

static void use_check(struct unlock *u) {
        unlock_run(u, DISK_OP_CHECK, on_checked);
}

static const struct unlock_verb add_verb = { .name = "enroll", .header_only = true, .use = use_add };
static const struct unlock_verb prove_verb = { .name = "enroll", .header_only = true, .lenient = true, .use = use_check };
static const struct unlock_verb remove_verb = {
        .name = "enroll --remove", .header_only = true, .lenient = true, .use = use_remove,
};

static void step(struct enroll *e, const struct unlock_verb *verb, enum unlock_pick pick, operation_done done) {
        struct unlock *u = unlock_new(e->manager, verb, &e->who, done, e);

        if (u) {
                u->pick = pick;
                u->pick_key = e->key.uri;
                memcpy(u->device, e->device, sizeof(u->device));
                memcpy(u->name_wanted, e->uuid, sizeof(e->uuid));
                if (unlock_start(u) >= 0)
                        return;
                unlock_free(u);
        }
        refuse(e, EXIT_CODE_FAILED, "%s: out of memory", e->name);
}

/* ---- add ---- */

static void on_new_key_opens(const struct outcome *o, void *user) {
        struct enroll *e = user;
        int r;

        if (o->code != EXIT_CODE_DONE) {
                end_as(e, o);
                return;
        }
        r = change_list(e);
        if (r < 0) {
                refuse(e, EXIT_CODE_FAILED, "%s: its header has the key, but it could not be entered on the node's list in %s (%s): "
                       "it is not used. The same command goes on from here", e->name, TRUST_DIRECTORY, strerror(-r));
                return;
        }
        e->outcome.changed = true;
        log_notice("%s: it has one key more", e->name);
        record(e, "key_enrolled", LOG_NOTICE);
        apply(e);
        end(e);
}

static void on_added(const struct outcome *o, void *user) {
        struct enroll *e = user;

        if (o->code != EXIT_CODE_DONE)
                end_as(e, o);
        else
                step(e, &prove_verb, PICK_KEY, on_new_key_opens);
}

static void fail(struct enroll *e, const struct outcome *o) {
        e->outcome = *o;
        record(e, o->code == EXIT_CODE_POLICY ? "refused" : "failed", LOG_WARNING);
        end(e);
}

static void on_new_secret(const struct outcome *o, struct new_secret *s, void *user) {
        struct enroll *e = user;

        if (o->code != EXIT_CODE_DONE) {
                fail(e, o);
                return;
        }
        e->new = *s;
        s->fd = -EBADF;
        step(e, &add_verb, PICK_ANY, on_added);
}

static void on_proven(const struct outcome *o, const struct proven_key *k, void *user) {
        struct enroll *e = user;
        const struct new_secret_request n = {
                .key = &e->key, .verb = "enroll", .name = e->name, .uuid = e->uuid, .device = e->device, .use_id = e->use_id,
                .who = &e->who,
        };

        e->key = *k;
        if (o->code != EXIT_CODE_DONE)
                fail(e, o);
        else if (!algorithm_is_symmetric(k->algorithm))
                step(e, &add_verb, PICK_ANY, on_added);
        else if (new_secret_start(e->manager, &n, on_new_secret, e) < 0)
                refuse(e, EXIT_CODE_FAILED, "%s: out of memory", e->name);
}

static void add(struct enroll *e, const struct trust_entry *t) {
        const struct key_proof_request p = {
                .subject = e->name, .key = e->request.key, .accept_unsafe = e->request.accept_unsafe, .use_id = e->use_id,
        };

        if (trust_find_key(t, &e->key.uri)) {
                snprintf(e->outcome.message, sizeof(e->outcome.message), "%s has that key already", e->name);
                end(e);
                return;
        }
        if (t->n_keys == DISK_WRAPS_MAX) {
                refuse(e, EXIT_CODE_FAILED, "%s has %u keys, and no room for one more", e->name, DISK_WRAPS_MAX);
                return;
        }
        record(e, "request", LOG_INFO);
        if (find_token(e))                  /* an earlier run was interrupted after it wrote the header */
                step(e, &prove_verb, PICK_KEY, on_new_key_opens);
        else if (key_proof_start(e->manager, &p, &e->key, on_proven, e) < 0)
                refuse(e, EXIT_CODE_FAILED, "%s: out of memory", e->name);
}

/* ---- remove ---- */

static void on_removed(const struct outcome *o, void *user) {
        struct enroll *e = user;

        e->outcome = *o;
        e->outcome.changed = true;
        if (o->code != EXIT_CODE_DONE) {
                size_t n = strlen(e->outcome.message);

                snprintf(e->outcome.message + n, sizeof(e->outcome.message) - n,
                         "; it is not used any more, but its keyslot is still there: the same command once more removes it");
        }
        record(e, "key_removed", LOG_WARNING);
        apply(e);
        end(e);
}

static void on_other_key_opens(const struct outcome *o, void *user) {
        struct enroll *e = user;
        int r;

        if (o->code != EXIT_CODE_DONE) {
                end_as(e, o);
                return;
        }
        r = change_list(e);
        if (r < 0) {
                refuse(e, EXIT_CODE_FAILED, "%s: the key could not be taken off the node's list in %s: %s", e->name, TRUST_DIRECTORY,
                       strerror(-r));
                return;
        }
        apply(e);
        if (find_token(e))
                step(e, &remove_verb, PICK_OTHERS, on_removed);
        else
                on_removed(&(struct outcome) {}, e);
}

static void take_out(struct enroll *e, const struct trust_entry *t) {
        const struct trust_key *k = trust_find_key(t, &e->key.uri);

        if (!k && !find_token(e)) {
                snprintf(e->outcome.message, sizeof(e->outcome.message), "%s does not have that key", e->name);
                end(e);
                return;
        }
        if (k && t->n_keys == 1) {
                refuse(e, EXIT_CODE_POLICY, "%s: that is its only key: nothing would open it any more", e->name);
                return;
        }
        record(e, "request", LOG_INFO);
        step(e, &prove_verb, PICK_OTHERS, on_other_key_opens);
}

/* ---- both ---- */

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct enroll *e = user;
        const struct trust_entry *t = y->error >= 0 ? trust_find_uuid(e->manager->trust, y->uuid) : NULL;
        const struct volume *v = y->error >= 0 ? manager_volume_by_uuid(e->manager, y->uuid) : NULL;

        safe_close(fd);
        if (y->error < 0) {
                outcome_from_disk(&e->outcome, y);
                record(e, "failed", LOG_WARNING);
                end(e);
                return;
        }
        e->header = *y;
        memcpy(e->uuid, y->uuid, sizeof(e->uuid));
        snprintf(e->name, sizeof(e->name), "%s", t ? t->name : y->name);
        if (!t)
                refuse(e, EXIT_CODE_POLICY, "%s: volume %s is not on this node's list, and that is where its keys are known from",
                       e->device, y->uuid);
        else if (*t->list)
                refuse(e, EXIT_CODE_POLICY, "%s is on the signed list %s: its owner says there which keys it has", t->name, t->list);
        else if (v && (v->owner || volume_is_in_transit(v)))
                refuse(e, EXIT_CODE_BUSY, "%s: another operation on it is under way", t->name);
        else if (e->request.remove)
                take_out(e, t);
        else
                add(e, t);
}

static int on_refused(sd_event_source *s, void *user) {
        struct enroll *e = user;

        sd_event_source_disable_unref(s);
        record(e, "refused", LOG_WARNING);
        end(e);
        return 0;
}

/* The disk that is open, not a copy that udev lists under the same UUID. */
static void resolve(struct enroll *e) {
        const char *what = e->request.what;
        struct volume *v = manager_volume_by_name(e->manager, what);
        struct unlock u = { .manager = e->manager };

        if (!v)
                v = manager_volume_by_uuid(e->manager, what);
        unlock_resolve(&u, v && volume_is_open(v) ? v->device : what);
        memcpy(e->device, u.device, sizeof(e->device));
}

/* To take a key out its vault need not be allowed any more. */
static bool request_is_valid(struct enroll *e) {
        const char *why;

        if (!e->request.remove)
                return key_proof_check(e->manager, e->request.key, &e->key, &e->outcome) >= 0;
        if (key_uri_parse(e->request.key, &e->key.uri, &why) >= 0)
                return true;
        outcome_set(&e->outcome, EXIT_CODE_USAGE, "%s is no key: %s", e->request.key, why);
        return false;
}

int enroll_start(struct manager *m, const struct enroll_request *q, const struct requester *who, operation_done done,
                 void *user) {
        struct enroll *e = calloc(1, sizeof(*e));
        struct disk_request inspect = { .op = DISK_OP_INSPECT };
        sd_event_source *s = NULL;
        int r;

        if (!e)
                return -ENOMEM;
        e->manager = m;
        e->request = *q;
        e->who = *who;
        e->done = done;
        e->user = user;
        e->new.fd = -EBADF;
        random_uuid(e->use_id);
        resolve(e);
        if (request_is_valid(e)) {
                memcpy(inspect.device, e->device, sizeof(inspect.device));
                r = disk_child_start(m->children, &inspect, -EBADF, -EBADF, INSPECT_TIMEOUT_USEC, on_inspected, e, NULL);
        } else
                r = sd_event_add_defer(m->event, &s, on_refused, e);
        if (r < 0)
                free(e);
        return r < 0 ? -ENOMEM : 0;
}
