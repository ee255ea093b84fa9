/* SPDX-License-Identifier: Apache-2.0 */

/* From a device to a volume that is proven to open:
 *
 *   INSPECT (already so?) ─► key-proof.h ─► FORMAT (child: W, keyslot, token) ─► unwrap of the real wrapped key ─► record,
 *   durable ─► CHECK (child: opens the keyslot with it) ─► entry on the node's list
 *
 * With a symmetric key, and where the vault keeps the wrapped key, new-secret.h comes before FORMAT, which is given W then and does
 * not make it: W is bound to a UUID that is chosen here.
 *
 * What could not be proven is erased again, by this operation and only what it made itself.
 *
 * A LUKS volume that somebody else made is taken over in the same way, by TAKE_OVER_LOOK and TAKE_OVER. Of that nothing is erased: a token
 * that could not be proven is not on the list, and not used. */

#include "adopt.h"
#include "automatic.h"
#include "common/log.h"
#include "drill.h"
#include "manager.h"
#include "new-volume.h"
#include "trust-places.h"

struct format {
        struct new_volume new;           /* first: it is what the steps are about */
        struct format_request request;
        bool formatted;
        bool drill;                      /* of the drill's volume (drill.h) */
};

static void format_free(struct new_volume *v) {
        struct format *f = (struct format *) v;

        safe_close(f->request.passphrase_fd);
        free(f);
}

static void end(struct format *f) {
        if (f->drill)
                drill_formatting(f->new.manager, false);
        new_volume_end(&f->new);
}

/* ---- what could not be proven ---- */

static void on_erased(const struct disk_reply *y, int fd, void *user) {
        struct format *f = user;

        safe_close(fd);
        if (y->error < 0)
                outcome_add(&f->new.outcome, "; and what was made of it could not be erased: %s", y->message);
        end(f);
}

static void undo(struct new_volume *v) {
        struct format *f = (struct format *) v;
        struct disk_request q;

        if (f->formatted && f->request.take_over)
                outcome_add(&v->outcome, "; its header has the key, which is not used yet, and opens as before: the same command goes on "
                            "from here");
        else if (f->formatted) {
                new_volume_fill(v, DISK_OP_ERASE, &q);
                if (disk_child_start(v->manager->children, &q, -EBADF, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_erased, f, NULL) >= 0)
                        return;
        }
        end(f);
}

/* ---- the proof ---- */

/* What stood all the time is under its lease from now on. */
static void adopt_open(struct new_volume *v) {
        bool mapped = v->made.flags & DISK_FLAG_MAPPED;
        int r = mapped ? adopt_taken_over(v->manager, v->made.uuid, v->asked) : 0;

        v->outcome.adopted = mapped && r >= 0;
        if (r < 0 && r != -ENXIO)
                log_alert("%s: it is open, and not under its lease (%s): \"cmkctl attach %s\" puts it there", v->name, strerror(-r), v->name);
}

static void on_checked(const struct disk_reply *y, int fd, void *user) {
        _cleanup_(freep) struct trust_entry *t = malloc(sizeof(*t));
        struct format *f = user;
        struct new_volume *v = &f->new;
        int r;

        safe_close(fd);
        v->secret_fd = safe_close(v->secret_fd);
        if (!t) {
                new_volume_out_of_memory(v);
                return;
        }
        if (y->error < 0 || memcmp(y->trust_digest, v->made.trust_digest, sizeof(y->trust_digest)) != 0) {
                new_volume_refuse(v, EXIT_CODE_FAILED, "%s: the new volume does not open with what the vault unwrapped: %s", v->device,
                                  *y->message ? y->message : "another volume key");
                return;
        }
        new_volume_entry(v, t);
        r = f->drill ? trust_add(DRILL_DIRECTORY, t) : trust_places_add(t);
        if (r >= 0)
                r = manager_reload_trust(v->manager);
        if (r < 0) {
                new_volume_not_listed(v, r);
                return;
        }
        v->outcome.changed = true;
        adopt_open(v);
        new_volume_record(v, f->request.take_over ? "taken_over" : "formatted");
        end(f);
}

static void prove(struct new_volume *v) {
        struct disk_request q;

        new_volume_fill(v, DISK_OP_CHECK, &q);
        snprintf(q.opener, sizeof(q.opener), "%s", new_volume_wrap(v)->key);
        if (disk_child_start(v->manager->children, &q, v->secret_fd, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_checked, v, NULL) < 0)
                new_volume_out_of_memory(v);
}

/* ---- the header ---- */

static bool made(struct new_volume *v) {
        struct format *f = (struct format *) v;

        f->formatted = true;
        if (f->request.take_over)
                snprintf(v->outcome.kept, sizeof(v->outcome.kept), "%.*s", (int) sizeof(v->outcome.kept) - 1, v->made.message);
        return true;
}

static void fill(struct new_volume *v, struct disk_request *q, int *ret_fd) {
        struct format *f = (struct format *) v;

        q->op = f->request.take_over ? DISK_OP_TAKE_OVER : DISK_OP_FORMAT;
        q->flags |= (f->request.wipe ? DISK_FLAG_WIPE : 0) | (f->request.convert ? DISK_FLAG_CONVERT : 0);
        if (f->request.take_over)
                memcpy(q->uuid, v->uuid, sizeof(q->uuid));
        *ret_fd = f->request.passphrase_fd;
        automatic_know(v->device);
}

/* ---- the beginning ---- */

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct format *f = user;
        struct new_volume *v = &f->new;
        const struct trust_entry *t = y->error >= 0 ? trust_find_uuid(v->manager->trust, y->uuid) : NULL;
        const struct volume *known = y->error >= 0 ? manager_volume_by_uuid(v->manager, y->uuid) : NULL;

        safe_close(fd);
        if (f->request.take_over && y->error < 0) {
                outcome_from_disk(&v->outcome, y);
                new_volume_fail(v);
                return;
        }
        if (f->request.take_over)
                memcpy(v->uuid, y->uuid, sizeof(v->uuid));
        if (t && streq(t->name, v->name) && t->role == v->role && trust_find_key(t, &v->key.uri)) {
                v->made = *y;
                if (!new_volume_has_expected_key(v, t))
                        return;
                snprintf(v->outcome.message, sizeof(v->outcome.message), "%s is volume %s already", v->device, t->name);
                end(f);
        } else if (known && volume_is_open(known))
                new_volume_refuse(v, EXIT_CODE_BUSY, "%s: it is volume %s and attached", v->device, known->name);
        else if (t && f->request.take_over)
                new_volume_refuse(v, EXIT_CODE_POLICY, "%s: it is the volume %s on this node's list already (\"cmkctl enroll %s --key\" "
                                  "gives it one more key)", v->device, t->name, t->name);
        else
                new_volume_begin(v, !trust_find_name(v->manager->trust, v->name) && !manager_volume_by_name(v->manager, v->name), f->drill);
}

/* What can be refused without looking at the disk or asking anybody. */
static bool request_is_valid(struct format *f) {
        struct new_volume *v = &f->new;
        const char *why = drill_objects(v->manager, v->device, v->name, v->role);

        if (why) {
                outcome_set(&v->outcome, EXIT_CODE_POLICY, "%s as %s: %s", v->device, v->name, why);
                return false;
        }
        return new_volume_check_name(v) && key_proof_check(v->manager, v->key_text, &v->key, &v->outcome) >= 0 &&
               (f->request.store != STORE_VAULT || key_proof_check_store(v->manager, &v->key, &v->outcome) >= 0) &&
               (v->role != ROLE_OS || key_proof_check_boot(v->manager, &v->key, &v->outcome) >= 0);
}

static const struct new_volume_verb format_verb = {
        .name = "format", .fill = fill, .made = made, .prove = prove, .undo = undo, .free = format_free,
};
static const struct new_volume_verb take_over_verb = {
        .name = "enroll", .fill = fill, .made = made, .prove = prove, .undo = undo, .free = format_free,
};

int format_start(struct manager *m, const struct format_request *request, const struct requester *who,
                 operation_done done, void *user) {
        struct format *f = calloc(1, sizeof(*f));
        struct disk_request q = { .op = request->take_over ? DISK_OP_TAKE_OVER_LOOK : DISK_OP_INSPECT };
        bool valid;
        int r;

        if (!f)
                return -ENOMEM;
        f->request = *request;
        f->new = (struct new_volume) {
                .device = f->request.device, .name = f->request.name, .key_text = f->request.key,
                .accept_unsafe = f->request.accept_unsafe, .role = request->role,
        };
        new_volume_init(&f->new, m, request->take_over ? &take_over_verb : &format_verb, who, done, user);
        memcpy(f->new.key.expected, request->expected, sizeof(f->new.key.expected));
        q.flags = request->convert ? DISK_FLAG_CONVERT : 0;
        memcpy(q.device, request->device, sizeof(q.device));
        valid = request_is_valid(f);
        f->drill = valid && drill_owns(m, request->device);
        if (f->drill)
                drill_formatting(m, true);
        r = new_volume_start(&f->new, &q, valid, on_inspected);
        if (r < 0 && f->drill)
                drill_formatting(m, false);
        if (r < 0)
                free(f);                 /* the passphrase stays the caller's */
        return r;
}
