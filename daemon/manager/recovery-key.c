/* SPDX-License-Identifier: Apache-2.0 */

/* The recovery key of a volume, and other ways past its owners, open or not: what unlock.h does with header_only, then
 *
 *   ... ─► record "release", durable ─► RECOVERY_ADD, _ROTATE or _REMOVE (child) ─► record "recovery_key_added", ...
 *   test: ... record "request", durable ─► RECOVERY_TEST (child) ─► record "recovery_key_tested"
 *
 * Who holds the key opens the volume without the vault: every change is a warning in the trail. */

#include <syslog.h>
#include <unistd.h>

#include "disk-child.h"
#include "manager.h"
#include "unlock.h"

static void record(const struct unlock *u, uint8_t priority) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        manager_record_start(r, u->volume, u->verb->done_event, priority, false);
        audit_record_add(r, "device", u->device);
        audit_record_add(r, "by", u->who.text);
        audit_record_add(r, "request_id", u->answer.request_id);
        manager_record(u->manager, r);
}

static void on_done(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        struct outcome o = {};

        safe_close(fd);
        if (!unlock_went_well(u, y))
                return;
        u->key_fd = safe_close(u->key_fd);
        o.changed = y->count > 0;
        if (!u->verb->keyless)
                unlock_take_header(u, y);
        if (u->verb->keyless || o.changed)
                record(u, o.changed ? LOG_WARNING : LOG_NOTICE);
        unlock_end(u, &o);
}

static void use_add(struct unlock *u) {
        unlock_run(u, DISK_OP_RECOVERY_ADD, on_done);
}

static void use_rotate(struct unlock *u) {
        unlock_run(u, DISK_OP_RECOVERY_ROTATE, on_done);
}

static void use_remove(struct unlock *u) {
        unlock_run(u, DISK_OP_RECOVERY_REMOVE, on_done);
}

static void use_test(struct unlock *u) {
        unlock_run(u, DISK_OP_RECOVERY_TEST, on_done);
}

static const struct unlock_verb add_verb = {
        .name = "recovery-key add", .header_only = true, .use = use_add, .done_event = "recovery_key_added",
};
static const struct unlock_verb rotate_verb = {
        .name = "recovery-key rotate", .header_only = true, .use = use_rotate, .done_event = "recovery_key_rotated",
};
static const struct unlock_verb remove_verb = {
        .name = "recovery-key remove", .header_only = true, .use = use_remove, .done_event = "recovery_key_removed",
};
static void use_keyslots(struct unlock *u) {
        unlock_run(u, DISK_OP_KEYSLOTS_REMOVE, on_done);
}

static const struct unlock_verb keyslots_verb = {
        .name = "enroll --remove-old-keyslots", .header_only = true, .use = use_keyslots, .done_event = "keyslots_removed",
};
static const struct unlock_verb test_verb = {
        .name = "recovery-key test", .header_only = true, .keyless = true, .use = use_test,
        .done_event = "recovery_key_tested",
};

int recovery_key_add(struct manager *m, const char *what, int sink, const struct requester *who, operation_done done,
                     void *user) {
        return unlock_header(m, &add_verb, what, sink, 0, who, done, user);
}

int recovery_key_rotate(struct manager *m, const char *what, int peer, const struct requester *who, operation_done done,
                        void *user) {
        return unlock_header(m, &rotate_verb, what, peer, 0, who, done, user);
}

int recovery_key_remove(struct manager *m, const char *what, const struct requester *who, operation_done done,
                        void *user) {
        return unlock_header(m, &remove_verb, what, -EBADF, 0, who, done, user);
}

int keyslots_remove(struct manager *m, const char *what, const struct requester *who, operation_done done, void *user) {
        return unlock_header(m, &keyslots_verb, what, -EBADF, 0, who, done, user);
}

int recovery_key_test(struct manager *m, const char *what, int source, const struct requester *who, operation_done done,
                      void *user) {
        return unlock_header(m, &test_verb, what, source, 0, who, done, user);
}
