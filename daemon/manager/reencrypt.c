/* SPDX-License-Identifier: Apache-2.0 */

/* Another volume key for a volume, open or not. What is on it is encrypted anew by encrypt-run.h, whatever interrupts that:
 *
 *   INSPECT (going on already?) ─► REENCRYPT_STAGE by its first key, _WRAP by each other one (child: unwrap, record; the new header, in a
 *      memfd) ─► the list: NextDigest= ─► REENCRYPT_BEGIN (child: the header is the disk's) ─► the list: that digest, OldKey= all of it
 *      ─► encrypt-run.h, after attach.c where it is closed
 *
 * Of a volume of role os the initramfs, which has a copy of the list, is built anew (boot-image.h) before BEGIN, with both digests; before
 * encrypt-run.h moves the first byte, with the new one and OldKey=, by which a header that has ended opens too; and at the end.
 *
 * Between the two lists either header opens: the disk has the one or the other, and whoever comes next (encrypt-run.c) sees which. Before
 * BEGIN nothing is written to the disk; killed before it, nobody has that new key. */

#include <syslog.h>

#include "boot-image.h"
#include "common/log.h"
#include "encrypt-run.h"
#include "header-verb.h"
#include "manager.h"
#include "operation.h"

struct reencrypt {
        struct header_work work;         /* first: it is what the steps are about */
        int words;                       /* the pipe of what is said of its other keyslots */
        int image;                       /* the header to be, once there is one */
        unsigned at;                     /* of header.wraps: whose turn it is */
        bool was_due;                    /* the initramfs, before this */
        uint8_t next[DISK_DIGEST_SIZE];  /* of the new volume key */
};

static void reencrypt_free(struct header_work *w) {
        struct reencrypt *e = (struct reencrypt *) w;

        safe_close(e->words);
        safe_close(e->image);
        free(e);
}

/* ---- it has begun ---- */

static void on_attached(const struct outcome *o, void *user) {
        struct reencrypt *e = user;

        if (o->code != EXIT_CODE_DONE)
                outcome_set(&e->work.outcome, o->code, "%.1000s. The change of its volume key has begun, and goes on when it is attached",
                            o->message);
        header_verb_end(&e->work, NULL);
}

/* Its header says so. */
static void go_on(struct reencrypt *e) {
        struct volume *v = manager_volume_by_uuid(e->work.manager, e->work.uuid);

        header_work_give_back(&e->work);
        if (v && volume_is_open(v)) {
                encrypt_look(v);
                header_verb_end(&e->work, NULL);
        } else if (attach_start(e->work.manager, e->work.uuid, 0, &e->work.who, on_attached, e) < 0)
                header_verb_out_of_memory(&e->work);
}

/* ---- the list ---- */

static int list_next(struct reencrypt *e) {
        const struct trust_entry *t = trust_find_uuid(e->work.manager->trust, e->work.uuid);
        struct trust_entry n;

        if (!t)
                return -ENOENT;
        n = *t;
        n.has_next = true;
        memcpy(n.next_digest, e->next, sizeof(n.next_digest));
        e->was_due = boot_image_is_due();
        return boot_image_list(&e->work, &n);
}

/* Nothing was begun, and nobody has that key any more. What an initramfs has of it opens nothing. */
static void list_as_before(struct reencrypt *e) {
        const struct trust_entry *t = trust_find_uuid(e->work.manager->trust, e->work.uuid);
        struct trust_entry n;

        if (!t)
                return;
        n = *t;
        n.has_next = false;
        if (header_work_list(&e->work, &n) >= 0 && !e->was_due)
                boot_image_forget();
}

/* Where this cannot be written the list has both, and encrypt-run.c tries again. */
static void list_begun(struct reencrypt *e) {
        const struct trust_entry *t = trust_find_uuid(e->work.manager->trust, e->work.uuid);
        struct trust_entry n;
        int r;

        if (!t)
                return;
        n = *t;
        n.has_next = false;
        memcpy(n.digest, e->next, sizeof(n.digest));
        n.rekeying = true;
        n.unencrypted = e->work.header.plain;
        r = boot_image_list(&e->work, &n);
        if (r < 0)
                log_warning("%s: the change of its volume key cannot be written to the node's list yet: %s", e->work.name, strerror(-r));
}

/* ---- the steps ---- */

static void next(struct reencrypt *e);

/* The end of each step's child. */
static void on_child(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        struct reencrypt *e = u->user;
        struct outcome o = {};

        if (!unlock_went_well(u, y)) {
                safe_close(fd);
                return;
        }
        if (fd >= 0) {
                safe_close(e->image);
                e->image = fd;
                memcpy(e->next, y->trust_digest, sizeof(e->next));
        }
        e->work.header = *y;
        unlock_end(u, &o);
}

static void start_child(struct unlock *u, enum disk_op op, int fd) {
        struct disk_request q;

        unlock_disk_request(u, op, &q);
        unlock_start_child(u, &q, fd, on_child);
}

static void use_stage(struct unlock *u) {
        const struct reencrypt *e = u->user;

        start_child(u, DISK_OP_REENCRYPT_STAGE, e->words);
}

static void use_wrap(struct unlock *u) {
        const struct reencrypt *e = u->user;

        start_child(u, DISK_OP_REENCRYPT_WRAP, e->image);
}

static void use_begin(struct unlock *u) {
        const struct reencrypt *e = u->user;

        start_child(u, DISK_OP_REENCRYPT_BEGIN, e->image);
}

static const struct unlock_verb stage_verb = { .name = "reencrypt", .header_only = true, .use = use_stage };
static const struct unlock_verb wrap_verb = { .name = "reencrypt", .header_only = true, .use = use_wrap };
static const struct unlock_verb begin_verb = { .name = "reencrypt", .header_only = true, .use = use_begin };

static void step(struct reencrypt *e, const struct unlock_verb *verb, unsigned wrap, operation_done done) {
        struct key_uri key;

        if (key_uri_parse(e->work.header.wraps[wrap].key, &key, NULL) < 0)
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: its token names no key", e->work.name);
        else if (header_work_step(&e->work, verb, PICK_VERSION, &key, done) < 0)
                header_verb_out_of_memory(&e->work);
}

static void on_begun(const struct outcome *o, void *user) {
        struct reencrypt *e = user;

        if (o->code != EXIT_CODE_DONE) {
                header_verb_end(&e->work, o);
                return;
        }
        list_begun(e);
        e->work.outcome.changed = true;
        log_notice("%s: its volume key is being changed: what is on it is encrypted anew", e->work.name);
        header_verb_record(&e->work, "reencrypt_begun", LOG_NOTICE);
        (void) header_work_bind(&e->work, -1);
        go_on(e);
}

static void on_made(const struct outcome *o, void *user) {
        struct reencrypt *e = user;

        if (o->code != EXIT_CODE_DONE) {
                header_verb_end(&e->work, o);
                return;
        }
        e->at++;
        next(e);
}

static void refuse_without_image(struct reencrypt *e, const char *why) {
        list_as_before(e);
        header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: the initramfs, which would refuse it with another volume key, could not be built "
                           "anew: %s. Nothing was changed", e->work.name, why);
}

/* From here on this machine boots by either header. */
static void on_image(const char *why, void *user) {
        struct reencrypt *e = user;

        if (why)
                refuse_without_image(e, why);
        else
                step(e, &begin_verb, 0, on_begun);
}

static void begin(struct reencrypt *e) {
        const struct trust_entry *t = trust_find_uuid(e->work.manager->trust, e->work.uuid);
        int r;

        if (!t || t->role != ROLE_OS) {
                step(e, &begin_verb, 0, on_begun);
                return;
        }
        log_notice("%s: the initramfs is built anew, so that it opens it by its next volume key too", e->work.name);
        r = boot_image_build(e->work.manager, on_image, e);
        if (r < 0)
                refuse_without_image(e, boot_image_why(r));
}

static void next(struct reencrypt *e) {
        int r;

        if (e->at < e->work.header.n_wraps) {
                step(e, e->at == 0 ? &stage_verb : &wrap_verb, e->at, on_made);
                return;
        }
        r = list_next(e);
        if (r < 0) {
                list_as_before(e);
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: it could not be entered on the node's list in %s that its volume key "
                                   "is to change (%s): nothing was changed", e->work.name, TRUST_DIRECTORY, strerror(-r));
        } else
                begin(e);
}

/* ---- the beginning ---- */

/* Returns 0, or fills in the outcome. */
static int check(struct reencrypt *e, const struct trust_entry *t) {
        const struct disk_reply *h = &e->work.header;
        const struct volume *v = manager_volume_by_uuid(e->work.manager, e->work.uuid);

        if (h->flags & DISK_FLAG_ENCRYPTING)
                outcome_set(&e->work.outcome, EXIT_CODE_BUSY, "%s: it is being encrypted: that has to end first (\"cmkctl status %s\")",
                            t->name, t->name);
        else if (t->role == ROLE_SCRATCH)
                outcome_set(&e->work.outcome, EXIT_CODE_POLICY, "%s: a volume of role scratch has another volume key each time that it is made",
                            t->name);
        else if (h->n_wraps != t->n_keys)
                outcome_set(&e->work.outcome, EXIT_CODE_POLICY, "%s: its header has %u keys, and this node's list %u: finish what was "
                            "begun with them first (rotate, rekey, enroll)", t->name, h->n_wraps, t->n_keys);
        else if (v && volume_is_open(v) && v->state != VOLUME_ATTACHED)
                outcome_set(&e->work.outcome, EXIT_CODE_BUSY, "%s is neither attached nor closed (\"cmkctl status %s\")", t->name, t->name);
        else
                return 0;
        return -EPERM;
}

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct reencrypt *e = user;
        const struct trust_entry *t;

        safe_close(fd);
        t = y->error >= 0 ? trust_find_uuid(e->work.manager->trust, y->uuid) : NULL;
        if (t && y->flags & DISK_FLAG_REKEYING && trust_left(t, y->flags) > 0) {
                memcpy(e->work.uuid, t->uuid, sizeof(e->work.uuid));
                snprintf(e->work.name, sizeof(e->work.name), "%s", t->name);
                go_on(e);                  /* what was asked for */
                return;
        }
        t = header_work_begin(&e->work, y);
        if (!t || check(e, t) < 0) {
                header_verb_fail(&e->work, NULL);
                return;
        }
        header_verb_record(&e->work, "request", LOG_INFO);
        next(e);
}

static const struct header_verb reencrypt_verb = { .name = "reencrypt", .free = reencrypt_free };

int reencrypt_start(struct manager *m, const char *what, int words, const struct requester *who, operation_done done, void *user) {
        struct reencrypt *e = calloc(1, sizeof(*e));

        if (!e)
                return -ENOMEM;
        header_verb_init(&e->work, m, &reencrypt_verb, what, who, done, user);
        e->words = words;
        e->image = -EBADF;
        if (header_work_inspect(&e->work, on_inspected, e) >= 0)
                return 0;
        free(e);
        return -ENOMEM;
}
