/* SPDX-License-Identifier: Apache-2.0 */
#include "header-watch.h"

#include <syslog.h>

#include "common/log.h"
#include "disk-child.h"
#include "header-work.h"
#include "manager.h"

#define QUIET_USEC USEC_PER_SEC
#define LOOK_TIMEOUT_USEC (30 * USEC_PER_SEC)

struct look {
        struct manager *manager;
        char uuid[37];                 /* the volume may be another object, or none, by the time of an answer */
};

static void wait_until_quiet(struct volume *v);

static bool is_ours(const struct manager *m, const struct volume *v) {
        const struct trust_entry *t = trust_find_uuid(m->trust, v->uuid);
        const struct header_work *w;

        LIST_FOREACH(w, &m->works, works)
                if (streq(w->uuid, v->uuid))
                        return true;
        return v->owner || m->header_unlocks > 0 || (t && t->unencrypted > 0);
}

void header_watch_ours(struct volume *v, const struct disk_reply *y) {
        if (v)
                memcpy(v->header_ours, y->header_digest, sizeof(v->header_ours));
}

static bool is_known(const struct volume *v, const uint8_t *digest) {
        return memcmp(digest, v->header.header_digest, DISK_DIGEST_SIZE) == 0 || memcmp(digest, v->header_ours, DISK_DIGEST_SIZE) == 0;
}

/* what: a sentence's end. */
static void report(struct volume *v, const char *what) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        log_alert("%s: changed by others while it is open: %s", v->name, what);
        manager_volume_changed(v->manager, v);
        if (!r)
                return;
        manager_record_start(r, v, "header_changed", LOG_ALERT, false);
        audit_record_add(r, "device", v->device);
        audit_record_add(r, "mapping", v->mapping);
        audit_record_add(r, "what", what);
        manager_record(v->manager, r);
}

static void judge_header(struct volume *v, const struct disk_reply *y) {
        char what[240];
        bool unknown = y->error < 0 ? !v->header_changed : !is_known(v, y->header_digest);

        if (!unknown)
                return;
        if (y->error < 0)
                snprintf(what, sizeof(what), "its header cannot be used any more: %.180s", y->message);
        else
                snprintf(what, sizeof(what), "its header");
        v->header_changed = true;
        header_watch_ours(v, y);          /* said once */
        report(v, what);
}

static void judge_table(struct volume *v, const struct disk_reply *y) {
        char what[240];

        if (!(y->flags & DISK_FLAG_OURS) || (y->flags & (DISK_FLAG_SUSPENDED|DISK_FLAG_ERROR_TABLE|DISK_FLAG_NO_TABLE)) || y->error < 0)
                return;
        if (!(y->flags & DISK_FLAG_TABLE_OK)) {
                report(v, *y->message ? y->message : "its table");
                return;
        }
        if (streq(v->activation, y->activation))
                return;
        snprintf(what, sizeof(what), "its mapping has %s%s, and had %s", *y->activation ? "the flags " : "no flags", y->activation,
                 *v->activation ? v->activation : "none");
        memcpy(v->activation, y->activation, sizeof(v->activation));
        report(v, what);
}

static void on_looked(const struct disk_reply *y, int fd, void *user) {
        _cleanup_(freep) struct look *l = user;
        struct volume *v = manager_volume_by_uuid(l->manager, l->uuid);

        safe_close(fd);
        if (!v || v->state != VOLUME_ATTACHED)
                return;
        /* Whoever began meanwhile writes it down when it ends. */
        if (is_ours(l->manager, v)) {
                wait_until_quiet(v);
                return;
        }
        if (y->flags & DISK_FLAG_OURS)
                judge_header(v, y);
        judge_table(v, y);
}

static int on_quiet(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct volume *v = user;
        struct disk_request q;
        struct look *l;

        v->header_timer = sd_event_source_disable_unref(v->header_timer);
        if (v->state != VOLUME_ATTACHED)
                return 0;
        if (is_ours(v->manager, v)) {
                wait_until_quiet(v);
                return 0;
        }
        l = calloc(1, sizeof(*l));
        if (!l)
                return 0;
        l->manager = v->manager;
        memcpy(l->uuid, v->uuid, sizeof(l->uuid));
        volume_disk_request(v, DISK_OP_RECOGNIZE, &q);
        if (disk_child_start(v->manager->children, &q, -EBADF, -EBADF, LOOK_TIMEOUT_USEC, on_looked, l, NULL) < 0)
                free(l);
        return 0;
}

static void wait_until_quiet(struct volume *v) {
        if (v->header_timer)
                (void) sd_event_source_set_time_relative(v->header_timer, QUIET_USEC);
        else if (sd_event_add_time_relative(v->manager->event, &v->header_timer, CLOCK_BOOTTIME, QUIET_USEC, 0, on_quiet, v) < 0)
                log_warning("%s: its header is not looked at: out of memory", v->name);
}

void header_watch_event(struct manager *m, uint32_t major, uint32_t minor) {
        struct volume *v;

        LIST_FOREACH(v, &m->volumes, volumes)
                if (v->state == VOLUME_ATTACHED &&
                    ((v->dev_major == major && v->dev_minor == minor) ||
                     (v->n_below > 0 && v->below[0].major == major && v->below[0].minor == minor)))
                        wait_until_quiet(v);
}
