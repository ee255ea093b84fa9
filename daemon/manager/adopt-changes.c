/* SPDX-License-Identifier: Apache-2.0 */

/* What happens to an open volume from outside: its mapping is closed, its disk is pulled, a second mapping appears; and
 * mappings of volumes that are not ours. */

#include <syslog.h>

#include "adopt.h"
#include "common/log.h"
#include "disk-child.h"
#include "key.h"
#include "look-again.h"
#include "manager.h"
#include "teardown.h"

#define TIMEOUT_USEC (30 * USEC_PER_SEC)

struct look {
        struct manager *manager;
        struct mapping_seen seen;      /* foreign: the mapping */
        char uuid[37];                 /* changed: the volume; it may be another object by the time of the answer */
        unsigned failures;             /* how often nobody could look */
};

static struct look *look_new(struct manager *m, const char *uuid) {
        struct look *l = calloc(1, sizeof(*l));

        if (!l)
                return NULL;
        l->manager = m;
        memcpy(l->uuid, uuid, sizeof(l->uuid));
        return l;
}

static void record(struct manager *m, const struct volume *v, const char *event, const struct mapping_seen *s,
                   const char *why) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        manager_record_start(r, v, event, LOG_ALERT, false);
        if (s) {
                if (!v)
                        audit_record_add(r, "uuid", s->uuid);
                audit_record_add(r, "mapping", s->mapping);
                audit_record_addf(r, "dev", "%u:%u", s->major, s->minor);
        }
        audit_record_add(r, "why", why);
        manager_record(m, r);
}

/* The volume if it is still in a state in which its mapping should be there. */
static struct volume *volume_of(const struct look *l) {
        struct volume *v = manager_volume_by_uuid(l->manager, l->uuid);

        return v && (v->state == VOLUME_ATTACHED || v->state == VOLUME_HELD || v->state == VOLUME_RECOVERY) ? v : NULL;
}

static void ask(struct look *l, struct volume *v);

static int on_again(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct look *l = user;

        look_again_begin(manager_volume_by_uuid(l->manager, l->uuid));         /* whose timer it is */
        if (volume_of(l))
                ask(l, volume_of(l));
        else
                free(l);
        return 0;
}

/* Nobody could look: it is neither closed nor as it was. Its lease and its deadline go on. */
static void again(struct look *l, struct volume *v, const char *why) {
        if (l->failures == 0)
                log_warning("%s: something happened to its mapping, and nobody could look at it: %s; tried again", v->name, why);
        if (look_again(v, l->failures++, on_again, l) >= 0)
                return;
        log_alert("%s: its mapping is not looked at again: out of memory; \"systemctl restart cmkd\"", v->name);
        free(l);
}

static void on_verified(const struct disk_reply *y, int fd, void *user) {
        struct look *l = user;
        struct volume *v = volume_of(l);

        safe_close(fd);
        if (v && disk_reply_is_passing(y)) {
                again(l, v, y->message);
                return;
        }
        free(l);
        if (!v || (y->flags & DISK_FLAG_OURS))
                return;
        log_warning("%s: closed by somebody else%s%s", v->name, y->error < 0 ? ", and something is left: " : "",
                    y->error < 0 ? y->message : "");
        record(v->manager, v, "closed_elsewhere", NULL, y->error < 0 ? y->message : "");
        volume_set_state(v, VOLUME_CLOSED);
        key_evaluate_volume(v);
        if (!v->owner)
                manager_volume_forget(v->manager, v);
}

static void check_held(struct volume *v, const struct disk_reply *y) {
        static const char why[] = "it was resumed by somebody else while it was held";
        int r;

        if (v->state != VOLUME_HELD || (y->flags & (DISK_FLAG_SUSPENDED|DISK_FLAG_ERROR_TABLE)))
                return;
        log_alert("%s: %s", v->name, why);
        record(v->manager, v, "resumed_elsewhere", NULL, why);
        r = teardown_start(v, ACTION_CUT, CAUSE_REFUSED, why);
        if (r < 0)
                log_alert("%s: it could not be cut: %s", v->name, strerror(-r));
}

static void on_queried(const struct disk_reply *y, int fd, void *user) {
        struct look *l = user;
        struct volume *v = volume_of(l);
        struct disk_request q;

        safe_close(fd);
        if (!v || (y->error >= 0 && (y->flags & DISK_FLAG_OURS))) {
                free(l);
                if (v)
                        check_held(v, y);
                return;
        }
        if (y->error < 0) {
                again(l, v, y->message);
                return;
        }
        volume_disk_request(v, DISK_OP_STEP_VERIFY, &q);
        if (disk_child_start(l->manager->children, &q, -EBADF, -EBADF, TIMEOUT_USEC, on_verified, l, NULL) < 0)
                again(l, v, "out of memory");
}

static void ask(struct look *l, struct volume *v) {
        struct disk_request q;

        volume_disk_request(v, DISK_OP_QUERY, &q);
        if (disk_child_start(l->manager->children, &q, -EBADF, -EBADF, TIMEOUT_USEC, on_queried, l, NULL) < 0)
                again(l, v, "out of memory");
}

void adopt_changed(struct volume *v) {
        struct look *l = look_new(v->manager, v->uuid);

        if (l)
                ask(l, v);
}

void adopt_pulled(struct volume *v, const char *below) {
        const char *why = v->role == ROLE_OS ? "nothing can be closed under a running system" : NULL;
        char text[128];
        int r;

        v->n_below = 0;                /* once is enough */
        snprintf(text, sizeof(text), "%s is gone", below);
        log_alert("%s: the disk below it has been pulled: %s%s%s", v->name, text, why ? "; " : "", strempty(why));
        record(v->manager, v, "disk_removed", NULL, text);
        if (v->role == ROLE_OS)
                return;
        r = teardown_start(v, ACTION_CUT, CAUSE_DISK_REMOVED, "the disk below it has been pulled");
        if (r < 0 && r != -EALREADY)
                log_alert("%s: what is left of it could not be torn down: %s", v->name, strerror(-r));
}

void adopt_second(struct volume *v, const struct mapping_seen *s) {
        log_alert("%s: mapped a second time, as %s, by somebody else: no lease and no cut reaches that mapping", v->name,
                  s->mapping);
        snprintf(v->second_mapping, sizeof(v->second_mapping), "%s", s->mapping);
        record(v->manager, v, "second_mapping", s, "a second mapping of an open volume");
        manager_volume_changed(v->manager, v);
}

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct look *l = user;

        safe_close(fd);
        if (y->error >= 0 && (y->flags & DISK_FLAG_TOKEN) && streq(y->uuid, l->seen.uuid)) {
                log_alert("%s: a cmkd volume that is not on this node's list is open as %s", l->seen.uuid, l->seen.mapping);
                record(l->manager, NULL, "foreign_mapping", &l->seen, "a cmkd volume that is not on this node's list");
        }
        free(l);
}

void adopt_foreign(struct manager *m, const struct mapping_seen *s) {
        struct look *l = look_new(m, s->uuid);
        struct disk_request q = { .op = DISK_OP_INSPECT };
        struct below below[1];

        if (!l)
                return;
        l->seen = *s;
        if (mapping_sysfs_below(s->major, s->minor, below, 1) < 1) {
                free(l);
                return;
        }
        snprintf(q.device, sizeof(q.device), "/dev/%s", below[0].name);
        if (disk_child_start(m->children, &q, -EBADF, -EBADF, TIMEOUT_USEC, on_inspected, l, NULL) < 0)
                free(l);
}
