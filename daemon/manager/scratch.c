/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "common/log.h"
#include "common/role-mark.h"
#include "disk-child.h"
#include "manager.h"
#include "release-record.h"

#define MARKS "/run/cmkd/scratch"
#define MARK_SIZE (sizeof(MARKS) + 66)

static const char *const verbs[] = { "scratch create", "scratch renew", "scratch remove" };

/* ---- what there is ---- */

static void mark_path(const char *name, char *buf) {
        snprintf(buf, MARK_SIZE, MARKS "/%s", name);
}

static int write_mark(const struct scratch_job *j) {
        char path[MARK_SIZE];
        int r;

        mark_path(j->name, path);
        r = mkdir_parents(MARKS, 0700);
        return r < 0 ? r : write_file_atomic(path, j->uuid, strlen(j->uuid), 0600);
}

static void remove_mark(const char *name, const char *uuid) {
        char path[MARK_SIZE];

        mark_path(name, path);
        (void) unlink(path);
        role_mark_remove(uuid);
}

struct wanted {
        const char *name, *uuid;
        bool has_table;
};

static int is_it(const struct mapping_seen *s, void *user) {
        _cleanup_(freep) char *size = NULL;
        struct wanted *w = user;
        char path[64];

        if (!streq(s->mapping, w->name) || !streq(s->uuid, w->uuid))
                return 0;
        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/size", s->major, s->minor);
        w->has_table = read_small_file(path, 32, &size, NULL) >= 0 && *size != '0';
        return 1;
}

void scratch_look(const struct manager *m, const char *name, struct scratch_seen *ret) {
        _cleanup_(freep) char *uuid = NULL;
        const struct scratch_job *j;
        char path[MARK_SIZE];
        struct wanted wanted;
        struct stat st;

        *ret = (struct scratch_seen) {};
        LIST_FOREACH(j, &m->scratch_jobs, jobs)
                ret->busy |= streq(j->name, name);
        mark_path(name, path);
        if (read_small_file(path, 64, &uuid, NULL) < 0 || !uuid_is_valid(uuid) || stat(path, &st) < 0)
                return;
        memcpy(ret->uuid, uuid, sizeof(ret->uuid));
        ret->since_usec = (uint64_t) st.st_mtim.tv_sec * USEC_PER_SEC + (uint64_t) st.st_mtim.tv_nsec / NSEC_PER_USEC;
        wanted = (struct wanted) { .name = name, .uuid = ret->uuid };
        ret->open = mapping_sysfs_for_each(is_it, &wanted) > 0;
        ret->torn = ret->open && !wanted.has_table;
}

/* ---- the end of a job ---- */

static void job_free(struct scratch_job *j) {
        LIST_REMOVE(j, jobs);
        free(j);
}

static void start_record(const struct scratch_job *j, struct audit_message_record *r, const char *event, uint8_t priority,
                         bool durable) {
        audit_record_start(r, event, priority, durable);
        audit_record_add(r, "volume", j->name);
        audit_record_add(r, "uuid", j->uuid);
        audit_record_add(r, "use", j->use_id);
        audit_record_add(r, "role", role_to_string(ROLE_SCRATCH));
        audit_record_add(r, "device", j->device);
        audit_record_add(r, "verb", verbs[j->verb]);
        audit_record_add(r, "by", j->who.text);
}

/* event NULL: nothing happened. */
static void end(struct scratch_job *j, struct outcome *o, const char *event) {
        _cleanup_(freep) struct audit_message_record *r = event ? malloc(sizeof(*r)) : NULL;

        if (r) {
                start_record(j, r, event, o->code == EXIT_CODE_DONE ? LOG_NOTICE : LOG_WARNING, false);
                audit_record_add(r, "why", o->message);
                manager_record(j->manager, r);
        }
        if (o->code != EXIT_CODE_DONE)
                log_warning("%s: %s: %s", j->name, verbs[j->verb], o->message);
        j->done(o, j->user);
        job_free(j);
}

static void end_short_of_memory(struct scratch_job *j) {
        struct outcome o = {};

        outcome_set(&o, EXIT_CODE_FAILED, "%s: out of memory", j->name);
        end(j, &o, "failed");
}

/* ---- create ---- */

static void on_made(const struct disk_reply *y, int fd, void *user) {
        struct scratch_job *j = user;
        struct outcome o = { .changed = true };
        struct scratch_seen s;

        safe_close(fd);
        if (y->error >= 0) {
                end(j, &o, "scratch_created");
                return;
        }
        outcome_from_disk(&o, y);
        /* A child that was killed may have made the mapping before: its key was never anywhere, and it stays ours. */
        scratch_look(j->manager, j->name, &s);
        if (!s.open)
                remove_mark(j->name, j->uuid);
        end(j, &o, o.code == EXIT_CODE_POLICY ? "refused" : "failed");
}

static void on_recorded(int error, uint64_t sequence _unused_, void *user) {
        struct scratch_job *j = user;
        struct manager *m = j->manager;
        struct disk_request q = { .op = DISK_OP_SCRATCH, .role = ROLE_SCRATCH, .flags = j->wipe ? DISK_FLAG_WIPE : 0 };
        struct outcome o = {};
        int r;

        if (!release_may_go_on(m, error, j->name, &o)) {
                end(j, &o, "failed");
                return;
        }
        r = write_mark(j);
        if (r < 0) {
                outcome_set(&o, EXIT_CODE_FAILED, "%s: " MARKS " cannot be written to: %s", j->name, strerror(-r));
                end(j, &o, "failed");
                return;
        }
        role_mark_write(j->uuid, ROLE_SCRATCH);
        memcpy(q.device, j->device, sizeof(q.device));
        memcpy(q.name, j->name, sizeof(q.name));
        memcpy(q.uuid, j->uuid, sizeof(q.uuid));
        if (disk_child_start(m->children, &q, -EBADF, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_made, j, NULL) < 0)
                end_short_of_memory(j);
}

static void make(struct scratch_job *j) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        random_uuid(j->uuid);
        if (r)
                start_record(j, r, "scratch_begun", LOG_NOTICE, true);
        if (release_record(j->manager, r, on_recorded, j) < 0)
                end_short_of_memory(j);
}

/* ---- remove ---- */

static void on_verified(const struct disk_reply *y, int fd, void *user) {
        struct scratch_job *j = user;
        struct outcome o = { .changed = true };

        safe_close(fd);
        if (y->error < 0) {
                outcome_set(&o, EXIT_CODE_BUSY, "%s: closed, but something is left: %s", j->name, y->message);
                end(j, &o, "failed");
                return;
        }
        remove_mark(j->name, j->uuid);
        if (j->verb == SCRATCH_REMOVE)
                end(j, &o, "scratch_removed");
        else
                make(j);
}

static int ask_ladder(struct scratch_job *j, enum disk_op op, disk_callback callback) {
        struct disk_request q = { .op = op, .role = ROLE_SCRATCH };

        memcpy(q.name, j->name, sizeof(q.name));
        memcpy(q.mapping, j->name, sizeof(j->name));
        memcpy(q.uuid, j->uuid, sizeof(q.uuid));
        return disk_child_start(j->manager->children, &q, -EBADF, -EBADF, MANAGER_DISK_TIMEOUT_USEC, callback, j, NULL);
}

static void on_deactivated(const struct disk_reply *y, int fd, void *user) {
        struct scratch_job *j = user;
        struct outcome o = {};

        safe_close(fd);
        if (y->error < 0) {
                outcome_from_disk(&o, y);
                end(j, &o, "failed");
        } else if (ask_ladder(j, DISK_OP_STEP_VERIFY, on_verified) < 0)
                end_short_of_memory(j);
}

/* ---- the beginning ---- */

/* Fills j->device and says whether the verb may begin: 0, or the outcome is filled. */
static int check(struct scratch_job *j, struct outcome *o) {
        const struct scratch_config *c = config_find_scratch(j->manager->config, j->name);
        struct scratch_seen s;

        if (c)
                snprintf(j->device, sizeof(j->device), "%s", c->device);
        if (trust_find_name(j->manager->trust, j->name) || manager_volume_by_name(j->manager, j->name))
                return outcome_set(o, EXIT_CODE_POLICY, "%s is the name of a volume on this node's list", j->name), -EEXIST;
        scratch_look(j->manager, j->name, &s);
        /* one whose section went while it was open can still be closed */
        if (!c && (j->verb != SCRATCH_REMOVE || !s.open))
                return outcome_set(o, EXIT_CODE_POLICY, "There is no [Scratch %s] in cmkd.conf (cmkctl config show, config reload)",
                                   j->name), -ENOENT;
        j->wipe |= c && c->wipe;
        return 0;
}

/* Never from inside scratch_start(). */
static int on_begin(sd_event_source *source, void *user) {
        struct scratch_job *j = user, *other;
        struct outcome o = {};
        struct scratch_seen s;

        sd_event_source_unref(source);
        LIST_FOREACH(other, &j->manager->scratch_jobs, jobs)
                if (other != j && streq(other->name, j->name)) {
                        outcome_set(&o, EXIT_CODE_BUSY, "%s: something is being done to it already", j->name);
                        end(j, &o, NULL);
                        return 0;
                }
        if (check(j, &o) < 0) {
                end(j, &o, NULL);
                return 0;
        }
        scratch_look(j->manager, j->name, &s);
        if (!s.open && j->verb != SCRATCH_REMOVE) {
                make(j);
                return 0;
        }
        if (s.open == (j->verb == SCRATCH_CREATE) && !s.torn) {
                end(j, &o, NULL);              /* it is as it is wanted already */
                return 0;
        }
        memcpy(j->uuid, s.uuid, sizeof(j->uuid));
        if (ask_ladder(j, DISK_OP_DEACTIVATE, on_deactivated) < 0)
                end_short_of_memory(j);
        return 0;
}

int scratch_start(struct manager *m, enum scratch_verb verb, const char *name, bool wipe, const struct requester *who,
                  operation_done done, void *user) {
        struct scratch_job *j = calloc(1, sizeof(*j));
        sd_event_source *source = NULL;

        if (!j)
                return -ENOMEM;
        *j = (struct scratch_job) { .manager = m, .verb = verb, .wipe = wipe, .who = *who, .done = done, .user = user };
        snprintf(j->name, sizeof(j->name), "%s", name);
        random_uuid(j->use_id);
        if (sd_event_add_defer(m->event, &source, on_begin, j) < 0) {
                free(j);
                return -ENOMEM;
        }
        LIST_INSERT_HEAD(&m->scratch_jobs, j, jobs);
        return 0;
}
