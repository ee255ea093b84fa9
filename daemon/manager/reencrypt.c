/* SPDX-License-Identifier: Apache-2.0 */

/* Another volume key for a volume, open or not. What is on it is encrypted anew by encrypt-run.h, whatever interrupts that:
 *
 *   INSPECT (going on already?) ─► REENCRYPT_STAGE by its first key, _WRAP by each other one (child: unwrap, record; the new header, in a
 *      memfd) ─► the list: NextDigest= ─► REENCRYPT_BEGIN (child: the header is the disk's) ─► the list: that digest, OldKey= all of it
 *      ─► encrypt-run.h, after attach.c where it is closed
 *
 * Between the two lists either header opens: the disk has the one or the other, and whoever comes next (encrypt-run.c) sees which. Before
 * BEGIN nothing is written to the disk; killed before it, nobody has that new key. */

#include <stdarg.h>
#include <syslog.h>

#include "common/log.h"
#include "encrypt-run.h"
#include "header-work.h"
#include "manager.h"
#include "operation.h"

struct reencrypt {
        struct header_work work;         /* first: it is what the steps are about */
        int words;                       /* the pipe of what is said of its other keyslots */
        int image;                       /* the header to be, once there is one */
        unsigned at;                     /* of header.wraps: whose turn it is */
        uint8_t next[DISK_DIGEST_SIZE];  /* of the new volume key */
        struct outcome outcome;
        operation_done done;
        void *user;
};

static void end(struct reencrypt *e) {
        memcpy(e->outcome.uuid, e->work.uuid, sizeof(e->outcome.uuid));
        header_work_end(&e->work);
        e->done(&e->outcome, e->user);
        safe_close(e->words);
        safe_close(e->image);
        free(e);
}

static void record(struct reencrypt *e, const char *event, uint8_t priority) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        audit_record_start(r, event, priority, false);
        audit_record_add(r, "verb", "reencrypt");
        audit_record_add(r, "volume", e->work.name);
        audit_record_add(r, "uuid", e->work.uuid);
        audit_record_add(r, "device", e->work.device);
        audit_record_add(r, "by", e->work.who.text);
        audit_record_add(r, "why", e->outcome.message);
        manager_record(e->work.manager, r);
}

/* The outcome is filled in. */
static void fail(struct reencrypt *e) {
        record(e, e->outcome.code == EXIT_CODE_POLICY ? "refused" : "failed", LOG_WARNING);
        end(e);
}

static void _printf_(3, 4) refuse(struct reencrypt *e, enum exit_code code, const char *format, ...) {
        va_list ap;

        e->outcome.code = code;
        va_start(ap, format);
        vsnprintf(e->outcome.message, sizeof(e->outcome.message), format, ap);
        va_end(ap);
        fail(e);
}

/* ---- it has begun ---- */

static void on_attached(const struct outcome *o, void *user) {
        struct reencrypt *e = user;

        if (o->code != EXIT_CODE_DONE) {
                e->outcome.code = o->code;
                snprintf(e->outcome.message, sizeof(e->outcome.message), "%s. The change of its volume key has begun, and goes on when it is "
                         "attached", o->message);
        }
        end(e);
}

/* Its header says so. */
static void go_on(struct reencrypt *e) {
        struct volume *v = manager_volume_by_uuid(e->work.manager, e->work.uuid);

        header_work_end(&e->work);
        if (v && volume_is_open(v)) {
                encrypt_look(v);
                end(e);
        } else if (attach_start(e->work.manager, e->work.uuid, 0, &e->work.who, on_attached, e) < 0)
                refuse(e, EXIT_CODE_FAILED, "%s: out of memory", e->work.name);
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
        return header_work_list(&e->work, &n);
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
        r = header_work_list(&e->work, &n);
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

        u->secret_fd = safe_close(u->secret_fd);
        if (y->error < 0) {
                safe_close(fd);
                outcome_from_disk(&o, y);
                unlock_fail(u, &o, o.code == EXIT_CODE_POLICY ? "refused" : "failed");
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
        struct outcome o = {};

        unlock_disk_request(u, op, &q);
        if (disk_child_start(u->manager->children, &q, u->secret_fd, fd, MANAGER_DISK_TIMEOUT_USEC, on_child, u, NULL) >= 0)
                return;
        outcome_set(&o, EXIT_CODE_FAILED, "%s: out of memory", u->volume->name);
        unlock_end(u, &o);
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
                refuse(e, EXIT_CODE_FAILED, "%s: its token names no key", e->work.name);
        else if (header_work_step(&e->work, verb, PICK_VERSION, &key, done) < 0)
                refuse(e, EXIT_CODE_FAILED, "%s: out of memory", e->work.name);
}

/* What the step wrote down need not be written down again. */
static bool step_went_well(struct reencrypt *e, const struct outcome *o) {
        if (o->code == EXIT_CODE_DONE)
                return true;
        e->outcome.code = o->code;
        snprintf(e->outcome.message, sizeof(e->outcome.message), "%s", o->message);
        end(e);
        return false;
}

static void on_begun(const struct outcome *o, void *user) {
        struct reencrypt *e = user;

        if (!step_went_well(e, o))
                return;
        list_begun(e);
        e->outcome.changed = true;
        log_notice("%s: its volume key is being changed: what is on it is encrypted anew", e->work.name);
        record(e, "reencrypt_begun", LOG_NOTICE);
        (void) header_work_bind(&e->work, -1);
        go_on(e);
}

static void on_made(const struct outcome *o, void *user) {
        struct reencrypt *e = user;

        if (!step_went_well(e, o))
                return;
        e->at++;
        next(e);
}

static void next(struct reencrypt *e) {
        int r;

        if (e->at < e->work.header.n_wraps) {
                step(e, e->at == 0 ? &stage_verb : &wrap_verb, e->at, on_made);
                return;
        }
        r = list_next(e);
        if (r < 0)
                refuse(e, EXIT_CODE_FAILED, "%s: it could not be entered on the node's list in %s that its volume key is to change (%s): "
                       "nothing was changed", e->work.name, TRUST_DIRECTORY, strerror(-r));
        else
                step(e, &begin_verb, 0, on_begun);
}

/* ---- the beginning ---- */

/* Returns 0, or fills in the outcome. */
static int check(struct reencrypt *e, const struct trust_entry *t) {
        const struct disk_reply *h = &e->work.header;
        const struct volume *v = manager_volume_by_uuid(e->work.manager, e->work.uuid);

        if (h->flags & DISK_FLAG_ENCRYPTING)
                outcome_set(&e->outcome, EXIT_CODE_BUSY, "%s: it is being encrypted: that has to end first (\"cmkctl status %s\")", t->name, t->name);
        else if (t->role != ROLE_DATA)
                outcome_set(&e->outcome, EXIT_CODE_POLICY, "%s: only volumes of role data get another volume key: an initramfs that was built "
                            "before would refuse it", t->name);
        else if (h->n_wraps != t->n_keys)
                outcome_set(&e->outcome, EXIT_CODE_POLICY, "%s: its header has %u keys, and this node's list %u: finish what was begun with "
                            "them first (rotate, rekey, enroll)", t->name, h->n_wraps, t->n_keys);
        else if (v && volume_is_open(v) && v->state != VOLUME_ATTACHED)
                outcome_set(&e->outcome, EXIT_CODE_BUSY, "%s is neither attached nor closed (\"cmkctl status %s\")", t->name, t->name);
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
        t = header_work_begin(&e->work, y, &e->outcome);
        if (!t || check(e, t) < 0) {
                fail(e);
                return;
        }
        record(e, "request", LOG_INFO);
        next(e);
}

int reencrypt_start(struct manager *m, const char *what, int words, const struct requester *who, operation_done done, void *user) {
        struct reencrypt *e = calloc(1, sizeof(*e));

        if (!e)
                return -ENOMEM;
        e->work.manager = m;
        e->work.who = *who;
        e->words = words;
        e->image = -EBADF;
        e->done = done;
        e->user = user;
        header_work_resolve(&e->work, what);
        if (header_work_inspect(&e->work, on_inspected, e) >= 0)
                return 0;
        free(e);
        return -ENOMEM;
}
