/* SPDX-License-Identifier: Apache-2.0 */
#include "header-work.h"

#include "common/log.h"
#include "header-verb.h"
#include "header-watch.h"
#include "manager.h"
#include "personalize.h"
#include "trust-places.h"

#define INSPECT_TIMEOUT_USEC (60 * USEC_PER_SEC)

void header_work_resolve(struct header_work *w, const char *what) {
        struct unlock u = { .manager = w->manager };

        unlock_resolve_open(&u, what);
        memcpy(w->device, u.device, sizeof(w->device));
        random_uuid(w->use_id);
}

int header_work_inspect(struct header_work *w, disk_callback callback, void *user) {
        struct disk_request q = { .op = DISK_OP_INSPECT };

        memcpy(q.device, w->device, sizeof(q.device));
        return disk_child_start(w->manager->children, &q, -EBADF, -EBADF, INSPECT_TIMEOUT_USEC, callback, user, NULL);
}

static bool is_busy(const struct header_work *w) {
        const struct volume *v = manager_volume_by_uuid(w->manager, w->uuid);
        const struct header_work *other;

        LIST_FOREACH(other, &w->manager->works, works)
                if (streq(other->uuid, w->uuid))
                        return true;
        return v && (v->owner || volume_is_in_transit(v));
}

bool header_work_take(struct header_work *w) {
        if (is_busy(w))
                return false;
        LIST_INSERT_HEAD(&w->manager->works, w, works);
        w->begun = true;
        return true;
}

static const struct trust_entry *claim(struct header_work *w, const struct trust_entry *t) {
        struct outcome *o = &w->outcome;

        if (!t)
                outcome_set(o, EXIT_CODE_POLICY, "%s: volume %s is not on this node's list, and that is where its keys are known from",
                            w->device, w->uuid);
        else if (*t->list)
                outcome_set(o, EXIT_CODE_POLICY, "%s is on the signed list %s: its owner says there which keys it has", t->name,
                            t->list);
        else if (header_work_take(w))
                return t;
        else
                outcome_set(o, EXIT_CODE_BUSY, "%s: another operation on it is under way", t->name);
        return NULL;
}

const struct trust_entry *header_work_claim(struct header_work *w) {
        w->outcome = (struct outcome) {};
        return claim(w, trust_find_uuid(w->manager->trust, w->uuid));
}

const struct trust_entry *header_work_begin(struct header_work *w, const struct disk_reply *y) {
        const struct trust_entry *t;

        w->outcome = (struct outcome) {};
        if (y->error < 0) {
                outcome_from_disk(&w->outcome, y);
                return NULL;
        }
        personalize_seen(w->manager, y->uuid);
        t = trust_find_uuid(w->manager->trust, y->uuid);
        w->header = *y;
        memcpy(w->uuid, y->uuid, sizeof(w->uuid));
        snprintf(w->name, sizeof(w->name), "%s", t ? t->name : y->name);
        return claim(w, t);
}

void header_work_give_back(struct header_work *w) {
        if (w->begun)
                LIST_REMOVE(w, works);
        w->begun = false;
}

/* ---- steps ---- */

static void on_changed(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        struct header_work *w = u->user;
        struct outcome o = {};

        safe_close(fd);
        if (!unlock_went_well(u, y))
                return;
        w->header = *y;
        header_watch_ours(manager_volume_by_uuid(w->manager, w->uuid), y);
        o.changed = y->count > 0;
        unlock_end(u, &o);
}

static void on_checked(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        struct header_work *w = u->user;
        const struct trust_entry *t = trust_find_uuid(u->manager->trust, u->volume->uuid);
        struct outcome o = {};

        safe_close(fd);
        if (!unlock_went_well(u, y))
                return;
        if (!t || memcmp(y->trust_digest, t->digest, sizeof(t->digest)) != 0) {
                outcome_set(&o, EXIT_CODE_POLICY, "%s: it is not the volume that this node trusts under its UUID", u->volume->name);
                unlock_fail(u, &o, "refused");
                return;
        }
        w->header = *y;
        unlock_end(u, &o);
}

void header_work_use_check(struct unlock *u) {
        unlock_run(u, DISK_OP_CHECK, on_checked);
}

/* The child that changes a header is told which key it is about, besides the one that opens. */
void header_work_use_change(struct unlock *u, enum disk_op op) {
        const struct header_work *w = u->user;
        struct disk_request q;
        int fd = -EBADF;

        unlock_disk_request(u, op, &q);
        w->verb->fill(w, &q, &fd);
        unlock_start_child(u, &q, fd, on_changed);
}

int header_work_step(struct header_work *w, const struct unlock_verb *verb, enum unlock_pick pick, const struct key_uri *key,
                     operation_done done) {
        struct unlock *u = unlock_new(w->manager, verb, &w->who, done, w);

        if (!u)
                return -ENOMEM;
        u->pick = pick;
        if (key)
                u->pick_key = *key;
        memcpy(u->device, w->device, sizeof(u->device));
        memcpy(u->name_wanted, w->uuid, sizeof(w->uuid));
        if (unlock_start(u) >= 0)
                return 0;
        unlock_free(u);
        return -ENOMEM;
}

/* ---- the list, and the volume where it is known ---- */

static unsigned find_opener(const struct disk_reply *h, const struct wrap_choice *c, const char *opener) {
        for (unsigned i = 0; i < c->n; i++)
                if (streq(h->wraps[c->at[i]].key, opener))
                        return c->at[i];
        return c->at[0];
}

struct volume *header_work_bind(struct header_work *w, int also) {
        const struct trust_entry *t = trust_find_uuid(w->manager->trust, w->uuid);
        struct volume *v = manager_volume_by_uuid(w->manager, w->uuid);
        char opener[513], why[600] = "";
        struct wrap_choice c;

        if (!v || v->n_wraps == 0 || !streq(v->device, w->device))
                return NULL;
        snprintf(opener, sizeof(opener), "%s", volume_key_text(v));
        v->header = w->header;
        *v->header.message = 0;
        if (wrap_choose(&v->header, t, false, &c, why) >= 0) {
                for (unsigned i = 0; also >= 0 && i < v->header.n_wraps && c.n < DISK_WRAPS_MAX; i++)
                        if (v->header.wraps[i].token == also)
                                c.at[c.n++] = i;
                if (wraps_bind(v, &c, false, why) >= 0) {
                        v->opener = find_opener(&v->header, &c, opener);
                        manager_volume_changed(w->manager, v);
                        key_evaluate_volume(v);
                        wraps_schedule(v);
                        return v;
                }
        }
        log_alert("%s: its keys are polled as before: %s", v->name, why);
        return NULL;
}

int header_work_list(struct header_work *w, const struct trust_entry *t) {
        int r = trust_places_update(t);

        return r < 0 ? r : manager_reload_trust(w->manager);
}
