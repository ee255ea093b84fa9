/* SPDX-License-Identifier: Apache-2.0 */

/* What others changed in a header becomes what is enrolled: what unlock.h does with header_only, then
 *
 *   ... ─► record "release", durable ─► HEADER_ACCEPT (child) ─► record "header_accepted"
 *
 * Asked only what there is to accept (look), nothing is changed, and the release is what is recorded. */

#include <syslog.h>
#include <unistd.h>

#include "disk-child.h"
#include "manager.h"
#include "unlock.h"

static void record(const struct unlock *u, const char *what) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        manager_record_start(r, u->volume, u->verb->done_event, LOG_WARNING, false);
        audit_record_add(r, "device", u->device);
        audit_record_add(r, "what", what);
        audit_record_add(r, "by", u->who.text);
        audit_record_add(r, "request_id", u->answer.request_id);
        manager_record(u->manager, r);
}

static void on_done(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        struct volume *v = manager_volume_by_uuid(u->manager, u->volume->uuid);
        bool look = u->disk_flags & DISK_FLAG_LOOK;
        struct outcome o = {};

        safe_close(fd);
        if (!unlock_went_well(u, y))
                return;
        o.changed = y->count > 0;
        snprintf(o.kept, sizeof(o.kept), "%.*s", (int) sizeof(o.kept) - 1, y->message);
        if (!look && v) {
                *v->foreign = 0;
                v->header_changed = false;
        }
        if (!look)
                unlock_take_header(u, y);
        if (o.changed && !look)
                record(u, y->message);
        unlock_end(u, &o);
}

static void use_accept(struct unlock *u) {
        unlock_run(u, DISK_OP_HEADER_ACCEPT, on_done);
}

static const struct unlock_verb accept_verb = {
        .name = "header accept", .header_only = true, .use = use_accept, .done_event = "header_accepted",
};

int header_accept_start(struct manager *m, const char *what, bool look, const struct requester *who, operation_done done, void *user) {
        return unlock_header(m, &accept_verb, what, -EBADF, look ? DISK_FLAG_LOOK : 0, who, done, user);
}
