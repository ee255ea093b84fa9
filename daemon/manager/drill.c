/* SPDX-License-Identifier: Apache-2.0 */
#include "drill.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <unistd.h>

#include "attributes-mark.h"
#include "common/log.h"
#include "manager.h"
#include "pause.h"
#include "teardown.h"
#include "trust-places.h"

#define MARK DRILL_DIRECTORY "/begun"
#define AGAIN_USEC (15 * USEC_PER_SEC)

struct drill {
        struct manager *manager;
        const void *owner;                   /* compared only */
        int loop;                            /* -EBADF: begun by an earlier manager, and over */
        dev_t device;
        char id[37];
        struct requester who;
        bool begun;                          /* its record is durable */
        bool formatting, ending;
        struct drill_result result;
        operation_done done;                 /* of the begin, then of the end; NULL: nobody waits */
        void *user;
        sd_event_source *look, *limit;
};

struct drill *drill_free(struct drill *d) {
        if (!d)
                return NULL;
        audit_cancel(d->manager->audit, d);
        sd_event_source_disable_unref(d->look);
        sd_event_source_disable_unref(d->limit);
        safe_close(d->loop);
        free(d);
        return NULL;
}

static struct drill *drill_new(struct manager *m) {
        struct drill *d = calloc(1, sizeof(*d));

        if (!d)
                return NULL;
        d->manager = m;
        d->loop = -EBADF;
        return d;
}

/* ---- whose is what ---- */

const char *drill_of(const struct manager *m, const char *name) {
        return m->drill && streq(name, DRILL_NAME) ? m->drill->id : NULL;
}

bool drill_owns(const struct manager *m, const char *device) {
        const struct drill *d = m->drill;
        struct stat st;

        return d && d->loop >= 0 && d->begun && !d->ending && stat(device, &st) >= 0 && S_ISBLK(st.st_mode) &&
               st.st_rdev == d->device;
}

const char *drill_objects(const struct manager *m, const char *device, const char *name, enum role role) {
        bool owns = drill_owns(m, device);

        if (streq(name, DRILL_NAME) && !owns)
                return "that name is for the volume of \"cmkctl drill\"";
        if (owns && !streq(name, DRILL_NAME))
                return "it is the device of a drill";
        return owns && role == ROLE_OS ? "a drill does not power the machine off: role data or scratch" : NULL;
}

/* The device below is what it was shown to be, and nobody else can get at it. NULL, or why not. */
static const char *unfit(int loop, int file, dev_t *ret) {
        struct loop_info64 info;
        struct stat l, f;

        if (fstat(loop, &l) < 0 || fstat(file, &f) < 0 || !S_ISBLK(l.st_mode) || major(l.st_rdev) != LOOP_MAJOR ||
            ioctl(loop, LOOP_GET_STATUS64, &info) < 0)
                return "what was shown is no loop device";
        if (!S_ISREG(f.st_mode) || f.st_nlink > 0 || f.st_uid != 0 || (f.st_mode & 077))
                return "its file is not one of root's without a name";
        if (info.lo_device != f.st_dev || info.lo_inode != f.st_ino || info.lo_offset > 0 || info.lo_sizelimit > 0)
                return "the loop device has another file behind it";
        *ret = l.st_rdev;
        return NULL;
}

/* ---- the end ---- */

static void fill_ended(const struct drill *d, const struct volume *v, struct audit_message_record *r) {
        const struct drill_result *x = &d->result;

        manager_record_start(r, v, "drill_ended", x->passed ? LOG_NOTICE : LOG_ALERT, true);
        if (!v) {
                audit_record_add(r, "volume", DRILL_NAME);
                audit_record_add(r, "drill", d->id);
        }
        audit_record_add(r, "result", x->passed ? "passed" : "failed");
        audit_record_add(r, "why", x->why);
        audit_record_add(r, "by", d->who.text);
        for (size_t i = 0; i < x->n_measures; i++)
                audit_record_addf(r, x->measures[i].name, "%llu", (unsigned long long) x->measures[i].usec);
}

/* Its entry goes first: whatever goes wrong afterwards opens nothing. */
static void remove_entry(struct manager *m) {
        const struct trust_entry *t = trust_find_name(m->trust, DRILL_NAME);
        char uuid[37];
        int r;

        if (!t || !t->drill)
                return;
        memcpy(uuid, t->uuid, sizeof(uuid));
        r = trust_remove(DRILL_DIRECTORY, uuid);
        if (r >= 0)
                r = manager_reload_trust(m);
        if (r < 0)
                log_warning("The entry of the drill's volume stays in " DRILL_DIRECTORY ": %s; it opens nothing",
                            strerror(-r));
        attributes_mark_forget(uuid);
}

static void tell(struct drill *d, struct outcome *o) {
        operation_done done = TAKE_PTR(d->done);

        snprintf(o->uuid, sizeof(o->uuid), "%s", d->id);
        if (done)
                done(o, d->user);
}

/* Whoever waits hears of the end when its record is kept. */
static void on_end_recorded(int error, uint64_t sequence _unused_, void *user) {
        struct drill *d = user;
        struct outcome o = {};

        if (error < 0)
                outcome_set(&o, EXIT_CODE_FAILED, "The result of drill %s could not be written to the audit trail: %s", d->id,
                            strerror(-error));
        tell(d, &o);
        drill_free(d);
}

static void finish(struct drill *d, struct volume *v) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        struct manager *m = d->manager;

        if (r)
                fill_ended(d, v, r);
        log_full(d->result.passed ? LOG_NOTICE : LOG_WARNING, "Drill %s: %s%s%s", d->id,
                 d->result.passed ? "passed" : "failed", *d->result.why ? ": " : "", d->result.why);
        remove_entry(m);
        m->drill = NULL;
        if (v) {
                volume_set_state(v, VOLUME_CLOSED);
                manager_volume_forget(m, v);
        }
        (void) unlink(MARK);
        (void) rmdir(DRILL_DIRECTORY);
        d->loop = safe_close(d->loop);
        if (!r || audit_write(m->audit, r, MANAGER_RELEASE_TIMEOUT_USEC, on_end_recorded, d) < 0)
                on_end_recorded(-ENOMEM, 0, d);
}

static int on_limit(sd_event_source *s, uint64_t usec, void *user);

static void look_again_at(struct drill *d, uint64_t usec) {
        d->limit = sd_event_source_disable_unref(d->limit);
        if (sd_event_add_time_relative(d->manager->event, &d->limit, CLOCK_BOOTTIME, usec, 0, on_limit, d) < 0)
                log_error("The drill has no timer: out of memory");
}

/* A drill that is over goes as far as it can now; each change of a state brings it here again. */
static int on_look(sd_event_source *s _unused_, void *user) {
        struct drill *d = user;
        struct manager *m = d->manager;
        struct volume *v = manager_volume_by_name(m, DRILL_NAME);
        const char *why;

        d->look = sd_event_source_disable_unref(d->look);
        if (!d->ending || !d->begun || d->formatting || !m->adopted)
                return 0;
        if (v && v->state == VOLUME_LINGERING) {
                struct outcome o = {};

                outcome_set(&o, EXIT_CODE_BUSY, "%s: the drill's volume is %s, but not everything could be cleaned; it is "
                            "tried again every 15 s. See \"cmkctl status\" and the trail", v->name,
                            v->lease.cut_done ? "cut" : "NOT CUT");
                d->result.passed = false;
                tell(d, &o);
                return 0;
        }
        if (v && (v->owner || volume_is_in_transit(v)))
                return 0;
        if (!v || !volume_is_open(v)) {
                finish(d, v);
                return 0;
        }
        if (volume_may_cut(v, &why) >= 0 && teardown_start(v, ACTION_CUT, CAUSE_OPERATOR, "the drill is over") < 0) {
                log_alert("%s: it could not be cut; tried again", v->name);
                look_again_at(d, AGAIN_USEC);
        }
        return 0;
}

void drill_kick(struct manager *m) {
        struct drill *d = m->drill;

        if (d && d->ending && !d->look && sd_event_add_defer(m->event, &d->look, on_look, d) < 0)
                log_error("The drill's end waits for the next change: out of memory");
}

static void abandon(struct drill *d, const char *why) {
        if (!d->ending) {
                d->ending = true;
                d->result.passed = false;
                snprintf(d->result.why, sizeof(d->result.why), "%s", why);
                log_warning("Drill %s: %s: what it opened is cut", d->id, why);
        }
        drill_kick(d->manager);
}

static int on_limit(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct drill *d = user;

        d->limit = sd_event_source_disable_unref(d->limit);
        abandon(d, "it did not end in time");
        return 0;
}

void drill_owner_gone(struct manager *m, const void *owner) {
        if (m->drill && m->drill->owner == owner)
                abandon(m->drill, "whoever began it is gone");
}

void drill_formatting(struct manager *m, bool on) {
        if (!m->drill)
                return;
        m->drill->formatting = on;
        drill_kick(m);
}

void drill_restore(struct manager *m) {
        _cleanup_(freep) char *id = NULL;
        struct drill *d;

        if (read_small_file(MARK, 64, &id, NULL) < 0)
                return;
        d = uuid_is_valid(id) ? drill_new(m) : NULL;
        if (!d) {
                log_error(MARK " is left of a drill, and no mark of one");
                return;
        }
        memcpy(d->id, id, sizeof(d->id));
        d->begun = d->ending = true;
        snprintf(d->who.text, sizeof(d->who.text), "cmkd: at start");
        snprintf(d->result.why, sizeof(d->result.why), "cmkd was started anew meanwhile");
        m->drill = d;
}

int drill_end(struct manager *m, const char *id, const struct drill_result *result, const struct requester *who,
              struct outcome *o, operation_done done, void *user) {
        const struct volume *v = manager_volume_by_name(m, DRILL_NAME);
        struct drill *d = m->drill;

        if (!d || !d->begun || !streq(d->id, id)) {
                outcome_set(o, EXIT_CODE_FAILED, "There is no drill %s", id);
                return -ENOENT;
        }
        if (d->done) {
                outcome_set(o, EXIT_CODE_BUSY, "Drill %s is being ended already", id);
                return -EBUSY;
        }
        if (!d->ending) {
                d->ending = true;
                d->result = *result;
                d->who = *who;
                /* Whoever ends it says what he saw; that there was a cut at all is known here. */
                if (result->passed && !(v && v->state == VOLUME_CUT)) {
                        d->result.passed = false;
                        snprintf(d->result.why, sizeof(d->result.why), "its volume was not cut");
                }
        }
        d->done = done;
        d->user = user;
        drill_kick(m);
        return 0;
}

/* ---- the beginning ---- */

static int refuse(struct outcome *o, int error, enum exit_code code, const char *what, const char *why) {
        outcome_set(o, code, "No drill now: %s%s", what, why);
        return error;
}

/* Nothing that is going on may be slowed down or taken for the drill's, and what it shows must be what would happen. */
static int may_begin(const struct manager *m, struct outcome *o) {
        const struct volume *v;

        if (m->drill)
                return refuse(o, -EBUSY, EXIT_CODE_BUSY, m->drill->ending ? "what the last one left is being removed"
                                                                          : "another one is under way", "");
        if (m->trust_early || !audit_is_connected(m->audit))
                return refuse(o, -ENOTCONN, EXIT_CODE_FAILED, "its evidence is the audit trail, and cmkd-audit does not "
                              "answer. See \"systemctl status cmkd-audit\"", "");
        if (!breaker_is_ready(m->breaker))
                return refuse(o, -ENOTCONN, EXIT_CODE_FAILED, "cmkd-breaker does not run", "");
        LIST_FOREACH(v, &m->volumes, volumes) {
                bool cut = v->state == VOLUME_NOTICE || v->state == VOLUME_CUTTING || v->state == VOLUME_LINGERING ||
                           v->state == VOLUME_HOLDING;

                if (streq(v->name, DRILL_NAME))
                        return refuse(o, -EEXIST, EXIT_CODE_POLICY, v->name, " is the name of a volume");
                if (cut)
                        return refuse(o, -EBUSY, EXIT_CODE_BUSY, v->name, " is being held or cut, or not all of it is gone");
                if (pause_is_set(v) && pause_until(v) != USEC_INFINITY)
                        return refuse(o, -EBUSY, EXIT_CODE_BUSY, v->name, " is paused: a revocation has no effect on it");
        }
        if (trust_find_name(m->trust, DRILL_NAME))
                return refuse(o, -EEXIST, EXIT_CODE_POLICY, DRILL_NAME, " is on the node's list");
        return 0;
}

static int write_mark(const struct drill *d) {
        int r;

        r = mkdir_parents(DRILL_DIRECTORY, 0700);
        return r < 0 ? r : write_file_atomic(MARK, d->id, strlen(d->id), 0600);
}

static void on_recorded(int error, uint64_t sequence _unused_, void *user) {
        struct drill *d = user;
        struct outcome o = {};

        d->begun = true;
        if (error < 0) {
                outcome_set(&o, EXIT_CODE_FAILED, "No drill now: that it begins could not be written to the audit trail: %s",
                            strerror(-error));
                abandon(d, "its beginning could not be recorded");
        }
        tell(d, &o);
        drill_kick(d->manager);
}

static int record_begun(struct drill *d) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return -ENOMEM;
        audit_record_start(r, "drill_begun", LOG_NOTICE, true);
        audit_record_add(r, "volume", DRILL_NAME);
        audit_record_add(r, "drill", d->id);
        audit_record_addf(r, "dev", "%u:%u", major(d->device), minor(d->device));
        audit_record_add(r, "by", d->who.text);
        return audit_write(d->manager->audit, r, MANAGER_RELEASE_TIMEOUT_USEC, on_recorded, d);
}

static int set_up(struct drill *d, int loop) {
        int r;

        d->loop = fcntl(loop, F_DUPFD_CLOEXEC, 3);
        r = d->loop < 0 ? -errno : write_mark(d);
        if (r >= 0)
                r = sd_event_add_time_relative(d->manager->event, &d->limit, CLOCK_BOOTTIME, DRILL_MAX_USEC, 0, on_limit,
                                               d);
        return r < 0 ? r : record_begun(d);
}

int drill_begin(struct manager *m, const void *owner, int loop, int file, const struct requester *who,
                struct outcome *o, operation_done done, void *user) {
        const char *why;
        struct drill *d;
        dev_t device;
        int r;

        r = may_begin(m, o);
        if (r < 0)
                return r;
        why = unfit(loop, file, &device);
        if (why)
                return refuse(o, -EPERM, EXIT_CODE_POLICY, why, "");
        d = drill_new(m);
        if (!d)
                return refuse(o, -ENOMEM, EXIT_CODE_FAILED, "out of memory", "");
        d->owner = owner;
        d->device = device;
        d->who = *who;
        d->done = done;
        d->user = user;
        random_uuid(d->id);
        r = set_up(d, loop);
        if (r < 0) {
                drill_free(d);
                (void) unlink(MARK);
                (void) rmdir(DRILL_DIRECTORY);
                return refuse(o, r, EXIT_CODE_FAILED, strerror(-r), "");
        }
        m->drill = d;
        return 0;
}
