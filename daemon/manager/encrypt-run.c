/* SPDX-License-Identifier: Apache-2.0 */
#include "encrypt-run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <syslog.h>
#include <unistd.h>

#include "boot-image.h"
#include "common/log.h"
#include "manager.h"
#include "open-mark.h"
#include "teardown.h"

#define RETRY_USEC (10 * USEC_PER_SEC)
#define IMAGE_RETRY_USEC (10 * 60 * USEC_PER_SEC)
#define LIST_EVERY_USEC (10 * USEC_PER_SEC)       /* how old a header may be before it is refused */
#define NO_DEADLINE (365ull * 24 * 60 * 60 * USEC_PER_SEC)
#define FAILURES_MAX 3u

struct encrypt_run {
        struct header_work work;          /* first: it is what the step is about */
        LIST_ENTRY(encrypt_run) runs;     /* of the manager */
        sd_event_source *timer, *pipe;
        int pipe_fd;
        struct disk_child *child;         /* while it runs */
        struct disk_progress first, last;
        uint64_t began, listed_at;        /* boot clock */
        struct disk_reply ended;
        bool has_ended;                   /* the child, and this is what it said */
        bool stopping;
        bool rekeys;                      /* from one volume key to another */
        void (*stopped)(void *user);
        void *user;
};

static struct encrypt_run *find_run(struct manager *m, const char *uuid) {
        struct encrypt_run *r;

        LIST_FOREACH(r, &m->encryptions, runs)
                if (streq(r->work.uuid, uuid))
                        return r;
        return NULL;
}

static struct volume *volume_of(struct encrypt_run *r) {
        return manager_volume_by_uuid(r->work.manager, r->work.uuid);
}

static void run_free(struct encrypt_run *r) {
        header_work_give_back(&r->work);
        LIST_REMOVE(r, runs);
        sd_event_source_disable_unref(r->timer);
        sd_event_source_disable_unref(r->pipe);
        safe_close(r->pipe_fd);
        if (r->stopped)
                r->stopped(r->user);
        free(r);
}

static const struct unlock_verb *verb_of(const struct encrypt_run *r);

static void record(struct encrypt_run *r, const char *event, uint8_t priority, const char *why) {
        _cleanup_(freep) struct audit_message_record *a = malloc(sizeof(*a));

        if (!a)
                return;
        audit_record_start(a, event, priority, false);
        audit_record_add(a, "verb", verb_of(r)->name);
        audit_record_add(a, "volume", r->work.name);
        audit_record_add(a, "uuid", r->work.uuid);
        audit_record_add(a, "device", r->work.device);
        audit_record_add(a, "why", why);
        manager_record(r->work.manager, a);
}

/* What may be plain from now on. Never more than before. */
static void list(struct encrypt_run *r, uint64_t plain) {
        const struct trust_entry *t = trust_find_uuid(r->work.manager->trust, r->work.uuid);
        struct trust_entry e;
        int error;

        r->listed_at = now_boottime_usec();
        if (!t || t->unencrypted <= plain)
                return;
        e = *t;
        e.unencrypted = plain;
        e.rekeying = r->rekeys && plain > 0;
        error = plain > 0 ? header_work_list(&r->work, &e) : boot_image_list(&r->work, &e);
        if (error < 0)
                log_warning("%s: how far its encryption is cannot be written down: %s", r->work.name, strerror(-error));
}

static int on_retry(sd_event_source *s, uint64_t usec, void *user);

static void later(struct encrypt_run *r, uint64_t usec) {
        r->timer = sd_event_source_disable_unref(r->timer);
        if (sd_event_add_time_relative(r->work.manager->event, &r->timer, CLOCK_BOOTTIME, usec, 0, on_retry, r) < 0) {
                log_error("%s: no memory to go on with its encryption", r->work.name);
                run_free(r);
        }
}

/* What there is opens it as well, and a header from the middle too, if somebody kept one. */
static void on_last_image(const char *why, void *user _unused_) {
        if (why)
                log_alert("The initramfs could not be built anew after the change of a volume key: %s. The one that is there boots this machine; "
                          "\"systemctl start " BOOT_IMAGE_UNIT "\"", why);
}

static void finish(struct encrypt_run *r) {
        struct volume *v;
        int error;

        list(r, 0);
        log_notice("%s: all of it is encrypted%s now", r->work.name, r->rekeys ? " by its new volume key" : "");
        record(r, r->rekeys ? "reencrypted" : "encrypted", LOG_NOTICE, NULL);
        v = header_work_bind(&r->work, -1);
        if (v)
                v->encrypt_failures = 0;
        if (v && v->role == ROLE_OS) {
                error = boot_image_build(r->work.manager, on_last_image, NULL);
                if (error < 0)
                        on_last_image(strerror(-error), NULL);
        }
        run_free(r);
}

/* Nobody closes the root file system: what is half-way is finished in the initramfs. At once, and without a child that would look first: what
 * it would need (a record that is durable, its own program) may be on the part that waits. Where it does not get on between two boots it is
 * tried again, and not booted for. */
static void boot_again(struct encrypt_run *r, struct volume *v, const char *why) {
        int error;

        log_alert("%s: the change of its volume key was stopped half-way, and whoever uses that part of it waits until the next boot: %s", v->name,
                  why);
        record(r, "reencrypt_interrupted", LOG_ALERT, why);
        if (!v->encrypt_progressed && ++v->encrypt_failures == 1) {
                header_work_give_back(&r->work);
                later(r, RETRY_USEC);
                return;
        }
        run_free(r);
        if (!v->encrypt_progressed) {
                log_alert("%s: it did not get on since this machine was booted, which is not booted again for it. What is wrong with its disk?",
                          v->name);
                return;
        }
        error = teardown_start(v, ACTION_REBOOT, CAUSE_INTERRUPTED, why);
        if (error < 0 && error != -EALREADY)
                log_alert("%s: this machine could not be booted again: %s", v->name, strerror(-error));
}

/* A part is half-way, and whoever uses the volume waits for it: it can be finished only while nobody does. */
static void reopen(struct encrypt_run *r, struct volume *v, const char *why) {
        int error;

        if (v->role == ROLE_OS) {
                boot_again(r, v, why);
                return;
        }
        log_alert("%s: its encryption was stopped half-way: %s", r->work.name, why);
        record(r, r->rekeys ? "reencrypt_interrupted" : "encrypt_interrupted", LOG_ALERT, why);
        v->encrypt_failures++;
        run_free(r);
        if (v->encrypt_failures >= FAILURES_MAX) {
                log_alert("%s: that was the %uth time without any progress: it stays as it is. \"cmkctl cut %s\", then \"cmkctl attach "
                          "%s\"", v->name, v->encrypt_failures, v->name, v->name);
                return;
        }
        error = teardown_start(v, ACTION_CUT, CAUSE_INTERRUPTED, why);
        if (error < 0 && error != -EALREADY)
                log_alert("%s: it could not be cut: %s", v->name, strerror(-error));
}

/* Stopped between its last part and its header's word: that is written when it is attached (disk/encryption-end.h), and whoever uses it now
 * would be cut off for nothing. Nothing more may be plain. */
static void leave(struct encrypt_run *r) {
        const struct volume *v = volume_of(r);

        if (v && v->role == ROLE_OS)
                log_notice("%s: all of it is encrypted; its header says so from the next boot on, and cannot be changed before", r->work.name);
        else
                log_notice("%s: all of it is encrypted; its header says so from the next attach on, and cannot be changed before (\"cmkctl detach "
                           "%s\", \"cmkctl attach %s\")", r->work.name, r->work.name, r->work.name);
        list(r, 1);
        run_free(r);
}

static void drop_pipe(struct encrypt_run *r) {
        r->pipe = sd_event_source_disable_unref(r->pipe);
        r->pipe_fd = safe_close(r->pipe_fd);
}

/* The step has ended, with or without a child. */
static void on_step(const struct outcome *o, void *user) {
        struct encrypt_run *r = user;
        struct volume *v = volume_of(r);

        drop_pipe(r);
        if (r->has_ended && r->ended.error == 0) {
                r->work.header = r->ended;
                if (!(r->ended.flags & DISK_FLAG_ENCRYPTING)) {
                        finish(r);
                        return;
                }
                if (r->ended.plain == 0) {
                        leave(r);
                        return;
                }
                list(r, r->ended.plain);
        }
        if (!v || v->state != VOLUME_ATTACHED || r->stopping) {
                run_free(r);
                return;
        }
        if (r->has_ended && r->ended.error < 0) {
                char why[sizeof(r->ended.message)];

                memcpy(why, r->ended.message, sizeof(why));        /* it outlives the run */
                reopen(r, v, why);
                return;
        }
        log_warning("%s: its encryption does not go on yet: %s", r->work.name, *o->message ? o->message : "it was stopped");
        header_work_give_back(&r->work);
        later(r, RETRY_USEC);
}

static void on_ran(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        struct encrypt_run *r = u->user;
        struct outcome o = {};

        safe_close(fd);
        u->secret_fd = safe_close(u->secret_fd);
        r->child = NULL;
        drop_pipe(r);                      /* a child with another key has one of its own */
        if (unlock_try_next(u, y))
                return;
        /* Policy, or nobody was there: nothing was begun; else the child was at work, or cannot say whether it was. */
        r->ended = *y;
        r->has_ended = y->error == 0 || y->error == -EUCLEAN ||
                       (y->exit_code != EXIT_CODE_POLICY && y->error != -EBUSY && y->silence != DISK_NOT_STARTED);
        if (y->error < 0) {
                outcome_from_disk(&o, y);
                unlock_fail(u, &o, "failed");
        } else
                unlock_end(u, &o);
}

static int on_progress(sd_event_source *s, int fd, uint32_t events _unused_, void *user) {
        struct encrypt_run *r = user;
        struct disk_progress p;
        struct volume *v = volume_of(r);
        ssize_t n;

        while ((n = read(fd, &p, sizeof(p))) == (ssize_t) sizeof(p)) {
                if (p.done > p.size)
                        continue;
                if (r->last.size == 0)
                        r->first = p;
                else if (v && p.done > r->last.done) {
                        v->encrypt_failures = 0;
                        if (!v->encrypt_progressed)
                                open_mark_progressed(v);
                        v->encrypt_progressed = true;
                }
                r->last = p;
        }
        if (n == 0 || (n < 0 && errno != EAGAIN))
                sd_event_source_set_enabled(s, SD_EVENT_OFF);
        if (r->last.size > 0 && now_boottime_usec() >= r->listed_at + LIST_EVERY_USEC && r->last.done < r->last.size)
                list(r, r->last.size - r->last.done);
        return 0;
}

static void use_run(struct unlock *u) {
        struct encrypt_run *r = u->user;
        const struct volume *v = volume_of(r);
        struct disk_request q;
        struct outcome o = {};
        int fds[2] = { -EBADF, -EBADF };

        if (!v || v->state != VOLUME_ATTACHED || r->stopping) {
                outcome_set(&o, EXIT_CODE_BUSY, "%s: it is not attached any more", r->work.name);
                unlock_end(u, &o);
                return;
        }
        unlock_disk_request(u, DISK_OP_ENCRYPT_RUN, &q);
        if (pipe2(fds, O_CLOEXEC|O_NONBLOCK) >= 0 &&
            sd_event_add_io(r->work.manager->event, &r->pipe, fds[0], EPOLLIN, on_progress, r) >= 0 &&
            disk_child_start(r->work.manager->children, &q, u->secret_fd, fds[1], NO_DEADLINE, on_ran, u, &r->child) >= 0) {
                r->pipe_fd = fds[0];
                r->began = now_boottime_usec();
                safe_close(fds[1]);
                return;
        }
        r->pipe = sd_event_source_disable_unref(r->pipe);
        safe_close(fds[0]);
        safe_close(fds[1]);
        outcome_set(&o, EXIT_CODE_FAILED, "%s: out of memory or descriptors", r->work.name);
        unlock_end(u, &o);
}

static const struct unlock_verb run_verb = { .name = "encrypt", .header_only = true, .while_encrypted = true, .use = use_run };
static const struct unlock_verb rekey_verb = { .name = "reencrypt", .header_only = true, .while_encrypted = true, .use = use_run };

static const struct unlock_verb *verb_of(const struct encrypt_run *r) {
        return r->rekeys ? &rekey_verb : &run_verb;
}

/* A header with another volume key was made (reencrypt.c): it became the disk's, and the key of before counts for nothing from now on; or
 * it did not, and nobody has that key any more. */
static int settle_next(struct encrypt_run *r, const struct disk_reply *y) {
        const struct trust_entry *t = trust_find_uuid(r->work.manager->trust, r->work.uuid);
        struct trust_entry e;

        r->rekeys = y->flags & DISK_FLAG_REKEYING;
        if (!t || !t->has_next)
                return 0;
        e = *t;
        e.has_next = false;
        if (r->rekeys) {
                memcpy(e.digest, t->next_digest, sizeof(e.digest));
                e.unencrypted = MAX_OF(y->plain, 1u);
                e.rekeying = true;
        }
        return r->rekeys ? boot_image_list(&r->work, &e) : header_work_list(&r->work, &e);
}

static bool begin_step(struct encrypt_run *r) {
        return header_work_step(&r->work, verb_of(r), PICK_ANY, NULL, on_step) >= 0;
}

static void not_without_image(struct encrypt_run *r, const char *why) {
        log_alert("%s: the change of its volume key waits for an initramfs that opens it afterwards too, which could not be built: %s", r->work.name, why);
        header_work_give_back(&r->work);
        later(r, IMAGE_RETRY_USEC);
}

static void on_image(const char *why, void *user) {
        struct encrypt_run *r = user;

        if (why)
                not_without_image(r, why);
        else if (!begin_step(r)) {
                header_work_give_back(&r->work);
                later(r, RETRY_USEC);
        }
}

/* The one before this list opens the header as it is now, and not as it is at the end. */
static bool build_image(struct encrypt_run *r) {
        int error = boot_image_build(r->work.manager, on_image, r);

        if (error < 0 && error != -ENOTCONN)
                not_without_image(r, strerror(-error));
        return error != -ENOTCONN;        /* at boot the bus comes later */
}

/* The header is ours. Returns false where it has to be tried again later. */
static bool go_on(struct encrypt_run *r, const struct disk_reply *y, bool was_rekeying) {
        const struct trust_entry *t = trust_find_uuid(r->work.manager->trust, r->work.uuid);

        if (!(y->flags & DISK_FLAG_ENCRYPTING)) {
                r->rekeys = was_rekeying;
                if (t && t->unencrypted > 0)
                        finish(r);         /* the last part was finished by the attach, or the manager was killed before it heard */
                else
                        run_free(r);       /* it did not begin */
                return true;
        }
        if (y->plain == 0) {
                leave(r);
                return true;
        }
        r->has_ended = false;
        r->last = (struct disk_progress) {};
        return t && t->role == ROLE_OS && boot_image_is_due() ? build_image(r) : begin_step(r);
}

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct encrypt_run *r = user;
        struct volume *v = volume_of(r);
        const struct trust_entry *t = trust_find_uuid(r->work.manager->trust, r->work.uuid);

        safe_close(fd);
        if (!v || v->state != VOLUME_ATTACHED || r->stopping) {
                run_free(r);
                return;
        }
        if (y->error >= 0 && streq(y->uuid, r->work.uuid) && t) {
                bool was_rekeying = t->rekeying;

                r->work.header = *y;
                if (settle_next(r, y) >= 0 && go_on(r, y, was_rekeying))
                        return;
        }
        header_work_give_back(&r->work);
        later(r, RETRY_USEC);
}

/* Taken first: a header that was read before somebody else's work on it ended says nothing of how far it is now. */
static void look_at_header(struct encrypt_run *r) {
        if (!header_work_claim(&r->work))
                later(r, r->work.outcome.code == EXIT_CODE_BUSY ? USEC_PER_SEC : RETRY_USEC);
        else if (header_work_inspect(&r->work, on_inspected, r) < 0) {
                header_work_give_back(&r->work);
                later(r, RETRY_USEC);
        }
}

static int on_retry(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct encrypt_run *r = user;
        struct volume *v = volume_of(r);

        r->timer = sd_event_source_disable_unref(r->timer);
        if (!v || v->state != VOLUME_ATTACHED || r->stopping)
                run_free(r);
        else if (v->encrypt_half_way)
                boot_again(r, v, "what encrypted it died, and so did its manager");
        else
                look_at_header(r);
        return 0;
}

/* Not from inside the call: whoever attached it still has it. */
void encrypt_look(struct volume *v) {
        const struct trust_entry *t = trust_find_uuid(v->manager->trust, v->uuid);
        struct encrypt_run *r;

        if (v->state != VOLUME_ATTACHED || !t || (t->unencrypted == 0 && !t->has_next) || *t->list || find_run(v->manager, v->uuid))
                return;
        /* There it would be killed soon, and what the list is told is lost. */
        if (v->manager->initramfs || v->manager->trust_early)
                return;
        r = calloc(1, sizeof(*r));
        if (!r) {
                log_error("%s: no memory to go on with its encryption", v->name);
                return;
        }
        r->work.manager = v->manager;
        snprintf(r->work.who.text, sizeof(r->work.who.text), "cmkd: its encryption goes on");
        memcpy(r->work.uuid, v->uuid, sizeof(r->work.uuid));
        memcpy(r->work.name, v->name, sizeof(r->work.name));
        memcpy(r->work.device, v->device, sizeof(r->work.device));
        random_uuid(r->work.use_id);
        r->pipe_fd = -EBADF;
        LIST_INSERT_HEAD(&v->manager->encryptions, r, runs);
        later(r, 0);
}

void encrypt_kill(struct volume *v) {
        struct encrypt_run *r = find_run(v->manager, v->uuid);

        if (r && r->child)
                disk_child_end(r->child, SIGKILL, 0);
}

bool encrypt_state(const struct volume *v, struct encryption_state *ret) {
        const struct trust_entry *t = trust_find_uuid(v->manager->trust, v->uuid);
        const struct encrypt_run *r = find_run(v->manager, v->uuid);
        uint64_t elapsed;

        if (!t || t->unencrypted == 0)
                return false;
        *ret = (struct encryption_state) { .running = r && r->child, .rekeys = t->rekeying, .size = v->sectors * 512 };
        ret->done = ret->size - MIN_OF(ret->size, t->unencrypted);
        if (!r || r->last.size == 0)
                return true;
        ret->size = r->last.size;
        ret->done = r->last.done;
        elapsed = now_boottime_usec() - r->began;
        if (elapsed >= USEC_PER_MSEC)
                ret->rate = (r->last.done - r->first.done) * 1000 / (elapsed / USEC_PER_MSEC);
        return true;
}

bool encrypt_stop(struct volume *v, void (*done)(void *user), void *user) {
        struct encrypt_run *r = find_run(v->manager, v->uuid);

        if (!r || !r->child)
                return false;
        if (r->stopped)                 /* it was cut meanwhile, and is detached once more */
                r->stopped(r->user);
        r->stopping = true;
        r->stopped = done;
        r->user = user;
        disk_child_end(r->child, SIGTERM, 0);
        return true;
}

void encrypt_stop_all(struct manager *m) {
        uint64_t until = now_boottime_usec() + ENCRYPT_STOP_USEC, now;
        struct encrypt_run *r;

        LIST_FOREACH(r, &m->encryptions, runs)
                if (r->child)
                        disk_child_end(r->child, SIGTERM, 0);
        LIST_FOREACH(r, &m->encryptions, runs) {
                now = now_boottime_usec();
                if (r->child && now < until)
                        disk_child_end(r->child, SIGTERM, until - now);
        }
}
