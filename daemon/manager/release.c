/* SPDX-License-Identifier: Apache-2.0 */

/* A key for somebody else who makes the mapping (cryptsetup, systemd-cryptsetup, an initramfs): what unlock.h does, then
 *
 *   ... ─► record "release", durable ─► UNLOCK_KEY (child, writes into the caller's descriptor) ─► ATTACHING, released
 *      ─► the mapping appears: adopted          ─► or it does not: CLOSED again, record "release_unused"
 *
 * The unlock key goes from the child into that descriptor: it is never in this process. */

#include <syslog.h>

#include "common/log.h"
#include "disk-child.h"
#include "key.h"
#include "manager.h"
#include "mapping-sysfs.h"
#include "mapping-watch.h"
#include "unlock.h"

static void back(struct volume *v) {
        enum volume_state before = v->released_from;

        if (volume_set_state(v, before) < 0)
                return;
        key_not_used(v);
        if (before == VOLUME_CLOSED)
                manager_volume_forget(v->manager, v);
}

/* There is one, and nobody could look at it yet, or somebody is just doing so, or is about to: then it was used. */
static bool may_be_mapped(struct volume *v) {
        return v->unseen || v->looks > 0 || mapping_sysfs_may_have(v->uuid);
}

void release_unused(struct volume *v, const char *why) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!v->released || may_be_mapped(v))
                return;
        log_warning("%s: its key was given out and not used: %s", v->name, why);
        if (r) {
                manager_record_start(r, v, "release_unused", LOG_WARNING, false);
                audit_record_add(r, "device", v->device);
                audit_record_add(r, "why", why);
                manager_record(v->manager, r);
        }
        back(v);
}

/* What stands is looked at once more: one that was not made to its end is nobody's by now. */
static int on_unused(sd_event_source *s, uint64_t usec _unused_, void *user) {
        struct volume *v = user;
        int r;

        if (!may_be_mapped(v)) {
                release_unused(v, "no mapping of it was seen in time");
                return 0;
        }
        v->overdue = true;
        mapping_watch_kick(v->manager->mappings);
        r = sd_event_source_set_time_relative(s, RELEASE_UNUSED_USEC);
        return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* Without a timer it is waited for without an end: the key was given out. */
void unlock_expect_mapping(struct unlock *u, uint64_t usec) {
        struct volume *v = u->volume;

        v->released = true;
        v->released_from = u->before;
        if (sd_event_add_time_relative(u->manager->event, &v->released_timer, CLOCK_BOOTTIME, usec, 0, on_unused, v) < 0)
                log_alert("%s: its key was given out, and nobody will say that it was not used: out of memory", v->name);
}

static void on_written(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        struct volume *v = u->volume;
        struct outcome o = {};

        safe_close(fd);
        if (!unlock_went_well(u, y))
                return;
        u->key_fd = safe_close(u->key_fd);
        if (v->state != VOLUME_ATTACHING) {
                outcome_set(&o, EXIT_CODE_REVOKED, "%s: it was cut meanwhile", v->name);
                unlock_fail(u, &o, "failed");
                return;
        }
        unlock_report_foreign(u, y);
        unlock_expect_mapping(u, RELEASE_UNUSED_USEC);
        o.changed = true;
        unlock_end(u, &o);
}

static void write_key(struct unlock *u) {
        unlock_run(u, DISK_OP_UNLOCK_KEY, on_written);
}

static const struct unlock_verb release_verb = { .name = "release", .use = write_key };

int release_start(struct manager *m, const char *device, const char *what, uint32_t token, int sink,
                  const struct requester *who, operation_done done, void *user) {
        struct unlock *u = unlock_new(m, &release_verb, who, done, user);
        int r;

        if (!u)
                return -ENOMEM;
        unlock_resolve(u, *device ? device : what);
        snprintf(u->name_wanted, sizeof(u->name_wanted), "%s", what);
        u->key_fd = sink;
        u->pick = token == UINT32_MAX ? PICK_ANY : PICK_TOKEN;
        u->pick_token = token;
        r = unlock_start(u);
        if (r < 0) {
                u->key_fd = -EBADF;
                unlock_free(u);
        }
        return r;
}
