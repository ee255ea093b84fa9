/* SPDX-License-Identifier: Apache-2.0 */

/* From a device to a mapping, from a held volume back to one that works, and from one that was opened without us to one
 * under its lease: what unlock.h does, then
 *
 *   ... ─► record "release", durable ─► ACTIVATE or RESUME (child, reads the pipe) ─► breaker armed, key polled
 *                                   └─► claim: CHECK (child, reads the pipe), RECOGNIZE ─► the same */

#include <syslog.h>

#include "automatic.h"
#include "common/log.h"
#include "device-facts.h"
#include "disk-child.h"
#include "key.h"
#include "manager.h"
#include "trust-places.h"
#include "unlock.h"

/* Somebody said that the volume is on this disk: from now on it is the one that is attached by itself. */
static void remember_disk(struct unlock *u) {
        const struct trust_entry *t = trust_find_uuid(u->manager->trust, u->volume->uuid);
        struct device_facts f;
        struct trust_entry e;
        int r;

        if (!t || device_facts_read(u->device, &f) < 0 || !*f.serial || streq(f.serial, t->serial))
                return;
        e = *t;
        memcpy(e.serial, f.serial, sizeof(e.serial));
        r = trust_places_update(&e);
        if (r == -ENOENT)                  /* on a signed list only */
                r = trust_places_add(&e);
        if (r >= 0)
                r = manager_reload_trust(u->manager);
        if (r < 0)
                log_warning("%s: serial %s is not on the list: %s", u->volume->name, f.serial, strerror(-r));
}

static void on_active(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        struct volume *v = u->volume;
        struct audit_message_record *r;
        struct outcome o = {};

        safe_close(fd);
        turn_end(&u->turn);
        if (!unlock_went_well(u, y) || unlock_was_overtaken(u))
                return;
        unlock_report_foreign(u, y);
        if (u->before != VOLUME_HELD) {
                v->dev_major = y->dev_major;
                v->dev_minor = y->dev_minor;
                v->sectors = y->sectors;
        }
        memcpy(v->activation, y->activation, sizeof(v->activation));
        v->header_changed = false;
        volume_set_state(v, VOLUME_ATTACHED);
        r = malloc(sizeof(*r));
        if (r) {
                manager_record_start(r, v, u->before == VOLUME_HELD ? "resumed" : "attached", LOG_NOTICE, false);
                audit_record_add(r, "device", v->device);
                audit_record_addf(r, "dev", "%u:%u", v->dev_major, v->dev_minor);
                audit_record_add(r, "request_id", u->answer.request_id);
                manager_record(u->manager, r);
                free(r);
        }
        key_evaluate_volume(v);
        wraps_schedule(v);
        automatic_know(u->device);
        if (u->by_path && !u->automatic)
                remember_disk(u);
        o.changed = true;
        unlock_end(u, &o);
}

static void open_it(void *user) {
        struct unlock *u = user;

        if (!unlock_was_overtaken(u))
                unlock_run(u, u->before == VOLUME_HELD ? DISK_OP_RESUME : DISK_OP_ACTIVATE, on_active);
}

static void activate(struct unlock *u) {
        if (turn_take(&u->manager->opens, &u->turn, open_it, u))
                open_it(u);
}

static void claim_failed(struct unlock *u, const struct disk_reply *y, const char *why) {
        struct outcome o = {};

        if (y->error < 0)
                outcome_from_disk(&o, y);
        else
                outcome_set(&o, EXIT_CODE_POLICY, "%s: %s", u->volume->name, why);
        unlock_fail(u, &o, "refused");
}

static void on_recognized(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;

        safe_close(fd);
        if (y->error < 0 || u->volume->state != VOLUME_RECOVERY)
                claim_failed(u, y, "it was closed meanwhile");
        else if (!(y->flags & DISK_FLAG_TABLE_OK))
                claim_failed(u, y, *y->message ? y->message : "its mapping is gone");
        else
                on_active(y, -EBADF, u);
}

/* That the keyslot opens proves the header; the mapping is compared with it afterwards. Nobody can see whether the key
 * in the kernel is the header's, but a mapping with another would not carry a file system. */
static void on_checked(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        struct disk_request q;

        safe_close(fd);
        u->secret_fd = safe_close(u->secret_fd);
        if (u->volume->state == VOLUME_RECOVERY && unlock_try_next(u, y))
                return;
        unlock_disk_request(u, DISK_OP_RECOGNIZE, &q);
        if (y->error < 0 || u->volume->state != VOLUME_RECOVERY) {
                claim_failed(u, y, "it was closed meanwhile");
                return;
        }
        if (!(q.flags & DISK_FLAG_UNTRUSTED_OK) && memcmp(y->trust_digest, q.trust_digest, sizeof(q.trust_digest)) != 0) {
                claim_failed(u, y, "it is not the volume that this node trusts under its UUID");
                return;
        }
        unlock_report_foreign(u, y);
        if (disk_child_start(u->manager->children, &q, -EBADF, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_recognized, u, NULL) < 0)
                claim_failed(u, y, "out of memory");
}

static void check(struct unlock *u) {
        struct disk_reply failed = { .error = -ENOMEM };
        struct disk_request q;

        unlock_disk_request(u, DISK_OP_CHECK, &q);
        if (disk_child_start(u->manager->children, &q, u->secret_fd, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_checked, u, NULL) < 0)
                claim_failed(u, &failed, NULL);
}

static const struct unlock_verb attach_verb = { .name = "attach", .open_is_done = true, .one_child = true, .while_encrypted = true, .use = activate };
static const struct unlock_verb resume_verb = { .name = "resume", .one_child = true, .use = activate };
static const struct unlock_verb claim_verb = { .name = "claim", .use = check };

int attach_start(struct manager *m, const char *what, unsigned flags, const struct requester *who,
                 operation_done done, void *user) {
        struct unlock *u = unlock_new(m, &attach_verb, who, done, user);
        int r;

        if (!u)
                return -ENOMEM;
        u->read_only = flags & ATTACH_READ_ONLY;
        u->automatic = flags & ATTACH_AUTOMATIC;
        unlock_resolve(u, what);
        r = unlock_start(u);
        if (r < 0)
                unlock_free(u);
        return r;
}

/* About a volume that is open already. */
static struct unlock *unlock_of(struct volume *v, const struct unlock_verb *verb, const struct requester *who,
                                operation_done done, void *user) {
        struct unlock *u = unlock_new(v->manager, verb, who, done, user);

        if (!u)
                return NULL;
        u->volume = v;
        u->before = v->state;
        memcpy(u->device, v->device, sizeof(u->device));
        return u;
}

int resume_start(struct volume *v, const struct requester *who, operation_done done, void *user) {
        struct unlock *u = unlock_of(v, &resume_verb, who, done, user);
        const char *why;
        int r;

        if (!u)
                return -ENOMEM;
        r = unlock_may_own(v, &why);
        if (r >= 0)
                r = volume_set_state(v, VOLUME_RESUMING);
        if (r >= 0) {
                r = unlock_start(u);
                if (r < 0)
                        (void) volume_set_state(v, u->before);
        }
        if (r < 0)
                unlock_free(u);
        else
                v->owner = u;
        return r;
}

int claim_start(struct volume *v, const struct requester *who, operation_done done, void *user) {
        struct unlock *u = unlock_of(v, &claim_verb, who, done, user);
        const char *why;
        int r;

        if (!u)
                return -ENOMEM;
        r = unlock_may_own(v, &why);
        if (r >= 0)
                r = unlock_start(u);
        if (r < 0)
                unlock_free(u);
        else
                v->owner = u;
        return r;
}
