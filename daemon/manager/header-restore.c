/* SPDX-License-Identifier: Apache-2.0 */

/* A header from a file in the place of the one that a volume has. What unlock.h does for a header, with that of the file:
 *
 *   HEADER_CANDIDATE (child: the file's header, and whether it may go onto the device) ─► the node's list: of this volume, and not
 *   older than was seen ─► W by a real unwrap ─► record "release", durable ─► the list again ─► HEADER_RESTORE (child: it opens, to
 *   the volume key that this node trusts; written so that one of the two opens at each moment) ─► where it is older: the list ─► record
 *
 * A rotation may have ended while the vault was waited for: from the second look at the list on no other work has the header
 * (header-work.h).
 *
 * With `older` the list has afterwards, of the keys that it had, those that the header has, as that has them; where it has none, the key
 * that opened it. Nothing else that opens the header counts for this node: status names it. Killed before the list is written, the older
 * header is refused as before (rule 10), and the same command goes on. */

#include <sys/stat.h>
#include <syslog.h>

#include "backup-mark.h"
#include "common/log.h"
#include "header-work.h"
#include "manager.h"
#include "pin.h"
#include "trust-places.h"

struct restore {
        struct header_work work;         /* from the moment that W is there */
        operation_done done;
        void *user;
};

/* In the way: open, or about to be. */
static bool is_closed(const struct volume *v) {
        return !v || (!v->owner && !volume_is_open(v) && !volume_is_in_transit(v));
}

static const struct disk_wrap *find_opener(const struct disk_reply *h, const char *key) {
        for (unsigned i = 0; i < h->n_wraps; i++)
                if (streq(h->wraps[i].key, key))
                        return h->wraps + i;
        return NULL;
}

static void record(struct unlock *u, const struct disk_reply *h, const char *path, const char *older) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        const struct disk_wrap *w = find_opener(h, volume_key_text(u->volume));

        if (!r)
                return;
        manager_record_start(r, u->volume, u->verb->done_event, LOG_WARNING, false);
        if (w)
                pin_record(r, w->spki, w->spki_size);
        audit_record_add(r, "device", u->device);
        audit_record_add(r, "backup", path);
        audit_record_add(r, "by", u->who.text);
        audit_record_add(r, "why", older);
        manager_record(u->manager, r);
}

static void take_key(struct trust_entry *t, const struct disk_wrap *w) {
        struct trust_key *k = t->keys + t->n_keys;

        *k = (struct trust_key) {};
        if (key_uri_parse(w->key, &k->key, NULL) < 0)
                return;
        *k->key.version = 0;
        trust_key_take(k, w);
        t->n_keys++;
}

/* The newest of that key that the header has, or NULL. */
static const struct disk_wrap *find_newest(const struct disk_reply *h, const struct key_uri *key) {
        const struct disk_wrap *best = NULL;

        for (unsigned i = 0; i < h->n_wraps; i++) {
                struct key_uri u;

                if (key_uri_parse(h->wraps[i].key, &u, NULL) >= 0 && key_uri_same_key(&u, key) &&
                    (!best || h->wraps[i].generation > best->generation))
                        best = h->wraps + i;
        }
        return best;
}

/* Returns 0, or a negative errno: the list is as it was. */
static int put_list_back(struct unlock *u, const struct trust_entry *t, const struct disk_reply *h) {
        _cleanup_(freep) struct trust_entry *e = malloc(sizeof(*e));
        const struct disk_wrap *w;
        int r;

        if (!e)
                return -ENOMEM;
        *e = *t;
        e->n_keys = 0;
        for (unsigned i = 0; i < t->n_keys; i++) {
                w = find_newest(h, &t->keys[i].key);
                if (w)
                        take_key(e, w);
        }
        w = e->n_keys == 0 ? find_opener(h, volume_key_text(u->volume)) : NULL;
        if (w)
                take_key(e, w);
        r = trust_places_put_back(e);
        return r < 0 ? r : manager_reload_trust(u->manager);
}

/* The file is now the backup of the header as it is. */
static void note_backup(struct unlock *u, const struct disk_reply *y, char *path, size_t size) {
        struct backup_mark b = {};
        struct stat st;

        backup_mark_place(u->key_fd, path, size);
        if (fstat(u->key_fd, &st) < 0 || *path != '/')
                return;
        b.realtime_usec = (uint64_t) st.st_mtim.tv_sec * USEC_PER_SEC;
        snprintf(b.path, sizeof(b.path), "%s", path);
        memcpy(b.digest, y->header_digest, sizeof(b.digest));
        (void) backup_mark_write(u->volume->uuid, &b);
}

/* A volume that waits for its owner is polled by the keys that it has now. */
static void bind_again(struct unlock *u, const struct disk_reply *y) {
        struct header_work w = { .manager = u->manager, .header = *y };

        memcpy(w.uuid, u->volume->uuid, sizeof(w.uuid));
        memcpy(w.device, u->device, sizeof(w.device));
        (void) header_work_bind(&w, -1);
}

static void on_restored(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        const struct trust_entry *t = trust_find_uuid(u->manager->trust, u->volume->uuid);
        char path[257] = "", older[600] = "";
        struct outcome o = {};
        struct wrap_choice c;
        int r = 0;

        safe_close(fd);
        if (!unlock_went_well(u, y))
                return;
        if (t && u->verb->older && wrap_choose(y, t, false, &c, older) < 0)
                r = put_list_back(u, t, y);
        o.changed = y->count > 0 || *older;
        if (o.changed)
                note_backup(u, y, path, sizeof(path));
        u->key_fd = safe_close(u->key_fd);
        if (r < 0) {
                outcome_set(&o, EXIT_CODE_FAILED, "%s: the older header is restored, but the node's list in %s cannot be written (%s), and "
                            "refuses it: the same command goes on from here", u->volume->name, TRUST_DIRECTORY, strerror(-r));
                unlock_fail(u, &o, "failed");
                return;
        }
        if (o.changed)
                record(u, y, path, older);
        bind_again(u, y);
        unlock_end(u, &o);
}

/* As it is now, not as it was before the vault was asked. */
static bool may_restore(struct unlock *u, struct outcome *o) {
        const struct trust_entry *t = trust_find_uuid(u->manager->trust, u->volume->uuid);
        const struct volume *v = manager_volume_by_uuid(u->manager, u->volume->uuid);
        struct restore *r = u->user;
        struct wrap_choice c;
        char why[600];
        bool older = t && wrap_choose(&u->header, t, u->manager->trust_early && !u->verb->older, &c, why) < 0;

        memcpy(r->work.uuid, u->volume->uuid, sizeof(r->work.uuid));
        if (!is_closed(v))
                outcome_set(o, EXIT_CODE_BUSY, "%s: it is open: detach it first", u->volume->name);
        else if (older && !u->verb->older)
                outcome_set(o, EXIT_CODE_POLICY, "%s: %s", u->volume->name, why);
        else if (older && *t->list)
                outcome_set(o, EXIT_CODE_POLICY, "%s is on the signed list %s: its owner says there which generation counts", t->name,
                            t->list);
        else if (!r->work.begun && !header_work_take(&r->work))      /* begun: it is another key's turn */
                outcome_set(o, EXIT_CODE_BUSY, "%s: another operation on it is under way", u->volume->name);
        return o->code == EXIT_CODE_DONE;
}

static void use_restore(struct unlock *u) {
        struct outcome o = {};

        if (may_restore(u, &o))
                unlock_run(u, DISK_OP_HEADER_RESTORE, on_restored);
        else
                unlock_fail(u, &o, "refused");
}

static const struct unlock_verb restore_verb = {
        .name = "header restore", .header_only = true, .look = DISK_OP_HEADER_CANDIDATE, .use = use_restore,
        .done_event = "header_restored",
};
static const struct unlock_verb restore_older_verb = {
        .name = "header restore", .header_only = true, .look = DISK_OP_HEADER_CANDIDATE, .older = true, .use = use_restore,
        .done_event = "header_restored",
};

static void on_done(const struct outcome *o, void *user) {
        struct restore *r = user;

        header_work_give_back(&r->work);
        r->done(o, r->user);
        free(r);
}

int header_restore_start(struct manager *m, const struct restore_request *q, int file, const struct requester *who, operation_done done,
                         void *user) {
        struct restore *r = calloc(1, sizeof(*r));
        int error;

        if (!r)
                return -ENOMEM;
        *r = (struct restore) { .work.manager = m, .done = done, .user = user };
        error = unlock_header(m, q->older ? &restore_older_verb : &restore_verb, q->what, file, q->wipe ? DISK_FLAG_WIPE : 0, who, on_done, r);
        if (error < 0)
                free(r);
        return error;
}
