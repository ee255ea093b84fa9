/* SPDX-License-Identifier: Apache-2.0 */

/* From a device with a file system to a volume that is attached and being encrypted in place:
 *
 *   INSPECT (already so?) ─► key-proof.h ─► ENCRYPT_STAGE (child: W, keyslot, token, in a file) ─► unwrap of the real wrapped key
 *      ─► record, durable ─► entry on the node's list, all of it Unencrypted= ─► ENCRYPT_BEGIN (child: the keyslot opens; file system
 *      made smaller, header written) ─► attach.c, which encrypt-run.c goes on from
 *
 * Before BEGIN nothing is written to the device. What is left of an attempt that did not come to its header is found by STAGE, which
 * answers with that volume then, or taken away here: its entry has a file in ENCRYPT_DIRECTORY, and no disk has its header. */

#include <unistd.h>

#include "automatic.h"
#include "device-facts.h"
#include "encrypt-run.h"
#include "manager.h"
#include "new-volume.h"
#include "trust-places.h"

#define BEGIN_TIMEOUT_USEC (150 * 60 * USEC_PER_SEC)      /* e2fsck and resize2fs have an hour each */

struct encrypt {
        struct new_volume new;           /* first: it is what the steps are about */
        struct encrypt_request request;
        bool listed;                     /* by this run */
};

static void encrypt_free(struct new_volume *v) {
        free((struct encrypt *) v);
}

/* ---- attempts that did not come to their header ---- */

static bool has_file(const char *uuid, const char *suffix) {
        char file[128];

        snprintf(file, sizeof(file), ENCRYPT_DIRECTORY "/%s%s", uuid, suffix);
        return access(file, F_OK) >= 0;
}

static void drop_file(const char *uuid) {
        char file[128];

        snprintf(file, sizeof(file), ENCRYPT_DIRECTORY "/%s.header", uuid);
        (void) unlink(file);
}

/* No disk says that it is that volume. STAGE knows whether this one was to be it. */
static bool is_attempt(const struct trust_entry *t) {
        char link[128];

        snprintf(link, sizeof(link), "/dev/disk/by-uuid/%s", t->uuid);
        return t->unencrypted > 0 && (has_file(t->uuid, ".header") || has_file(t->uuid, ".begun")) && !device_is_there(link);
}

/* Nothing of it is on the device yet. */
static void undo(struct new_volume *v) {
        if (((struct encrypt *) v)->listed) {
                (void) trust_places_remove(v->made.uuid);
                (void) manager_reload_trust(v->manager);
        }
        if (*v->made.uuid && !trust_find_uuid(v->manager->trust, v->made.uuid))
                drop_file(v->made.uuid);
        new_volume_end(v);
}

/* ---- the header comes to the device ---- */

static void on_attached(const struct outcome *o, void *user) {
        struct new_volume *v = user;

        if (o->code != EXIT_CODE_DONE) {
                v->outcome = *o;
                new_volume_record(v, "failed");
        }
        new_volume_end(v);
}

static void attach(struct new_volume *v) {
        if (attach_start(v->manager, v->device, 0, &v->who, on_attached, v) < 0)
                new_volume_out_of_memory(v);
}

static void on_begun(const struct disk_reply *y, int fd, void *user) {
        struct new_volume *v = user;

        safe_close(fd);
        v->secret_fd = safe_close(v->secret_fd);
        if (y->error >= 0) {
                v->outcome.changed = true;
                new_volume_record(v, "encrypt_begun");
                attach(v);
                return;
        }
        outcome_from_disk(&v->outcome, y);
        if (y->count > 0 || y->error == -EPIPE || y->error == -ETIMEDOUT) {
                new_volume_record(v, "failed");        /* the device may have a header: the entry stays */
                new_volume_end(v);
        } else
                new_volume_fail(v);
}

/* The list first: a header that it does not know is refused. */
static int list(struct encrypt *e) {
        struct new_volume *v = &e->new;
        const struct trust_entry *old = trust_find_name(v->manager->trust, v->name);
        _cleanup_(freep) struct trust_entry *t = malloc(sizeof(*t));
        int r;

        if (trust_find_uuid(v->manager->trust, v->made.uuid))
                return 0;
        if (old && is_attempt(old) && !has_file(old->uuid, ".begun")) {
                drop_file(old->uuid);
                r = trust_places_remove(old->uuid);
                if (r < 0)
                        return r;
        }
        if (!t)
                return -ENOMEM;
        new_volume_entry(v, t);
        t->unencrypted = v->made.plain;
        r = trust_places_add(t);
        if (r < 0)
                return r;
        e->listed = true;
        return manager_reload_trust(v->manager);
}

static void prove(struct new_volume *v) {
        int r = list((struct encrypt *) v);
        const struct trust_entry *t = r >= 0 ? trust_find_uuid(v->manager->trust, v->made.uuid) : NULL;
        struct disk_request q;

        if (!t) {
                new_volume_not_listed(v, r < 0 ? r : -EINVAL);
                return;
        }
        new_volume_fill(v, DISK_OP_ENCRYPT_BEGIN, &q);
        memcpy(q.trust_digest, t->digest, sizeof(q.trust_digest));
        q.plain_max = t->unencrypted;
        automatic_know(v->device);
        if (disk_child_start(v->manager->children, &q, v->secret_fd, -EBADF, BEGIN_TIMEOUT_USEC, on_begun, v, NULL) < 0)
                new_volume_out_of_memory(v);
}

/* ---- the header in its file ---- */

/* An attempt of before that was for another key or name is not taken up under this one. */
static bool made(struct new_volume *v) {
        const struct disk_reply *y = &v->made;
        struct key_uri u;

        if (y->n_wraps == 1 && streq(y->name, v->name) && key_uri_parse(y->wraps[0].key, &u, NULL) >= 0 &&
            key_uri_same_key(&u, &v->key.uri)) {
                v->key.uri = u;          /* with the version that it was wrapped with */
                return true;
        }
        new_volume_refuse(v, EXIT_CODE_POLICY, "%s: its encryption as %s, with key %s, was begun already: say the same again", v->device,
                          y->name, y->wraps[0].key);
        return false;
}

static void fill(struct new_volume *v _unused_, struct disk_request *q, int *ret_fd _unused_) {
        q->op = DISK_OP_ENCRYPT_STAGE;
}

/* ---- the beginning ---- */

static bool name_is_free(const struct new_volume *v) {
        const struct trust_entry *t = trust_find_name(v->manager->trust, v->name);

        return t ? is_attempt(t) : !manager_volume_by_name(v->manager, v->name);
}

/* It is a volume of the list already. */
static void go_on(struct new_volume *v, const struct trust_entry *t, const struct disk_reply *y) {
        const struct volume *known = manager_volume_by_uuid(v->manager, y->uuid);

        v->made = *y;
        if (!streq(t->name, v->name) || !trust_find_key(t, &v->key.uri))
                new_volume_refuse(v, EXIT_CODE_POLICY, "%s: it is the volume %s already, with another name or key", v->device, t->name);
        else if (!new_volume_has_expected_key(v, t))
                return;
        else if (t->unencrypted == 0 || (known && volume_is_open(known)))
                new_volume_end(v);
        else
                attach(v);
}

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct new_volume *v = user;
        const struct trust_entry *t = y->error >= 0 ? trust_find_uuid(v->manager->trust, y->uuid) : NULL;

        safe_close(fd);
        if (t)
                go_on(v, t, y);
        else if (y->error >= 0)
                new_volume_refuse(v, EXIT_CODE_POLICY, "%s: it is a volume of cmkd's already, UUID %s, and not on this node's list",
                                  v->device, y->uuid);
        else
                new_volume_begin(v, name_is_free(v), false);
}

static bool request_is_valid(struct new_volume *v) {
        if (!new_volume_check_name(v))
                return false;
        if (v->role == ROLE_DATA)
                return key_proof_check(v->manager, v->key_text, &v->key, &v->outcome) >= 0;
        outcome_set(&v->outcome, EXIT_CODE_POLICY, "%s: only volumes of role data are encrypted in place", v->name);
        return false;
}

static const struct new_volume_verb encrypt_verb = {
        .name = "encrypt", .fill = fill, .made = made, .prove = prove, .undo = undo, .free = encrypt_free,
};

int encrypt_start(struct manager *m, const struct encrypt_request *request, const struct requester *who, operation_done done,
                  void *user) {
        struct encrypt *e = calloc(1, sizeof(*e));
        struct disk_request q = { .op = DISK_OP_INSPECT };
        int r;

        if (!e)
                return -ENOMEM;
        e->request = *request;
        e->new = (struct new_volume) {
                .device = e->request.device, .name = e->request.name, .key_text = e->request.key,
                .accept_unsafe = e->request.accept_unsafe, .role = request->role,
        };
        new_volume_init(&e->new, m, &encrypt_verb, who, done, user);
        memcpy(e->new.key.expected, request->expected, sizeof(e->new.key.expected));
        memcpy(q.device, request->device, sizeof(q.device));
        r = new_volume_start(&e->new, &q, request_is_valid(&e->new), on_inspected);
        if (r < 0)
                free(e);
        return r;
}
