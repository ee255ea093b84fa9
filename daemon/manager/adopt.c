/* SPDX-License-Identifier: Apache-2.0 */
#include "adopt.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>

#include "adopted-keys.h"
#include "adopted-lease.h"
#include "automatic.h"
#include "common/log.h"
#include "cut-mark.h"
#include "disk-child.h"
#include "drill.h"
#include "given-out.h"
#include "key.h"
#include "look-again.h"
#include "manager.h"
#include "mapping-watch.h"
#include "mount-watch.h"
#include "operation.h"
#include "pause.h"
#include "personalize.h"
#include "recognize.h"
#include "teardown.h"
#include "wrap.h"
#include "wrap-mark.h"

#define QUERY_TIMEOUT_USEC (30 * USEC_PER_SEC)

struct adoption {
        struct manager *manager;
        const struct breaker_slot *slots;      /* valid while adopt_start() runs, as what follows */
        size_t n_slots;
        const struct mapping_seen *open;
        size_t n_open;
        size_t pending;
};

struct candidate {
        struct manager *manager;
        struct adoption *adoption;             /* NULL: nobody waits for it */
        char uuid[37];                         /* the volume may be another object, or none, by the time of an answer */
        struct mapping_seen seen;
        struct recognize_facts facts;
        bool elsewhere;                        /* its key was released for another device */
        struct open_mark_text mark;
        struct breaker_slot slot;
        struct turn turn;                      /* to look: a node may have hundreds */
        unsigned failures;                     /* how often nobody could look */
        enum volume_state before;
};

static const struct disk_reply no_memory = { .error = -ENOMEM, .message = "out of memory" };

static struct volume *volume_of(const struct candidate *c) {
        return manager_volume_by_uuid(c->manager, c->uuid);
}

static void count_out(struct candidate *c) {
        struct adoption *a = TAKE_PTR(c->adoption);

        if (!a || --a->pending > 0)
                return;
        a->manager->adopted = true;
        mapping_watch_kick(a->manager->mappings);
        drill_kick(a->manager);
        log_info("Ready");
        sd_notify(0, "READY=1");
        free(a);
}

static void leave(struct candidate *c) {
        /* What happened to it meanwhile was left for now. */
        if (c->failures > 0) {
                mapping_watch_kick(c->manager->mappings);
                drill_kick(c->manager);
        }
        count_out(c);
        free(c);
}

static void give_up(struct candidate *c) {
        struct volume *v = volume_of(c);

        if (v && v->state == VOLUME_CLOSED && !v->owner && v->looks == 0)      /* the last one who looks forgets it */
                manager_volume_forget(c->manager, v);
        leave(c);
}

static void record(struct volume *v, const char *event, uint8_t priority, const char *condition) {
        struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        manager_record_start(r, v, event, priority, false);
        audit_record_add(r, "condition", condition);
        audit_record_add(r, "mapping", v->mapping);
        audit_record_add(r, "device", v->device);
        audit_record_addf(r, "dev", "%u:%u", v->dev_major, v->dev_minor);
        manager_record(v->manager, r);
        free(r);
}

/* A hold that policy made has a deadline, HoldSec after it began; an operator's has none, and stays an operator's. */
static void adopt_held(const struct candidate *c, struct volume *v) {
        uint64_t span = v->policy.hold_usec + LEASE_BREAKER_USEC, deadline = c->slot.deadline_boottime_usec;

        v->cause = c->facts.has_slot ? CAUSE_EXPIRED : CAUSE_OPERATOR;
        volume_set_state(v, VOLUME_HELD);
        if (c->facts.has_slot && deadline > span && deadline - span < v->lease.since.boottime_usec)
                v->lease.since.boottime_usec = deadline - span;
}

static void cut_now(struct volume *v, enum action wanted, enum lease_cause cause, const char *why) {
        static const struct requester self = { "cmkd: what was being cut, or cannot be kept, does not wait" };
        enum action a = policy_effective_action(&v->policy, wanted, v->lease.hold_possible, NULL);
        int r;

        if (a == ACTION_REPORT)
                return;
        /* What stands may be half a cut, or nobody is there who would cut it at the end of the pause. */
        if (lease_cause_is_undone(cause))
                (void) pause_end(v, &self);
        r = teardown_start(v, a, cause, why);
        if (r < 0)
                log_alert("%s: it could not be cut: %s", v->name, strerror(-r));
}

/* One of another name, which its key was given out for, reaches nothing. */
static bool has_slot_of(const struct candidate *c, const struct volume *v) {
        char dm_uuid[128];

        volume_dm_uuid(v, dm_uuid);
        return c->facts.has_slot && streq(c->slot.dm_uuid, dm_uuid);
}

/* The same by the name that it has. */
static bool give_deadline(const struct candidate *c, const struct volume *v) {
        struct breaker_slot s = c->slot;

        volume_dm_uuid(v, s.dm_uuid);
        s.sectors = v->sectors;
        return (s.deadline_boottime_usec > 0 || s.deadline_realtime_usec > 0) && breaker_set(c->manager->breaker, &s) >= 0;
}

/* Open, and nobody can be asked about it: the breaker's deadline stands; without one it is treated as silence is whose
 * lease is over. */
static void keep_without_key(const struct candidate *c, struct volume *v, const char *why) {
        /* what was kept while the volume was attached and closed again may be taken back by now */
        bool given = c->facts.has_slot && !(c->facts.at_start && has_slot_of(c, v)) && give_deadline(c, v);
        bool has_deadline = given || has_slot_of(c, v);

        log_alert("%s: open, but it cannot be kept: %s", v->name, why);
        record(v, "adopted", LOG_ALERT, why);
        v->breaker_set |= has_deadline;
        if (!has_deadline)
                cut_now(v, v->role == ROLE_OS ? v->policy.on_unreachable : ACTION_CUT, CAUSE_EXPIRED, why);
}

/* The lease that it is of: what was given out has that of its mark. */
static const struct breaker_slot *deadline_of(const struct candidate *c) {
        return c->facts.has_slot && c->facts.at_start ? &c->slot : NULL;
}

static void adopt_open(struct candidate *c, struct volume *v, const struct disk_reply *y) {
        bool released = v->released, held = y->flags & DISK_FLAG_SUSPENDED;
        char buf[600];
        const char *why = released ? NULL : adopted_keys_bind(v, y, buf);

        v->encrypt_half_way = y->flags & DISK_FLAG_HALF_WAY;
        v->encrypt_progressed |= open_mark_has_progressed(v->uuid);
        if (v->state == VOLUME_CUT)                      /* its key had been given out again */
                volume_set_state(v, VOLUME_CLOSED);
        if (held)
                adopt_held(c, v);
        else
                volume_set_state(v, VOLUME_ATTACHED);
        given_out_seen(c->manager, c->uuid);
        if (why) {
                keep_without_key(c, v, why);
                return;
        }
        if (c->facts.at_start)
                record(v, "adopted", LOG_NOTICE, held ? "held" : "attached");
        else
                record(v, "attached", LOG_NOTICE, v->taken_over ? "it was open when it was taken over" :
                       "mapped by whoever its key was released to");
        automatic_know(v->device);
        v->taken_over = false;
        v->breaker_set |= has_slot_of(c, v);
        if (!released)
                wrap_mark_adopt(v, adopted_lease_yes(&c->mark), adopted_lease_began(v, &c->mark, deadline_of(c)));
        key_evaluate_volume(v);
        wraps_schedule(v);
}

static void adopt_recovery(struct candidate *c, struct volume *v, const struct disk_reply *y, const char *why) {
        char buf[600];
        const char *no_key = adopted_keys_bind(v, y, buf);

        v->recovery_why = why;
        v->breaker_set |= has_slot_of(c, v);
        volume_set_state(v, VOLUME_RECOVERY);
        log_alert("%s: RECOVERY: %s, as %s: its key's owner has no hold on it. \"cmkctl attach %s\" puts it under its lease%s%s",
                  v->name, why, v->mapping, v->name, no_key ? "; its key is not polled: " : "", strempty(no_key));
        record(v, c->facts.mark == OPEN_MARK_RECOVERY ? "adopted" : "recovery", LOG_ALERT, why);
        /* with a key that is decided; without one as well, none has a deadline in recovery */
        if (no_key)
                manager_volume_forget_deadline(v);
        key_evaluate_volume(v);
        wraps_schedule(v);
}

static void adopt_cut(struct candidate *c, struct volume *v, const struct disk_reply *y, enum lease_cause cause,
                      const char *why) {
        char buf[600];

        (void) adopted_keys_bind(v, y, buf);
        v->recovery_why = why;
        v->breaker_set |= has_slot_of(c, v);
        volume_set_state(v, VOLUME_RECOVERY);
        log_alert("%s: it is not left open: %s", v->name, why);
        record(v, c->facts.at_start ? "adopted" : "refused", LOG_ALERT, why);
        cut_now(v, ACTION_CUT, cause, why);
}

static void ask(struct candidate *c);
static void inspect(struct candidate *c);
static void adopt_closed(struct candidate *c, struct volume *v);

static int on_again(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct candidate *c = user;

        look_again_begin(volume_of(c));          /* whose timer it is */
        if (*c->seen.mapping)
                ask(c);
        else
                inspect(c);
        return 0;
}

/* Until somebody has looked; the start is over without that. */
static void again(struct candidate *c, struct volume *v) {
        count_out(c);
        if (look_again(v, c->failures++, on_again, c) >= 0)
                return;
        log_alert("%s: it is not looked at again: out of memory; \"systemctl restart cmkd\"", v->name);
        free(c);
}

/* That nobody looked says nothing about what is there, least of all that it is not ours: its mark and its deadline count when somebody has. */
static void unseen(struct candidate *c, struct volume *v, const struct disk_reply *y) {
        if (c->failures == 0 && v->unseen) {
                leave(c);                        /* who began before goes on */
                return;
        }
        v->unseen = true;
        if (v->state != VOLUME_ATTACHING) {
                c->before = v->state;
                manager_volume_mapped_as(v, c->seen.mapping);
                (void) volume_set_state(v, VOLUME_ATTACHING);
        }
        if (c->failures == 0)
                log_alert("%s: mapped as %s, and nobody could look at what it is: %s; tried again. Until then its key is not polled, and %s",
                          v->name, c->seen.mapping, y->message, has_slot_of(c, v) ? "the breaker's deadline stands" : "no deadline is known");
        again(c, v);
}

static void back(const struct candidate *c, struct volume *v) {
        if (v->unseen && !v->released) {
                (void) given_out_takes_deadline(v);         /* that the breaker was found to have since */
                (void) volume_set_state(v, c->before);
        }
        v->unseen = false;
}

/* It went while it was looked at, or is not made yet: as if it had not been met. */
static void not_there(struct candidate *c, struct volume *v) {
        if (c->facts.at_start && !v->released && !v->owner) {
                adopt_closed(c, v);
                return;
        }
        back(c, v);
        give_up(c);
}

static void on_recognized(const struct disk_reply *y, int fd, void *user) {
        struct candidate *c = user;
        struct volume *v = volume_of(c);
        struct recognize_facts *f = &c->facts;
        const struct trust_entry *t = trust_find_uuid(c->manager->trust, c->uuid);
        enum lease_cause cause;
        enum recognized what;
        const char *why;
        bool stale;

        safe_close(fd);
        turn_end(&c->turn);
        if (v)
                v->looks -= v->looks > 0;                /* it may be another object than the one that was asked about */
        /* Meanwhile somebody may have begun something with it, or forgotten it: what that leaves is looked at then. */
        if (!v || (v->state != VOLUME_CLOSED && v->state != VOLUME_CUT && !v->released && !(v->unseen && c->failures > 0))) {
                mapping_watch_kick(c->manager->mappings);
                leave(c);
                return;
        }
        if (y->error < 0 && !(y->flags & DISK_FLAG_MAPPED)) {
                unseen(c, v, y);
                return;
        }
        f->flags = y->flags;
        f->encrypting = t && t->unencrypted > 0;
        f->header_ok = y->error >= 0 && streq(y->uuid, v->uuid);
        f->released = v->released || (f->mark == OPEN_MARK_RELEASED && !f->at_start);
        f->overdue = v->overdue;
        f->taken_over = v->taken_over;
        f->header_changed = v->released && (c->elsewhere ||
                            memcmp(y->header_digest, v->header.header_digest, sizeof(y->header_digest)) != 0);
        manager_volume_policy(c->manager, v);
        f->role = v->role;
        f->recovery = v->policy.recovery;
        what = recognize(f, &cause, &why);
        if (what == RECOGNIZED_NOT) {
                if (y->error < 0)
                        log_warning("%s: %s", v->name, y->message);
                not_there(c, v);
                return;
        }
        if (!v->released)
                random_uuid(v->use_id);
        manager_volume_mapped_as(v, c->seen.mapping);
        v->dev_major = y->dev_major;
        v->dev_minor = y->dev_minor;
        v->sectors = y->sectors;
        memcpy(v->activation, y->activation, sizeof(v->activation));
        mount_watch_mark(c->manager->mounts, v);
        stale = f->has_slot && !has_slot_of(c, v);
        if (what == RECOGNIZED_RECOVERY)
                adopt_recovery(c, v, y, why);
        else if (what == RECOGNIZED_CUT)
                adopt_cut(c, v, y, cause, why);
        else
                adopt_open(c, v, y);
        if (stale)                       /* once the one of its own name is there */
                (void) breaker_clear(c->manager->breaker, c->slot.dm_uuid);
        leave(c);
}

/* What a child leaves that died in the middle of an encryption stands on mappings of libcryptsetup's: the disk is below those. */
static bool is_half_way(const struct trust_entry *t, const struct below *b) {
        return t && t->unencrypted > 0 && startswith(b->name, "dm-");
}

/* The device below is the one that sysfs says: the name under which udev lists the UUID may belong to a copy by now. */
static void look(void *user) {
        struct candidate *c = user;
        const struct trust_entry *t = trust_find_uuid(c->manager->trust, c->uuid);
        struct volume *v = volume_of(c);
        struct disk_request q;
        struct below below[1];
        struct stat st;
        int n;

        if (!v) {
                on_recognized(&no_memory, -EBADF, c);
                return;
        }
        n = mapping_sysfs_below(c->seen.major, c->seen.minor, below, 1);
        c->facts.pulled = n == 0;
        volume_disk_request(v, DISK_OP_RECOGNIZE, &q);
        if (t)
                trust_fill_request(t, t->rekeying || t->has_next ? DISK_FLAG_REKEYING : 0, &q);
        snprintf(q.mapping, sizeof(q.mapping), "%s", c->seen.mapping);
        if (n < 1 || is_half_way(t, below))
                snprintf(q.device, sizeof(q.device), "/dev/disk/by-uuid/%s", c->uuid);
        else
                snprintf(q.device, sizeof(q.device), "/dev/%s", below[0].name);
        if (!v->released)
                memcpy(v->device, q.device, sizeof(v->device));
        else if (n > 0)
                c->elsewhere = stat(v->device, &st) >= 0 && st.st_rdev != makedev(below[0].major, below[0].minor);
        if (disk_child_start(c->manager->children, &q, -EBADF, -EBADF, QUERY_TIMEOUT_USEC, on_recognized, c, NULL) < 0)
                on_recognized(&no_memory, -EBADF, c);
}

static void ask(struct candidate *c) {
        volume_of(c)->looks++;
        if (turn_take(&c->manager->looks, &c->turn, look, c))
                look(c);
}

void adopt_found(struct manager *m, const struct mapping_seen *s) {
        const struct trust_entry *t = trust_find_uuid(m->trust, s->uuid);
        struct candidate *c = calloc(1, sizeof(*c));
        struct volume *v = manager_volume_by_uuid(m, s->uuid);
        int r = 0;

        if (c && !v)
                r = t ? manager_volume_add(m, t->uuid, t->name, t->role, &v) : -ENOENT;
        if (!c || r < 0) {
                log_error("%s: mapped as %s, and not looked at: %s", s->uuid, s->mapping, strerror(c ? -r : ENOMEM));
                free(c);
                return;
        }
        c->manager = m;
        c->seen = *s;
        memcpy(c->uuid, s->uuid, sizeof(c->uuid));
        if (v->taken_over)
                c->mark = (struct open_mark_text) { .mark = OPEN_MARK_ATTACHED, .issued = v->taken_over_at };
        else
                (void) given_out_find(m, c->uuid, &c->mark, &c->slot);
        c->facts.has_slot = *c->slot.dm_uuid;
        c->facts.mark = c->mark.mark;
        ask(c);
}

int adopt_taken_over(struct manager *m, const char *uuid, struct instant asked) {
        _cleanup_(freep) struct mapping_seen *open = NULL;
        const struct trust_entry *t = trust_find_uuid(m->trust, uuid);
        size_t n_open = 0, i = 0;
        struct volume *v;
        int r = t ? mapping_sysfs_list(&open, &n_open) : -ENOENT;

        if (r < 0)
                return r;
        while (i < n_open && !streq(open[i].uuid, uuid))
                i++;
        if (i == n_open)
                return -ENXIO;
        r = manager_volume_add(m, t->uuid, t->name, t->role, &v);
        if (r < 0)
                return r;
        v->taken_over = true;
        v->taken_over_at = asked;
        adopt_found(m, open + i);
        return 0;
}

/* ---- at start ---- */

static void cut_before(const struct candidate *c, struct volume *v) {
        if (v->state != VOLUME_CLOSED)
                return;
        v->cause = c->facts.cut;
        volume_set_state(v, VOLUME_CUT);
        record(v, "adopted", LOG_NOTICE, "cut");
}

/* Closed by an earlier manager, and nobody undid that: the key is polled on. */
static void on_cut_inspected(const struct disk_reply *y, int fd, void *user) {
        struct candidate *c = user;
        struct volume *v = volume_of(c);
        char buf[600];
        const char *why;

        safe_close(fd);
        turn_end(&c->turn);
        if (!v || volume_is_open(v)) {
                leave(c);
                return;
        }
        manager_volume_policy(c->manager, v);
        if (v->state == VOLUME_ATTACHING || disk_reply_is_passing(y)) {
                if (c->failures == 0)
                        log_alert("%s: cut, and its header could not be read: %s; tried again. Until then it is not attached when its key is "
                                  "enabled", v->name, y->message);
                cut_before(c, v);
                again(c, v);
                return;
        }
        why = adopted_keys_bind(v, y, buf);
        if (why) {
                log_warning("%s: cut, and it will not be attached when its key is enabled again: %s", v->name, why);
                give_up(c);
                return;
        }
        cut_before(c, v);
        wraps_schedule(v);
        leave(c);
}

static void on_inspect_turn(void *user) {
        struct disk_request q = { .op = DISK_OP_INSPECT };
        struct candidate *c = user;

        snprintf(q.device, sizeof(q.device), "/dev/disk/by-uuid/%s", c->uuid);
        if (disk_child_start(c->manager->children, &q, -EBADF, -EBADF, QUERY_TIMEOUT_USEC, on_cut_inspected, c, NULL) < 0)
                on_cut_inspected(&no_memory, -EBADF, c);
}

static void inspect(struct candidate *c) {
        if (turn_take(&c->manager->looks, &c->turn, on_inspect_turn, c))
                on_inspect_turn(c);
}

/* Whose key was given out a moment ago may be mapped in the next, under the deadline that it has. */
static void adopt_closed(struct candidate *c, struct volume *v) {
        bool kept = c->facts.mark == OPEN_MARK_RELEASED &&
                    given_out_keep(c->manager, c->uuid, &c->mark, c->facts.has_slot ? &c->slot : NULL) >= 0;

        *c->seen.mapping = 0;
        back(c, v);
        if (!kept)
                open_mark_forget(c->uuid);
        if (!kept && c->facts.has_slot)                 /* a deadline that is nobody's any more */
                (void) breaker_clear(c->manager->breaker, c->slot.dm_uuid);
        if (!lease_cause_is_undone(c->facts.cut)) {
                give_up(c);
                return;
        }
        snprintf(v->device, sizeof(v->device), "/dev/disk/by-uuid/%s", v->uuid);
        inspect(c);
}

static void find_slot(struct candidate *c, struct volume *v) {
        const struct adoption *a = c->adoption;
        char uuid[37], mapping[DM_IOCTL_UUID_SIZE];

        for (size_t i = 0; i < a->n_slots; i++)
                if (dm_crypt_uuid_parse(a->slots[i].dm_uuid, uuid, mapping) >= 0 && streq(uuid, c->uuid)) {
                        c->slot = a->slots[i];
                        c->facts.has_slot = true;
                        memcpy(v->mapping, mapping, sizeof(mapping));
                        return;
                }
}

/* Of several mappings of the volume the one that we knew; the others are found later, as others. */
static void find_mapping(struct candidate *c, const struct volume *v) {
        const struct adoption *a = c->adoption;

        for (size_t i = 0; i < a->n_open; i++)
                if (streq(a->open[i].uuid, c->uuid) && (!*c->seen.mapping || streq(a->open[i].mapping, v->mapping)))
                        c->seen = a->open[i];
}

static void look_at(struct adoption *a, const struct trust_entry *t) {
        struct candidate *c = calloc(1, sizeof(*c));
        struct volume *v;

        if (!c || manager_volume_add(a->manager, t->uuid, t->name, t->role, &v) < 0) {
                log_error("%s: not looked at: out of memory", t->name);
                free(c);
                return;
        }
        c->manager = a->manager;
        c->adoption = a;
        c->facts.at_start = true;
        memcpy(c->uuid, v->uuid, sizeof(c->uuid));
        a->pending++;
        open_mark_read(c->uuid, &c->mark);
        c->facts.mark = c->mark.mark;
        c->facts.cut = cut_mark_read(v);
        if (*c->mark.mapping)
                memcpy(v->mapping, c->mark.mapping, sizeof(c->mark.mapping));
        find_slot(c, v);
        find_mapping(c, v);
        if (*c->seen.mapping)
                ask(c);
        else
                adopt_closed(c, v);
}

/* Without knowing what is open nothing is decided: a volume taken for closed would lose its deadline. */
void adopt_start(struct manager *m, const struct breaker_slot *found, size_t n) {
        _cleanup_(freep) struct mapping_seen *open = NULL;
        struct adoption *a = calloc(1, sizeof(*a));
        struct candidate *last = calloc(1, sizeof(*last));
        size_t n_open = 0;
        int r = a && last ? mapping_sysfs_list(&open, &n_open) : -ENOMEM;

        if (r < 0) {
                log_error("What is open at start cannot be looked at: %s", strerror(-r));
                free(a);
                free(last);
                return;
        }
        /* One is for this function: the last one out is never a candidate that fails early. */
        *a = (struct adoption) { .manager = m, .slots = found, .n_slots = n, .open = open, .n_open = n_open, .pending = 1 };
        last->manager = m;
        last->adoption = a;
        /* A copy of an image may have got its header while the initramfs had it. */
        for (size_t i = 0; i < n_open; i++)
                personalize_seen(m, open[i].uuid);
        for (size_t i = 0; i < m->trust->n_entries; i++)
                if (!m->trust->entries[i].pending)
                        look_at(a, m->trust->entries + i);
        leave(last);
}
