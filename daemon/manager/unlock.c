/* SPDX-License-Identifier: Apache-2.0 */
#include "unlock.h"

#include <limits.h>
#include <syslog.h>
#include <unistd.h>

#include "automatic.h"
#include "common/log.h"
#include "disk-child.h"
#include "header-watch.h"
#include "key.h"
#include "manager.h"
#include "mapping-watch.h"
#include "open-mark.h"
#include "release-record.h"

#define INSPECT_TIMEOUT_USEC (60 * USEC_PER_SEC)

struct unlock *unlock_free(struct unlock *u) {
        if (!u)
                return NULL;
        u->manager->header_unlocks -= u->verb->header_only;
        unlock_forget_others(u);
        turn_end(&u->turn);
        if (u->child)
                disk_child_cancel(u->child);
        safe_close(u->secret_fd);
        safe_close(u->key_fd);
        free(u);
        return NULL;
}

/* Whoever asked for the same hears the same: udev's attach and an operator's are one. */
static void tell_joined(struct volume *v, const struct outcome *o) {
        struct outcome same = *o;

        same.changed = false;
        if (o->code == EXIT_CODE_DONE && v->state != VOLUME_ATTACHED)
                outcome_set(&same, EXIT_CODE_BUSY, "%s: its key was given out, and its mapping is waited for", v->name);
        while (!LIST_EMPTY(&v->joined)) {
                struct unlock *u = LIST_FIRST(&v->joined);

                LIST_REMOVE(u, joined);
                u->done(&same, u->user);
                unlock_free(u);
        }
}

/* A disk that udev attaches and whose key's owner says no: nobody will ask again, so that it waits for the owner's change
 * of mind as a volume does that was cut. */
static bool waits_for_owner(const struct unlock *u, const struct outcome *o) {
        return u->automatic && o->code == EXIT_CODE_REVOKED && u->answered && u->before == VOLUME_CLOSED &&
               u->volume->policy.on_reenable == REENABLE_ATTACH;
}

/* Back to where it was before, unless a teardown has overtaken us: then the state is its business. A claim leaves it
 * alone, and one whose mapping may be there keeps its deadline. */
static void go_back(struct unlock *u, const struct outcome *o) {
        struct volume *v = u->volume;

        if (u->before == VOLUME_RECOVERY || v->released || (v->state != VOLUME_ATTACHING && v->state != VOLUME_RESUMING))
                return;
        if (waits_for_owner(u, o)) {
                v->cause = u->answer.verdict == VERDICT_REVOKED ? CAUSE_REVOKED : CAUSE_DENIED;
                log_notice("%s: it stays closed until its key's owner says yes", v->name);
                volume_set_state(v, VOLUME_CUT);
        } else
                volume_set_state(v, u->before);
        key_not_used(v);
}

void unlock_end(struct unlock *u, struct outcome *o) {
        struct manager *m = u->manager;
        struct volume *v = u->volume;
        char uuid[37];

        if (v && o->code != EXIT_CODE_DONE)
                go_back(u, o);
        if (v && v->owner == u)
                v->owner = NULL;
        /* A mapping that appeared meanwhile was taken for what we make. */
        if (v)
                mapping_watch_made(m->mappings, v);
        o->volume = v;
        if (v)
                tell_joined(v, o);
        memcpy(uuid, v ? v->uuid : "", v ? sizeof(uuid) : 1);
        u->done(o, u->user);
        if (u->verb->header_only)
                volume_free(v);
        /* It may have been forgotten by now: whoever asked for a key may be gone. */
        v = v && !u->verb->header_only ? manager_volume_by_uuid(m, uuid) : NULL;
        if (v && v->state == VOLUME_CLOSED && !v->owner)
                manager_volume_forget(m, v);
        unlock_free(u);
}

void unlock_fail(struct unlock *u, struct outcome *o, const char *event) {
        struct audit_message_record *r = malloc(sizeof(*r));

        if (r) {
                manager_record_start(r, u->volume, event, LOG_WARNING, false);
                if (!u->volume) {
                        audit_record_add(r, "uuid", u->header.uuid);
                        audit_record_add(r, "claimed_name", u->header.name);
                        audit_record_add(r, "key", u->header.wraps[0].key);
                }
                audit_record_add(r, "device", u->device);
                audit_record_add(r, "by", u->who.text);
                if (u->automatic)
                        audit_record_add(r, "trigger", "udev");
                audit_record_add(r, "why", o->message);
                audit_record_addf(r, "exit_code", "%d", o->code);
                if (u->answered)
                        manager_record_reply(r, &u->answer);
                manager_record(u->manager, r);
                free(r);
        }
        unlock_end(u, o);
}

void unlock_disk_request(const struct unlock *u, enum disk_op op, struct disk_request *ret) {
        const struct trust_entry *t = trust_find_uuid(u->manager->trust, u->volume->uuid);

        volume_disk_request(u->volume, op, ret);
        ret->flags |= u->disk_flags;
        memcpy(ret->other_uuid, u->other_uuid, sizeof(ret->other_uuid));
        if (u->read_only)
                ret->flags |= DISK_FLAG_READ_ONLY;
        /* Not on the list any more, and Trust=listed: the digest of zeros is nobody's. */
        if (t) {
                trust_fill_request(t, u->header.flags, ret);
                if (*t->list || !u->verb->while_encrypted)
                        ret->plain_max = 0;
        } else if (u->manager->config->trust == TRUST_ALLOWED_KEYS)
                ret->flags |= DISK_FLAG_UNTRUSTED_OK;
        if (u->volume->policy.on_foreign == FOREIGN_REPORT)
                ret->flags |= DISK_FLAG_FOREIGN_OK;
}

void unlock_start_child(struct unlock *u, const struct disk_request *q, int fd, disk_callback callback) {
        struct outcome o = {};

        if (disk_child_start(u->manager->children, q, u->secret_fd, fd, MANAGER_DISK_TIMEOUT_USEC, callback, u, NULL) >= 0)
                return;
        outcome_set(&o, EXIT_CODE_FAILED, "%s: out of memory", u->volume->name);
        unlock_end(u, &o);
}

void unlock_run(struct unlock *u, enum disk_op op, disk_callback callback) {
        struct disk_request q;

        unlock_disk_request(u, op, &q);
        if (u->child && disk_child_again(TAKE_PTR(u->child), &q, u->secret_fd, MANAGER_DISK_TIMEOUT_USEC, callback, u) >= 0)
                return;
        unlock_start_child(u, &q, u->key_fd, callback);
}

/* Of a volume that was held what stands is looked at (mapping-watch.c). */
static bool may_have_mapped(const struct unlock *u, const struct disk_reply *y) {
        return (y->silence == DISK_SILENT || y->silence == DISK_DIED) && !u->verb->header_only && u->volume->state == VOLUME_ATTACHING;
}

bool unlock_went_well(struct unlock *u, const struct disk_reply *y) {
        struct outcome o = {};

        u->secret_fd = safe_close(u->secret_fd);
        if (!u->verb->keyless && unlock_try_next(u, y))
                return false;
        if (y->error >= 0)
                return true;
        outcome_from_disk(&o, y);
        if (may_have_mapped(u, y))
                unlock_expect_mapping(u, y->silence == DISK_DIED && u->key_fd < 0 ? RELEASE_DIED_USEC : RELEASE_UNUSED_USEC);
        unlock_fail(u, &o, o.code == EXIT_CODE_POLICY ? "refused" : "failed");
        return false;
}

void unlock_take_header(const struct unlock *u, const struct disk_reply *y) {
        struct volume *v = manager_volume_by_uuid(u->manager, u->volume->uuid);

        if (!v || !volume_is_open(v) || !streq(v->device, u->device))
                return;
        v->header = *y;
        header_watch_ours(v, y);
        *v->header.message = 0;
        v->opener = MIN_OF(v->opener, v->header.n_wraps - 1u);
        manager_volume_changed(u->manager, v);
}

void unlock_report_foreign(struct unlock *u, const struct disk_reply *y) {
        _cleanup_(freep) struct audit_message_record *r = NULL;
        struct volume *v = u->volume;

        if (!(y->flags & DISK_FLAG_FOREIGN))
                return;
        snprintf(v->foreign, sizeof(v->foreign), "%.*s", (int) sizeof(v->foreign) - 1, y->message);
        log_alert("%s: its header has what nobody enrolled: %s", v->name, v->foreign);
        r = malloc(sizeof(*r));
        if (!r)
                return;
        manager_record_start(r, v, "foreign_keyslot", LOG_ALERT, false);
        audit_record_add(r, "device", v->device);
        audit_record_add(r, "what", v->foreign);
        manager_record(u->manager, r);
}

bool unlock_was_overtaken(struct unlock *u) {
        const struct volume *v = u->volume;
        struct outcome o = {};

        if (u->verb->header_only || v->state == VOLUME_ATTACHING || v->state == VOLUME_RESUMING || v->state == VOLUME_RECOVERY)
                return false;
        outcome_set(&o, EXIT_CODE_REVOKED, "%s: it was cut meanwhile", v->name);
        unlock_fail(u, &o, "failed");
        return true;
}

static void on_recorded(int error, uint64_t sequence _unused_, void *user) {
        struct unlock *u = user;
        struct outcome o = {};

        if (unlock_was_overtaken(u))
                return;
        if (!release_may_go_on(u->manager, error, u->volume->name, &o)) {
                unlock_fail(u, &o, "failed");
                return;
        }
        if (u->volume->state == VOLUME_ATTACHING)
                open_mark_released(u->volume, u->issued);
        if (u->volume->state == VOLUME_ATTACHING || u->volume->state == VOLUME_RESUMING)
                key_used(u->volume, u->issued);
        u->verb->use(u);
}

void unlock_release(struct unlock *u, const struct vault_reply *y) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        const struct volume *v = u->volume;
        char secret[STORED_NAME_SIZE];
        struct outcome o = {};

        if (r) {
                manager_record_start(r, v, y ? "release" : "request", LOG_NOTICE, true);
                if (y)
                        manager_record_reply(r, y);
                if (y && v->header.wraps[v->opener].stored) {
                        stored_key_name(v->uuid, v->header.wraps[v->opener].wrapped, secret);
                        audit_record_add(r, "secret", secret);
                }
                audit_record_add(r, "verb", u->verb->name);
                audit_record_add(r, "by", u->who.text);
        }
        if (release_record(u->manager, r, on_recorded, u) >= 0)
                return;
        outcome_set(&o, EXIT_CODE_FAILED, "%s: out of memory", u->volume->name);
        unlock_fail(u, &o, "failed");
}

static void join(struct unlock *u) {
        struct volume *v = manager_volume_by_uuid(u->manager, u->header.uuid);

        u->volume = v;
        unlock_record_request(u);
        u->volume = NULL;
        if (u->child)
                disk_child_cancel(TAKE_PTR(u->child));
        LIST_INSERT_HEAD(&v->joined, u, joined);
}

/* For what nobody asked for. False: it has ended, with a record if it was refused. */
static bool may_go_on(struct unlock *u, const struct disk_reply *y) {
        struct outcome o = {};

        u->header = *y;
        switch (automatic_judge(u->manager, u->device, y, &o)) {
        case AUTOMATIC_GO:
                return true;
        case AUTOMATIC_LEAVE:
                unlock_end(u, &o);
                return false;
        default:
                unlock_fail(u, &o, "refused");
                return false;
        }
}

/* Ours: ties the volume to its keys and asks the first. */
static void request_key(struct unlock *u) {
        struct volume *v = u->volume;
        struct outcome o = {};
        char why[600];

        v->header = u->header;
        v->opener = u->tries.at[0];
        *v->foreign = 0;
        random_uuid(v->use_id);
        manager_volume_policy(u->manager, v);
        if (wraps_bind(v, &u->choice, v->policy.revoke == REVOKE_ANY, why) < 0) {
                outcome_set(&o, EXIT_CODE_FAILED, "%s: %s", v->name, why);
                unlock_fail(u, &o, "failed");
                return;
        }
        unlock_try_keys(u);
}

/* About the header alone, with a volume that stands in for the real one. */
static void request_header(struct unlock *u, const char *name, enum role role) {
        struct outcome o = {};

        if (unlock_claim_header(u, name, role, &o) < 0)
                unlock_fail(u, &o, "refused");
        else if (u->verb->keyless)
                unlock_release(u, NULL);
        else
                unlock_try_keys(u);
}

static void claim(struct unlock *u, const char *name, enum role role) {
        struct outcome o = {};

        switch (unlock_claim_volume(u, name, role, &o)) {
        case 0:
                request_key(u);
                break;
        case -EINPROGRESS:
                join(u);
                break;
        case -EALREADY:
                u->done(&o, u->user);
                unlock_free(u);
                break;
        default:
                if (u->automatic && o.code == EXIT_CODE_BUSY)
                        unlock_end(u, &o);       /* asked again soon; nothing happened yet */
                else
                        unlock_fail(u, &o, "refused");
        }
}

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        struct outcome o = {};
        const char *name = NULL;
        enum role role = ROLE_DATA;

        safe_close(fd);
        turn_end(&u->turn);
        if (y->error < 0 || !u->verb->one_child)
                u->child = NULL;
        if (u->automatic && !may_go_on(u, y))
                return;
        if (y->error < 0) {
                outcome_from_disk(&o, y);
                unlock_fail(u, &o, "refused");
                return;
        }
        u->header = *y;
        if (u->volume && !streq(y->uuid, u->volume->uuid)) {       /* its keys would be asked in the place of this one's */
                outcome_set(&o, EXIT_CODE_POLICY, "%s holds volume %s now, not %s", u->device, y->uuid, u->volume->name);
                unlock_fail(u, &o, "refused");
                return;
        }
        if (unlock_check_identity(u, &o, &name, &role) < 0 || unlock_check_keys(u, name, role, &o) < 0) {
                unlock_fail(u, &o, "refused");
                return;
        }
        if (u->volume)             /* held: it is ours already */
                request_key(u);
        else if (u->verb->header_only)
                request_header(u, name, role);
        else
                claim(u, name, role);
}

struct unlock *unlock_new(struct manager *m, const struct unlock_verb *verb, const struct requester *who,
                          operation_done done, void *user) {
        struct unlock *u = calloc(1, sizeof(*u));

        if (!u)
                return NULL;
        u->manager = m;
        u->verb = verb;
        m->header_unlocks += verb->header_only;
        u->secret_fd = -EBADF;
        u->key_fd = -EBADF;
        u->who = *who;
        u->done = done;
        u->user = user;
        return u;
}

static int look(struct unlock *u) {
        enum disk_op op = u->verb->look;
        struct disk_request q = { .op = op ? op : DISK_OP_INSPECT, .flags = u->disk_flags };

        memcpy(q.device, u->device, sizeof(q.device));
        memcpy(q.other_uuid, u->other_uuid, sizeof(q.other_uuid));
        if (u->verb->one_child)
                q.flags |= DISK_FLAG_STAY;
        return disk_child_start(u->manager->children, &q, -EBADF, op ? u->key_fd : -EBADF, INSPECT_TIMEOUT_USEC, on_inspected, u, &u->child);
}

static void on_look_turn(void *user) {
        struct outcome o = {};
        struct unlock *u = user;

        if (look(u) >= 0)
                return;
        outcome_set(&o, EXIT_CODE_FAILED, "%s: out of memory", u->device);
        unlock_end(u, &o);
}

int unlock_start(struct unlock *u) {
        return turn_take(&u->manager->looks, &u->turn, on_look_turn, u) ? look(u) : 0;
}

/* Where udev has it. What was copied with an image has one UUID or the other while its header is being made. */
static bool find_disk(const struct trust_list *l, const char *uuid, char real[static PATH_MAX]) {
        const struct trust_entry *copy = trust_find_made_from(l, uuid);
        char link[64];

        snprintf(link, sizeof(link), "/dev/disk/by-uuid/%s", uuid);
        if (realpath(link, real))
                return true;
        if (!copy || !copy->pending)
                return false;
        snprintf(link, sizeof(link), "/dev/disk/by-uuid/%s", copy->uuid);
        return realpath(link, real);
}

/* Later steps all speak of the same device. */
void unlock_resolve(struct unlock *u, const char *what) {
        const struct trust_entry *t = NULL;
        char link[257], real[PATH_MAX];

        u->by_path = *what == '/';
        if (!u->by_path) {
                t = trust_find_name(u->manager->trust, what);
                if (!t)
                        t = trust_find_uuid(u->manager->trust, what);
                snprintf(u->name_wanted, sizeof(u->name_wanted), "%s", what);
        }
        snprintf(link, sizeof(link), t || *what != '/' ? "/dev/disk/by-uuid/%s" : "%s", t ? t->uuid : what);
        if (!(t ? find_disk(u->manager->trust, t->uuid, real) : !!realpath(link, real)) || strlen(real) >= sizeof(u->device))
                snprintf(real, sizeof(real), "%s", link);
        snprintf(u->device, sizeof(u->device), "%s", real);
}

void unlock_resolve_open(struct unlock *u, const char *what) {
        const struct volume *v = manager_volume_by_name(u->manager, what);

        if (!v)
                v = manager_volume_by_uuid(u->manager, what);
        unlock_resolve(u, v && volume_is_open(v) ? v->device : what);
}

int unlock_header(struct manager *m, const struct unlock_verb *verb, const char *what, int key_fd, uint32_t disk_flags,
                  const struct requester *who, operation_done done, void *user) {
        struct unlock *u = unlock_new(m, verb, who, done, user);
        int r;

        if (!u)
                return -ENOMEM;
        unlock_resolve_open(u, what);
        if (*what != '/')
                snprintf(u->name_wanted, sizeof(u->name_wanted), "%s", what);
        u->key_fd = key_fd;
        u->disk_flags = disk_flags;
        r = unlock_start(u);
        if (r < 0) {
                u->key_fd = -EBADF;
                unlock_free(u);
        }
        return r;
}
