/* SPDX-License-Identifier: Apache-2.0 */

/* A copy of a volume's header in a file, open or not: what unlock.h does for a verb without a key, then HEADER_BACKUP in a child,
 * and a record. No key is used; what opens the volume now opens it with that copy for ever. */

#include <syslog.h>

#include "backup-mark.h"
#include "common/log.h"
#include "disk-child.h"
#include "manager.h"
#include "unlock.h"

static void on_written(const struct disk_reply *y, int fd, void *user) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        struct unlock *u = user;
        struct backup_mark b = { .realtime_usec = instant_now().realtime_usec };
        struct outcome o = { .changed = true };
        int k;

        safe_close(fd);
        backup_mark_place(u->key_fd, b.path, sizeof(b.path));
        u->key_fd = safe_close(u->key_fd);
        if (y->error < 0) {
                outcome_from_disk(&o, y);
                unlock_fail(u, &o, o.code == EXIT_CODE_POLICY ? "refused" : "failed");
                return;
        }
        memcpy(b.digest, y->header_digest, sizeof(b.digest));
        k = backup_mark_write(u->volume->uuid, &b);
        if (k < 0)
                log_warning("%s: where the backup of its header is is not written down: %s", u->volume->name, strerror(-k));
        if (r) {
                manager_record_start(r, u->volume, u->verb->done_event, LOG_NOTICE, false);
                audit_record_add(r, "device", u->device);
                audit_record_add(r, "backup", b.path);
                audit_record_add(r, "by", u->who.text);
                manager_record(u->manager, r);
        }
        unlock_end(u, &o);
}

static void use_backup(struct unlock *u) {
        unlock_run(u, DISK_OP_HEADER_BACKUP, on_written);
}

static const struct unlock_verb backup_verb = {
        .name = "header backup", .header_only = true, .keyless = true, .use = use_backup, .done_event = "header_backed_up",
};

int header_backup_start(struct manager *m, const char *what, int file, const struct requester *who, operation_done done,
                        void *user) {
        return unlock_header(m, &backup_verb, what, file, 0, who, done, user);
}
