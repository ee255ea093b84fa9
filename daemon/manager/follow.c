/* SPDX-License-Identifier: Apache-2.0 */
#include "follow.h"

#include <syslog.h>

#include "common/log.h"
#include "key.h"
#include "manager.h"
#include "operation.h"

/* One of the manager's at a time: a rotation asks vaults and writes headers. */
struct follow_run {
        struct manager *manager;
        struct key_uri newest;
        char uuid[37];                 /* of the volume that is being rotated */
};

static void go_on(struct follow_run *f);

/* One of its keys is that one, in another version. Returns its place, or -1. */
static int find_older(const struct volume *v, const struct key_uri *newest) {
        for (unsigned i = 0; i < v->n_wraps; i++) {
                struct key_uri u;

                if (key_uri_parse(v->wraps[i]->uri, &u, NULL) >= 0 && key_uri_same_key(&u, newest) &&
                    !streq(u.version, newest->version))
                        return (int) i;
        }
        return -1;
}

/* What an owner's list says of its keys is not changed here, and a drill is over soon. */
static bool is_ours(const struct volume *v) {
        const struct trust_entry *t = trust_find_uuid(v->manager->trust, v->uuid);

        return t && !*t->list && !t->drill;
}

static struct volume *find_volume(struct follow_run *f) {
        uint64_t now = now_boottime_usec();
        struct volume *v;

        LIST_FOREACH(v, &f->manager->volumes, volumes)
                if (v->state == VOLUME_ATTACHED && !v->owner && v->follow_after_usec <= now && is_ours(v) &&
                    find_older(v, &f->newest) >= 0)
                        return v;
        return NULL;
}

static void put_off(struct volume *v) {
        v->follow_after_usec = now_boottime_usec() + FOLLOW_RETRY_USEC;
}

static void on_rotated(const struct outcome *o, void *user) {
        struct follow_run *f = user;
        struct volume *v = manager_volume_by_uuid(f->manager, f->uuid);

        if (o->code != EXIT_CODE_DONE)
                log_warning("KeyVersion=latest: %s; tried again in %u minutes", o->message,
                            (unsigned) (FOLLOW_RETRY_USEC / USEC_PER_SEC / 60));
        /* the same one is not taken twice in a row, whatever came of it */
        if (v && (o->code != EXIT_CODE_DONE || find_older(v, &f->newest) >= 0))
                put_off(v);
        go_on(f);
}

static void go_on(struct follow_run *f) {
        static const struct requester who = { .text = "cmkd (KeyVersion=latest)" };
        struct volume *v = find_volume(f);
        struct rotate_request q = {};
        struct key_uri any = f->newest;

        if (v) {
                memcpy(f->uuid, v->uuid, sizeof(f->uuid));
                memcpy(q.what, v->uuid, sizeof(v->uuid));
                memcpy(q.version, any.version, sizeof(q.version));
                *any.version = 0;
                key_uri_format(&any, q.key, sizeof(q.key));
                if (rotate_start(f->manager, &q, &who, on_rotated, f) >= 0)
                        return;
                put_off(v);
        }
        f->manager->following = NULL;
        free(f);
}

static void begin(struct manager *m, const struct key_uri *newest) {
        struct follow_run *f = m->following ? NULL : calloc(1, sizeof(*f));

        if (!f)
                return;
        f->manager = m;
        f->newest = *newest;
        m->following = f;
        go_on(f);
}

/* The vault's word alone: what is done with it proves the version first. */
static bool is_usable(const struct vault_reply *y) {
        uint64_t now = instant_now().realtime_usec / USEC_PER_SEC;

        return y->verdict == VERDICT_GRANTED && y->key_flags & VAULT_KEY_ENABLED && now >= y->not_before &&
               (y->expires == 0 || now < y->expires);
}

static void record(struct key *k) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        audit_record_start(r, "key_outdated", LOG_NOTICE, false);
        audit_record_add(r, "key", k->uri_text);
        audit_record_add(r, "new_key", k->follow.newest);
        manager_record(k->manager, r);
}

/* Once for each. */
static void note_newer(struct key *k, const struct key_uri *newest) {
        char uri[KEY_URI_MAX];

        key_uri_format(newest, uri, sizeof(uri));
        if (streq(uri, k->follow.newest))
                return;
        memcpy(k->follow.newest, uri, sizeof(k->follow.newest));
        log_notice("Key %s: there is a newer version, %s; volumes still need this one (\"cmkctl keys usage\")", k->uri_text, uri);
        record(k);
}

static void on_newest(const struct vault_reply *y, void *user) {
        struct key *k = (struct key *) ((uint8_t *) user - offsetof(struct key, follow));
        struct key_uri u;

        k->follow.asking = false;
        if (y->verdict != VERDICT_GRANTED)
                return;
        if (!is_usable(y) || key_uri_parse(y->kid, &u, NULL) < 0 || !key_uri_same_key(&u, &k->uri) || !*u.version ||
            streq(u.version, k->uri.version))
                *k->follow.newest = 0;
        else {
                note_newer(k, &u);
                if (follow_wants(k))
                        begin(k->manager, &u);
        }
}

bool follow_wants(const struct key *k) {
        const struct vault_config *vault = config_vault_by_name(k->manager->config, k->vault);

        return vault && vault->key_version == KEY_VERSION_LATEST;
}

static bool is_due(const struct key *k) {
        return follow_wants(k) || k->follow.asked_usec == 0 || now_boottime_usec() >= k->follow.asked_usec + FOLLOW_LOOK_USEC;
}

void follow_look(struct key *k) {
        _cleanup_(freep) struct vault_request *q = NULL;

        /* a key in a token has no versions */
        if (k->follow.asking || key_uri_is_pkcs11(&k->uri) || !is_due(k))
                return;
        q = malloc(sizeof(*q));
        if (!q)
                return;
        key_fill_request(k, VAULT_OP_GET_KEY, q);
        *q->key.version = 0;
        k->follow.asked_usec = now_boottime_usec();
        k->follow.asking = worker_ask(k->manager->worker, q, -EBADF, on_newest, &k->follow) >= 0;
}
