/* SPDX-License-Identifier: Apache-2.0 */

/* A key of a volume by another version of it, the volume open or not. What is to be done next is read from the header and the
 * node's list alone, so that the same command goes on wherever an earlier one was interrupted:
 *
 *   header            list    next
 *   v1                v1      key-proof.h for v2 ─► WRAP_ROTATE (child): another W, keyslot, salt and generation
 *   v1, v2            v1      W by a real unwrap with v2 ─► CHECK (child: the keyslot opens, to the volume key that this node
 *                             trusts) ─► polled by v2 too, and granted ─► the list
 *   v1, v2            v2      WRAP_DROP (child): v1's keyslot overwritten, its token taken out
 *   v2                v2      nothing
 *
 * The list says which version counts (wrap-choice.h): before it changes v1 opens the volume, afterwards v2, and there is no
 * moment at which neither does. From then on a header of before is refused, since its generation is older. A version that
 * is neither the list's nor the one that is wanted (an earlier run's, for another version) goes first. */

#include <syslog.h>

#include "common/log.h"
#include "header-verb.h"
#include "manager.h"
#include "new-secret.h"
#include "pin.h"

struct rotate {
        struct header_work work;         /* first: it is what the steps are about */
        struct rotate_request request;
        struct proven_key key;           /* the version that is wanted, once the vault has named it */
        uint64_t generation;             /* of what is made */
        char old[513];                   /* the version that the list had */
        char drop[513];                  /* the one that is being taken out; empty: one is being made */
        bool switched;                   /* by this run: the list has the new one */
        struct key_waiter waiter;
        char old_secret[STORED_NAME_SIZE];    /* as drop: that the vault keeps for it */
        struct new_secret new;           /* fd: -EBADF where there is none */
};

static void next(struct rotate *e);

/* ---- its end ---- */

static void say_what_is_left(struct header_work *w) {
        struct rotate *e = (struct rotate *) w;

        e->work.outcome.changed = e->switched;
        if (e->switched)
                outcome_add(&e->work.outcome, "; the new version is the one that counts, but the old one's keyslot is still there: the same "
                            "command once more removes it");
}

static void record(const struct header_work *w, struct audit_message_record *r) {
        const struct rotate *e = (const struct rotate *) w;
        char secret[STORED_NAME_SIZE];

        header_verb_record_key(r, &e->key, e->request.accept_unsafe);
        audit_record_add(r, "secret", new_secret_name(&e->new, w->uuid, secret));
        audit_record_add(r, "old_secret", e->old_secret);
        audit_record_add(r, "old_key", *e->drop ? e->drop : e->old);
        if (e->generation > 0)
                audit_record_addf(r, "generation", "%llu", (unsigned long long) e->generation);
}

static void rotate_free(struct header_work *w) {
        struct rotate *e = (struct rotate *) w;

        safe_close(e->new.fd);
        free(e);
}

/* False: it did not, which the step has written down by itself, and this has ended. */
static bool step_went_well(struct rotate *e, const struct outcome *o) {
        if (o->code != EXIT_CODE_DONE)
                header_verb_end(&e->work, o);
        return o->code == EXIT_CODE_DONE;
}

/* ---- the steps that ask a vault ---- */

static void fill(const struct header_work *w, struct disk_request *q, int *ret_fd) {
        const struct rotate *e = (const struct rotate *) w;

        if (*e->drop) {
                memcpy(q->key, e->drop, sizeof(q->key));
                return;
        }
        key_proof_fill(&e->key, q);
        q->generation = e->generation;
        new_secret_fill(&e->new, q);
        *ret_fd = e->new.fd;
}

static void use_add(struct unlock *u) {
        header_work_use_change(u, DISK_OP_WRAP_ROTATE);
}

static void use_drop(struct unlock *u) {
        header_work_use_change(u, DISK_OP_WRAP_DROP);
}

static const struct unlock_verb add_verb = { .name = "rotate", .header_only = true, .use = use_add };
static const struct unlock_verb prove_verb = {
        .name = "rotate", .header_only = true, .lenient = true, .use = header_work_use_check,
};
static const struct unlock_verb drop_verb = { .name = "rotate", .header_only = true, .use = use_drop };

static void step(struct rotate *e, const struct unlock_verb *verb, enum unlock_pick pick, operation_done done) {
        if (header_work_step(&e->work, verb, pick, &e->key.uri, done) < 0)
                header_verb_out_of_memory(&e->work);
}

/* ---- what is there ---- */

struct found {
        const struct disk_wrap *listed, *wanted, *other;     /* other: of neither */
};

static bool is_of_key(const struct rotate *e, const struct disk_wrap *w, struct key_uri *ret) {
        return key_uri_parse(w->key, ret, NULL) >= 0 && key_uri_same_key(ret, &e->key.uri);
}

/* Returns the list's entry, or NULL with the outcome filled in. */
static const struct trust_entry *survey(struct rotate *e, struct found *ret) {
        const struct trust_entry *t = trust_find_uuid(e->work.manager->trust, e->work.uuid);
        const struct disk_reply *h = &e->work.header;
        struct wrap_choice c = {};
        struct found f = {};
        char why[600] = "";
        struct key_uri u;

        if (!t || wrap_choose(h, t, false, &c, why) < 0) {
                outcome_set(&e->work.outcome, EXIT_CODE_POLICY, "%s: %s", e->work.name, t ? why : "it is not on this node's list any more");
                return NULL;
        }
        for (unsigned i = 0; i < c.n; i++)
                if (is_of_key(e, h->wraps + c.at[i], &u))
                        f.listed = h->wraps + c.at[i];
        for (unsigned i = 0; i < h->n_wraps; i++) {
                const struct disk_wrap *w = h->wraps + i;

                if (w == f.listed || !is_of_key(e, w, &u))
                        continue;
                if (f.listed && w->generation > f.listed->generation && streq(u.version, e->key.uri.version))
                        f.wanted = w;
                else
                        f.other = w;
        }
        if (!f.listed || !trust_find_key(t, &e->key.uri)) {
                outcome_set(&e->work.outcome, EXIT_CODE_POLICY, "%s: its header and this node's list do not have that key in common",
                            e->work.name);
                return NULL;
        }
        *ret = f;
        return t;
}

/* ---- the list ---- */

/* What its header has, by this run or an earlier one, is what is pinned. False: it is not what was expected, and is not used. */
static bool take_pin(struct rotate *e, const struct disk_wrap *w) {
        pin_take(&e->key, w);
        if (pin_check(e->work.manager->config, &e->key, w->spki, w->spki_size, e->work.name, &e->work.outcome) >= 0)
                return true;
        outcome_add(&e->work.outcome, ". Its header has that version from an earlier run: --key-version with the one of before takes it out");
        return false;
}

static void change_list(struct rotate *e) {
        _cleanup_(freep) struct trust_entry *new = malloc(sizeof(*new));
        const struct trust_entry *t;
        struct found f;
        int r;

        t = survey(e, &f);
        if (!t) {
                header_verb_fail(&e->work, NULL);
                return;
        }
        if (!new || !f.wanted) {
                (void) header_work_bind(&e->work, -1);
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: %s", e->work.name,
                                   new ? "its keys changed meanwhile: try again" : "out of memory");
                return;
        }
        *new = *t;
        for (unsigned i = 0; i < new->n_keys; i++)
                if (key_uri_same_key(&new->keys[i].key, &e->key.uri))
                        trust_key_take(new->keys + i, f.wanted);
        snprintf(e->old, sizeof(e->old), "%s", f.listed->key);
        e->generation = f.wanted->generation;
        r = header_work_list(&e->work, new);
        if (r < 0) {
                (void) header_work_bind(&e->work, -1);     /* it goes on with the keys that the list has */
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: its header has the new version, but it could not be entered on the "
                                   "node's list in %s (%s): it is not used. The same command goes on from here", e->work.name,
                                   TRUST_DIRECTORY, strerror(-r));
                return;
        }
        e->switched = true;
        log_notice("%s: its key is of another version, generation %llu", e->work.name, (unsigned long long) e->generation);
        header_verb_record(&e->work, "key_rotated", LOG_NOTICE);
        (void) header_work_bind(&e->work, -1);
        next(e);
}

/* ---- its proof ---- */

static void on_granted(const struct vault_reply *y, void *user) {
        struct rotate *e = user;
        char uri[KEY_URI_MAX];

        if (y->verdict == VERDICT_GRANTED) {
                change_list(e);
                return;
        }
        key_uri_format(&e->key.uri, uri, sizeof(uri));
        e->key.answer = *y;
        outcome_from_vault(&e->work.outcome, e->work.name, uri, y);
        (void) header_work_bind(&e->work, -1);
        header_verb_fail(&e->work, NULL);
}

/* An open volume has to have a lease by the new version before it loses that of the old one. */
static void on_new_version_opens(const struct outcome *o, void *user) {
        struct rotate *e = user;
        struct key *k = NULL;
        struct volume *v;
        struct found f;

        if (!step_went_well(e, o))
                return;
        if (!survey(e, &f)) {
                header_verb_fail(&e->work, NULL);
                return;
        }
        if (f.wanted && !take_pin(e, f.wanted)) {
                header_verb_fail(&e->work, NULL);
                return;
        }
        v = f.wanted ? header_work_bind(&e->work, f.wanted->token) : NULL;
        for (unsigned i = 0; v && i < v->n_wraps; i++)
                if (streq(v->wraps[i]->uri, f.wanted->key))
                        k = v->wraps[i]->key;
        e->waiter = (struct key_waiter) { .done = on_granted, .user = e };
        if (!k || key_prove(k, &e->waiter))
                change_list(e);
}

/* ---- one more, one less ---- */

static void on_changed(const struct outcome *o, void *user) {
        struct rotate *e = user;

        e->new.fd = safe_close(e->new.fd);
        if (step_went_well(e, o))
                next(e);
}

static void on_dropped(const struct outcome *o, void *user) {
        struct rotate *e = user;

        if (!step_went_well(e, o))
                return;
        e->work.outcome.changed = true;
        header_verb_record(&e->work, "key_version_removed", LOG_NOTICE);
        *e->drop = *e->old_secret = 0;
        (void) header_work_bind(&e->work, -1);
        next(e);
}

/* Before it goes the list has to have the other one everywhere: an earlier run may have been interrupted while it wrote. */
static void drop(struct rotate *e, const struct trust_entry *t, const struct disk_wrap *w) {
        _cleanup_(freep) struct trust_entry *same = malloc(sizeof(*same));
        int r = -ENOMEM;

        if (same) {
                *same = *t;
                r = e->switched ? 0 : header_work_list(&e->work, same);
        }
        if (r < 0) {
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: the node's list in %s cannot be written: %s", e->work.name,
                                   TRUST_DIRECTORY, strerror(-r));
                return;
        }
        memcpy(e->drop, w->key, sizeof(e->drop));
        if (w->stored)
                stored_key_name(e->work.uuid, w->wrapped, e->old_secret);
        step(e, &drop_verb, PICK_ANY, on_dropped);
}

static void on_new_secret(const struct outcome *o, struct new_secret *s, void *user) {
        struct rotate *e = user;

        e->new = *s;
        s->fd = -EBADF;
        if (o->code == EXIT_CODE_DONE)
                step(e, &add_verb, PICK_ANY, on_changed);
        else
                header_verb_fail(&e->work, o);
}

static void make(struct rotate *e, const struct trust_entry *t, const struct disk_wrap *listed) {
        const struct new_secret_request n = {
                .key = &e->key, .verb = "rotate", .name = e->work.name, .uuid = e->work.uuid, .device = e->work.device,
                .use_id = e->work.use_id, .who = &e->work.who,
        };

        if (e->work.header.n_wraps == DISK_WRAPS_MAX) {
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: its header has %u keys, and a rotation needs room for one more "
                                   "meanwhile: take one out (\"cmkctl enroll --remove\"), and enroll it again afterwards", e->work.name,
                                   DISK_WRAPS_MAX);
                return;
        }
        e->generation = MAX_OF(listed->generation, trust_find_key(t, &e->key.uri)->generation) + 1;
        if (!new_secret_is_needed(&e->key))
                step(e, &add_verb, PICK_ANY, on_changed);
        else if (new_secret_start(e->work.manager, &n, on_new_secret, e) < 0)
                header_verb_out_of_memory(&e->work);
}

/* An initramfs that was built before has the old list: of a volume of role os the old version stays until somebody says that
 * there is a new one. */
static bool stays(const struct rotate *e, const struct trust_entry *t, const struct found *f) {
        return t->role == ROLE_OS && !e->request.finish && f->other->generation < f->listed->generation;
}

static void next(struct rotate *e) {
        const struct trust_entry *t;
        struct key_uri listed;
        struct found f;
        bool is_there;

        t = survey(e, &f);
        if (!t) {
                header_verb_fail(&e->work, NULL);
                return;
        }
        is_there = is_of_key(e, f.listed, &listed) && streq(listed.version, e->key.uri.version);
        if (is_there && pin_check(NULL, &e->key, f.listed->spki, f.listed->spki_size, e->work.name, &e->work.outcome) < 0) {
                header_verb_fail(&e->work, NULL);
                return;
        }
        if (f.other && !stays(e, t, &f)) {
                drop(e, t, f.other);
                return;
        }
        if (f.wanted) {
                step(e, &prove_verb, PICK_VERSION, on_new_version_opens);
                return;
        }
        if (!is_there) {
                if (f.other)
                        header_verb_refuse(&e->work, EXIT_CODE_POLICY, "%s: its header still has %s, for an initramfs that was built "
                                           "before the last rotation: build it anew, then say --finish", e->work.name, f.other->key);
                else
                        make(e, t, f.listed);
                return;
        }
        e->work.outcome.changed |= e->switched;
        snprintf(e->work.outcome.key, sizeof(e->work.outcome.key), "%s", f.listed->key);
        snprintf(e->work.outcome.kept, sizeof(e->work.outcome.kept), "%s", f.other ? f.other->key : "");
        header_verb_end(&e->work, NULL);
}

/* ---- the beginning ---- */

static void on_proven(const struct outcome *o, const struct proven_key *k, void *user) {
        struct rotate *e = user;
        char uri[KEY_URI_MAX];

        e->key = *k;
        if (o->code != EXIT_CODE_DONE) {
                header_verb_fail(&e->work, o);
                return;
        }
        key_uri_format(&k->uri, uri, sizeof(uri));
        if (!streq(uri, e->old))
                header_verb_record(&e->work, "request", LOG_INFO);
        next(e);
}

/* Which of the volume's keys. Returns NULL with the outcome filled in. */
static const struct trust_key *find_key(struct rotate *e, const struct trust_entry *t) {
        const struct trust_key *k;
        struct key_uri u;
        const char *why;

        if (!*e->request.key && t->n_keys > 1) {
                outcome_set(&e->work.outcome, EXIT_CODE_USAGE, "%s has %u keys: say which with --key", t->name, t->n_keys);
                return NULL;
        }
        if (!*e->request.key)
                return t->keys;
        if (key_uri_parse(e->request.key, &u, &why) < 0) {
                outcome_set(&e->work.outcome, EXIT_CODE_USAGE, "%s is no key: %s", e->request.key, why);
                return NULL;
        }
        k = trust_find_key(t, &u);
        if (!k)
                outcome_set(&e->work.outcome, EXIT_CODE_POLICY, "%s does not have that key (\"cmkctl enroll\" gives it one more)", t->name);
        return k;
}

/* Its identifier with the version that is wanted, if one was said. */
static void name_wanted(const struct rotate *e, const struct trust_key *k, char buf[static KEY_URI_MAX + 40]) {
        size_t n;

        key_uri_format(&k->key, buf, KEY_URI_MAX);
        n = strlen(buf);
        if (*e->request.version)
                snprintf(buf + n, KEY_URI_MAX + 40 - n, "/%s", e->request.version);
}

static bool is_to_be_stored(const struct rotate *e, const struct disk_wrap *listed) {
        return e->request.store == STORE_NOT_SAID ? listed->stored : e->request.store == STORE_VAULT;
}

static void begin(struct rotate *e, const struct trust_entry *t) {
        const struct trust_key *k = find_key(e, t);
        char uri[KEY_URI_MAX + 40];
        struct key_proof_request p = {
                .subject = e->work.name, .key = uri, .accept_unsafe = e->request.accept_unsafe, .use_id = e->work.use_id,
        };
        struct key_uri listed;
        struct found f;

        if (!k) {
                header_verb_fail(&e->work, NULL);
                return;
        }
        if (key_uri_is_pkcs11(&k->key)) {
                header_verb_refuse(&e->work, EXIT_CODE_POLICY, "%s: a key in a PKCS#11 token has no versions: put another one in its place "
                                   "(\"cmkctl rekey\")", e->work.name);
                return;
        }
        name_wanted(e, k, uri);
        if (key_proof_check(e->work.manager, uri, &e->key, &e->work.outcome) < 0 || !survey(e, &f)) {
                header_verb_fail(&e->work, NULL);
                return;
        }
        if (!is_of_key(e, f.listed, &listed)) {
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: its token names no key", e->work.name);
                return;
        }
        snprintf(e->old, sizeof(e->old), "%s", f.listed->key);
        if (is_to_be_stored(e, f.listed) && key_proof_check_store(e->work.manager, &e->key, &e->work.outcome) < 0) {
                header_verb_fail(&e->work, NULL);
                return;
        }
        p.known = listed.version;
        if (key_proof_start(e->work.manager, &p, &e->key, on_proven, e) < 0)
                header_verb_out_of_memory(&e->work);
}

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct rotate *e = user;
        const struct trust_entry *t;

        safe_close(fd);
        t = header_work_begin(&e->work, y);
        if (t)
                begin(e, t);
        else
                header_verb_fail(&e->work, NULL);
}

static const struct header_verb rotate_verb = {
        .name = "rotate", .fill = fill, .record = record, .failed = say_what_is_left, .free = rotate_free,
};

int rotate_start(struct manager *m, const struct rotate_request *q, const struct requester *who, operation_done done,
                 void *user) {
        struct rotate *e = calloc(1, sizeof(*e));

        if (!e)
                return -ENOMEM;
        header_verb_init(&e->work, m, &rotate_verb, q->what, who, done, user);
        e->request = *q;
        memcpy(e->key.expected, q->expected, sizeof(e->key.expected));
        e->new.fd = -EBADF;
        if (header_work_inspect(&e->work, on_inspected, e) >= 0)
                return 0;
        free(e);
        return -ENOMEM;
}
