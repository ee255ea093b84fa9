/* SPDX-License-Identifier: Apache-2.0 */
#include "adopt.h"

#include <dirent.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>

#include "common/log.h"
#include "cut-mark.h"
#include "disk-child.h"
#include "key.h"
#include "manager.h"
#include "teardown.h"

#define QUERY_TIMEOUT_USEC (30 * USEC_PER_SEC)

struct adoption {
        struct manager *manager;
        size_t pending;
};

struct candidate {
        struct adoption *adoption;
        struct volume *volume;
        uint32_t flags;                /* of QUERY */
        enum lease_cause cut;          /* it is not mapped: it was cut because of this */
        bool has_slot;
        struct breaker_slot slot;
};

static void leave(struct candidate *c) {
        struct adoption *a = c->adoption;

        free(c);
        if (--a->pending > 0)
                return;
        a->manager->adopted = true;
        log_info("Ready");
        sd_notify(0, "READY=1");
        free(a);
}

static void give_up(struct candidate *c) {
        manager_volume_forget(c->adoption->manager, c->volume);
        leave(c);
}

static void record(struct volume *v, const char *condition) {
        struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        manager_record_start(r, v, "adopted", LOG_NOTICE, false);
        audit_record_add(r, "condition", condition);
        audit_record_addf(r, "dev", "%u:%u", v->dev_major, v->dev_minor);
        manager_record(v->manager, r);
        free(r);
}

/* When the breaker knows a deadline, the lease began lease + grace before it. When it knows none (it is as new as we
 * are) the lease begins now: the key is polled at once, and from here on the breaker holds the deadline. */
static struct instant lease_start(const struct candidate *c, const struct policy *p) {
        uint64_t span = p->lease_usec + p->grace_usec + LEASE_BREAKER_USEC;
        struct instant i = instant_now();

        if (c->flags & DISK_FLAG_SUSPENDED) {
                /* The deadline is the hold's. There was no yes since it began; the key is wiped, so that little depends
                 * on how long ago the last one was. */
                uint64_t ago = i.boottime_usec - MIN_OF(i.boottime_usec, c->volume->lease.since.boottime_usec) + 1;

                i.boottime_usec -= MIN_OF(i.boottime_usec, ago);
                i.realtime_usec -= MIN_OF(i.realtime_usec, ago);
                return i;
        }
        if (!c->has_slot)
                return i;
        if (c->slot.deadline_boottime_usec > 0)
                i.boottime_usec = c->slot.deadline_boottime_usec > span ? c->slot.deadline_boottime_usec - span : 0;
        if (c->slot.deadline_realtime_usec > 0)
                i.realtime_usec = c->slot.deadline_realtime_usec > span ? c->slot.deadline_realtime_usec - span : 0;
        return i;
}

/* A hold that policy made has a deadline, HoldSec after it began; an operator's has none, and stays an operator's. */
static void adopt_held(const struct candidate *c) {
        struct volume *v = c->volume;
        uint64_t span = v->policy.hold_usec + LEASE_BREAKER_USEC, deadline = c->slot.deadline_boottime_usec;

        v->cause = c->has_slot ? CAUSE_EXPIRED : CAUSE_OPERATOR;
        volume_set_state(v, VOLUME_HELD);
        if (c->has_slot && deadline > span && deadline - span < v->lease.since.boottime_usec)
                v->lease.since.boottime_usec = deadline - span;
}

/* Closed by an earlier manager, and nobody undid that: the key is polled on. */
static void adopt_cut(struct candidate *c, const char *why) {
        struct volume *v = c->volume;

        if (why) {
                log_warning("%s: cut, and it will not be attached when its key is enabled again: %s", v->name, why);
                give_up(c);
                return;
        }
        v->cause = c->cut;
        volume_set_state(v, VOLUME_CUT);
        record(v, "cut");
        key_schedule(v->key);
        leave(c);
}

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct candidate *c = user;
        struct volume *v = c->volume;
        struct manager *m = v->manager;
        const struct vault_config *vault;
        struct key_uri u;
        const char *why = NULL;

        safe_close(fd);
        if (y->error < 0 || !streq(y->uuid, v->uuid))
                why = "its header cannot be read";
        else if (key_uri_parse(y->key, &u, &why) >= 0) {
                v->header = *y;
                vault = config_find_vault(m->config, &u, &why);
                manager_volume_policy(m, v);
                if (vault && key_bind(m, v, &u, vault) >= 0)
                        why = NULL;
                else if (!why)
                        why = "its public key is of no use";
        }
        if (c->cut != CAUSE_NONE) {
                adopt_cut(c, why);
                return;
        }
        if (c->flags & DISK_FLAG_SUSPENDED)
                adopt_held(c);
        else
                volume_set_state(v, VOLUME_ATTACHED);
        if (c->flags & DISK_FLAG_ERROR_TABLE) {
                record(v, "cut, to be cleaned up");
                (void) teardown_start(v, ACTION_CUT, CAUSE_EXPIRED, "it was cut before this start");
        } else if (why) {
                /* Open, and nobody can be asked about it: the breaker's deadline stands; without one it is cut now. */
                log_alert("%s: open, but it cannot be kept: %s", v->name, why);
                record(v, why);
                if (!c->has_slot)
                        (void) teardown_start(v, ACTION_CUT, CAUSE_EXPIRED, why);
        } else {
                record(v, c->flags & DISK_FLAG_SUSPENDED ? "held" : "attached");
                v->breaker_set = c->has_slot;
                key_track_adopt(&v->key->track, lease_start(c, &v->policy));
                key_evaluate_volume(v);
                key_schedule(v->key);
        }
        leave(c);
}

/* The device below the mapping, from sysfs: the name under which udev lists the UUID may belong to a copy by now. */
static int find_device(struct volume *v) {
        char path[64];
        struct dirent *e;
        int r = -ENODEV;
        DIR *d;

        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/slaves", v->dev_major, v->dev_minor);
        d = opendir(path);
        if (!d)
                return -errno;
        while ((e = readdir(d)))
                if (e->d_name[0] != '.') {
                        snprintf(v->device, sizeof(v->device), "/dev/%.200s", e->d_name);
                        r = 0;
                }
        closedir(d);
        return r;
}

static void on_query(const struct disk_reply *y, int fd, void *user) {
        struct candidate *c = user;
        struct volume *v = c->volume;
        struct disk_request q = { .op = DISK_OP_INSPECT };

        safe_close(fd);
        if (y->error < 0) {
                log_warning("%s: %s", v->name, y->message);
                give_up(c);
                return;
        }
        if (!(y->flags & DISK_FLAG_MAPPED) || !(y->flags & DISK_FLAG_OURS)) {
                v->breaker_set = c->has_slot;           /* a deadline that is nobody's any more */
                c->cut = cut_mark_read(v);
                if (c->cut == CAUSE_NONE) {
                        give_up(c);
                        return;
                }
        }
        snprintf(v->device, sizeof(v->device), "/dev/disk/by-uuid/%s", v->uuid);
        if (c->cut == CAUSE_NONE) {
                c->flags = y->flags;
                v->dev_major = y->dev_major;
                v->dev_minor = y->dev_minor;
                v->sectors = y->sectors;
                (void) find_device(v);
        }
        memcpy(q.device, v->device, sizeof(q.device));
        if (disk_child_start(v->manager->event, &q, -EBADF, -EBADF, QUERY_TIMEOUT_USEC, on_inspected, c, NULL) < 0)
                give_up(c);
}

static void find_slot(struct candidate *c, const struct breaker_slot *found, size_t n) {
        char dm_uuid[128];

        volume_dm_uuid(c->volume, dm_uuid);
        for (size_t i = 0; i < n; i++)
                if (streq(found[i].dm_uuid, dm_uuid)) {
                        c->slot = found[i];
                        c->has_slot = true;
                        return;
                }
}

static void look_at(struct adoption *a, const struct trust_entry *t, const struct breaker_slot *found, size_t n) {
        struct candidate *c = calloc(1, sizeof(*c));
        struct disk_request q;

        if (!c || manager_volume_add(a->manager, t->uuid, t->name, t->role, &c->volume) < 0) {
                log_error("%s: not looked at: out of memory", t->name);
                free(c);
                return;
        }
        c->adoption = a;
        a->pending++;
        find_slot(c, found, n);
        volume_disk_request(c->volume, DISK_OP_QUERY, &q);
        if (disk_child_start(a->manager->event, &q, -EBADF, -EBADF, QUERY_TIMEOUT_USEC, on_query, c, NULL) < 0)
                give_up(c);
}

void adopt_start(struct manager *m, const struct breaker_slot *found, size_t n) {
        struct adoption *a = calloc(1, sizeof(*a));
        struct candidate *last = calloc(1, sizeof(*last));

        if (!a || !last) {
                log_error("Out of memory at start");
                free(a);
                free(last);
                return;
        }
        a->manager = m;
        a->pending = 1;          /* for this function: the last one out is never a candidate that fails early */
        last->adoption = a;
        for (size_t i = 0; i < m->trust->n_entries; i++)
                look_at(a, m->trust->entries + i, found, n);
        leave(last);
}
