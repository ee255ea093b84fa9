/* SPDX-License-Identifier: Apache-2.0 */

/* The two verbs that end or suspend a use in an orderly way: detach (refused while in use) and hold (reversible). */

#include <syslog.h>
#include <unistd.h>

#include "common/log.h"
#include "disk-child.h"
#include "encrypt-run.h"
#include "key.h"
#include "manager.h"
#include "mapping-watch.h"
#include "operation.h"
#include "teardown.h"
#include "wrap.h"

#define HOLD_TIMEOUT_USEC (4 * USEC_PER_SEC)
/* Longer than it takes until another template may be asked for (disk-template.h); all of it within LEASE_HOLDING_USEC. */
#define HOLD_AGAIN_USEC (1100 * USEC_PER_MSEC)
#define HOLD_AGAIN_MAX 3u

struct detach {
        struct manager *manager;
        struct volume *volume;   /* NULL: it was cut, and forgotten or begun about anew, before this ended */
        char name[65];
        enum volume_state before;
        bool own;                /* a hold that policy asked for: when it fails, the cut follows */
        unsigned n_again;        /* ... unless there was nobody to do it: so often that was tried again */
        struct requester who;
        operation_done done;
        void *user;
};

static struct detach *detach_new(struct volume *v, const struct requester *who, operation_done done, void *user) {
        struct detach *d = calloc(1, sizeof(*d));

        if (!d)
                return NULL;
        d->manager = v->manager;
        d->volume = v;
        memcpy(d->name, v->name, sizeof(d->name));
        if (v->detaching)
                *v->detaching = NULL;
        v->detaching = &d->volume;
        d->before = v->state;
        d->who = *who;
        d->done = done;
        d->user = user;
        return d;
}

static void detach_free(struct detach *d) {
        if (d->volume && d->volume->detaching == &d->volume)
                d->volume->detaching = NULL;
        free(d);
}

static void end(struct detach *d, struct outcome *o, const char *event) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (r) {
                manager_record_start(r, d->volume, event, o->code == EXIT_CODE_DONE ? LOG_NOTICE : LOG_WARNING, false);
                audit_record_add(r, "by", d->who.text);
                audit_record_add(r, "why", o->message);
                manager_record(d->manager, r);
        }
        o->volume = d->volume;
        d->done(o, d->user);
        detach_free(d);
}

/* A cut overtakes without ending: what its volume is by now is somebody else's business. */
static bool was_overtaken(struct detach *d, enum volume_state state, bool changed) {
        struct outcome o = { .changed = changed };

        if (d->volume && d->volume->state == state)
                return false;
        outcome_set(&o, EXIT_CODE_REVOKED, "%s: it was cut meanwhile", d->name);
        end(d, &o, "failed");
        return true;
}

/* The mapping is gone: so must be its keys. */
static void leave_rest(struct detach *d, struct outcome *o, const char *what) {
        teardown_linger(d->volume);
        outcome_set(o, EXIT_CODE_BUSY, "%s: detached, but something may be left, which is looked for every 15 s until it is gone: %s",
                    d->volume->name, what);
        end(d, o, "failed");
}

static void on_verified(const struct disk_reply *y, int fd, void *user) {
        struct detach *d = user;
        struct volume *v = d->volume;
        struct outcome o = { .changed = true };

        safe_close(fd);
        if (was_overtaken(d, VOLUME_DETACHING, true))
                return;
        if (y->error < 0 && (y->flags & DISK_FLAG_OURS)) {
                outcome_set(&o, EXIT_CODE_BUSY, "%s: it was mapped again while it was detached: %s", v->name, y->message);
                volume_set_state(v, d->before);
                end(d, &o, "failed");
                return;
        }
        if (y->error < 0) {
                leave_rest(d, &o, y->message);
                return;
        }
        volume_set_state(v, VOLUME_CLOSED);
        key_evaluate_volume(v);
        end(d, &o, "detached");
        manager_volume_forget(v->manager, v);
}

static void on_deactivated(const struct disk_reply *y, int fd, void *user) {
        struct detach *d = user;
        struct volume *v = d->volume;
        struct disk_request q;
        struct outcome o = {};

        safe_close(fd);
        if (was_overtaken(d, VOLUME_DETACHING, y->error >= 0))
                return;
        if (y->error == -EKEYREJECTED) {       /* its mapping is gone, its keys are not */
                o.changed = true;
                leave_rest(d, &o, y->message);
                return;
        }
        if (y->error < 0) {
                outcome_from_disk(&o, y);
                volume_set_state(v, d->before);
                /* A child that is silent may have removed it: that was not looked at, for it was to go. */
                mapping_watch_made(d->manager->mappings, v);
                end(d, &o, "failed");
                return;
        }
        volume_disk_request(v, DISK_OP_STEP_VERIFY, &q);
        if (disk_child_start(d->manager->children, &q, -EBADF, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_verified, d, NULL) < 0) {
                o.changed = true;
                leave_rest(d, &o, "out of memory");
        }
}

static void deactivate(void *user) {
        struct detach *d = user;
        struct volume *v = d->volume;
        struct disk_request q;
        struct outcome o = {};

        if (was_overtaken(d, VOLUME_DETACHING, false))
                return;
        volume_disk_request(v, DISK_OP_DEACTIVATE, &q);
        if (disk_child_start(d->manager->children, &q, -EBADF, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_deactivated, d, NULL) >= 0)
                return;
        outcome_set(&o, EXIT_CODE_FAILED, "%s: out of memory", v->name);
        volume_set_state(v, d->before);
        end(d, &o, "failed");
}

int detach_start(struct manager *m, struct volume *v, const struct requester *who, operation_done done, void *user) {
        struct detach *d = detach_new(v, who, done, user);
        struct disk_request q;
        int r;

        if (!d)
                return -ENOMEM;
        r = volume_set_state(v, VOLUME_DETACHING);
        if (r < 0) {
                detach_free(d);
                return r;
        }
        /* A mapping that is being encrypted stands on others: that ends first, and goes on with the next attach. */
        if (encrypt_stop(v, deactivate, d))
                return 0;
        volume_disk_request(v, DISK_OP_DEACTIVATE, &q);
        r = disk_child_start(m->children, &q, -EBADF, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_deactivated, d, NULL);
        if (r < 0) {
                volume_set_state(v, d->before);
                detach_free(d);
        }
        return r;
}

static void on_held(const struct disk_reply *y, int fd, void *user);

static int ask_to_hold(struct detach *d) {
        struct disk_request q;

        volume_disk_request(d->volume, DISK_OP_HOLD, &q);
        return disk_child_start(d->manager->children, &q, -EBADF, -EBADF, HOLD_TIMEOUT_USEC, on_held, d, NULL);
}

static int on_hold_again(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct disk_reply y = { .error = -ENOMEM, .message = "it was cut meanwhile, or out of memory" };
        struct detach *d = user;

        if (!d->volume || d->volume->state != VOLUME_HOLDING || ask_to_hold(d) < 0)
                on_held(&y, -EBADF, d);
        return 0;
}

static bool hold_again(struct detach *d) {
        return d->own && d->n_again++ < HOLD_AGAIN_MAX &&
               sd_event_add_time_relative(d->manager->event, NULL, CLOCK_BOOTTIME, HOLD_AGAIN_USEC, USEC_PER_MSEC, on_hold_again, d) >= 0;
}

/* Nothing has happened to it: it is as it was, and under its lease. */
static void stay_open(struct volume *v) {
        volume_set_state(v, VOLUME_ATTACHED);
        key_evaluate_volume(v);
        wraps_schedule(v);
}

static void on_held(const struct disk_reply *y, int fd, void *user) {
        struct detach *d = user;
        struct volume *v = d->volume;
        struct outcome o = { .changed = y->silence != DISK_NOT_STARTED };
        int r;

        safe_close(fd);
        if (was_overtaken(d, VOLUME_HOLDING, o.changed))
                return;
        if (y->error >= 0 && !(y->flags & DISK_FLAG_SUSPENDED)) {
                /* The breaker was faster, in our place: what is cut can only be cleaned up. */
                outcome_set(&o, EXIT_CODE_REVOKED, "%s: it was cut meanwhile", v->name);
                r = teardown_start(v, ACTION_CUT, v->cause, "it was cut by the breaker");
                if (r < 0)
                        log_alert("%s: cut, but not cleaned up: %s", v->name, strerror(-r));
                end(d, &o, "failed");
                return;
        }
        if (y->error >= 0) {
                volume_set_state(v, VOLUME_HELD);
                log_alert("%s: held: suspended, the volume key is wiped; cached pages stay readable", v->name);
                key_evaluate_volume(v);
                wraps_schedule(v);
                end(d, &o, "held");
                return;
        }
        if (y->silence == DISK_NOT_STARTED && hold_again(d))
                return;
        outcome_from_disk(&o, y);
        /* Half a hold may stand (suspended, key not wiped): what was to be held is cut. An operator's wish for a
         * hold that was refused before anything happened leaves the volume as it was. */
        if (d->own || (y->error != -EPERM && y->silence != DISK_NOT_STARTED)) {
                r = teardown_start(v, ACTION_CUT, v->cause, "a hold is not possible");
                if (r < 0)
                        log_alert("%s: neither held nor cut: %s; the breaker will cut it", v->name, strerror(-r));
        } else
                stay_open(v);
        if (y->silence == DISK_NOT_STARTED && !d->own)
                outcome_set(&o, EXIT_CODE_BUSY, "%s: not held, it is as it was: cmkd-ladder could not be started (%s). See \"systemctl status "
                            "cmkd-ladder.socket\", then the same again; \"cmkctl cut %s\" would be the breaker's, which needs none", v->name,
                            strerror(-y->error), v->name);
        end(d, &o, "failed");
}

int hold_start(struct volume *v, const struct requester *who, operation_done done, void *user) {
        struct detach *d = detach_new(v, who, done, user);
        int r;

        if (!d)
                return -ENOMEM;
        d->own = v->cause != CAUSE_OPERATOR;
        r = volume_set_state(v, VOLUME_HOLDING);
        if (r < 0) {
                detach_free(d);
                return r;
        }
        r = ask_to_hold(d);
        if (r < 0) {
                volume_set_state(v, VOLUME_ATTACHED);
                detach_free(d);
        }
        return r;
}
