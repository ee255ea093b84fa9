/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy-early.h"

#include "trail.h"
#include "verify.h"

#include <limits.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define EVENT "privacy"

struct paths {
        char old_trail[PATH_MAX], old_head[PATH_MAX], dir[PATH_MAX], trail[PATH_MAX], head[PATH_MAX];
};

static int make_paths(const char *dir, struct paths *ret) {
        if (strlen(dir) > PATH_MAX - 64)
                return -ENAMETOOLONG;
        snprintf(ret->old_trail, PATH_MAX, "%s/trail.jsonl", dir);
        snprintf(ret->old_head, PATH_MAX, "%s/trail.head", dir);
        snprintf(ret->dir, PATH_MAX, "%s/strict", dir);
        snprintf(ret->trail, PATH_MAX, "%s/strict/trail.jsonl", dir);
        snprintf(ret->head, PATH_MAX, "%s/strict/trail.head", dir);
        return 0;
}

void privacy_early_record(const struct privacy *p, struct audit_message_record *m) {
        audit_record_start(m, EVENT, LOG_INFO, true);
        audit_record_add(m, "privacy", "strict");
        audit_record_add(m, "privacy_key", privacy_id(p));
}

/* Returns 1 if there is one with names, 0 if it was written anew, -ENOENT: there is none, or no record in it; or -errno. */
static int has_names(const char *path) {
        _cleanup_(reader_freep) struct reader *reader = NULL;
        _cleanup_(record_done) struct record x = {};
        int r = reader_open(path, &reader);

        if (r < 0)
                return r;
        r = reader_next(reader, &x);
        return r == 0 ? -ENOENT : r > 0 && streq(x.event, EVENT) ? 0 : 1;
}

static int append(struct trail *t, const struct audit_message_record *m, enum record_source source) {
        uint64_t sequence;
        bool kept;
        int r;

        r = trail_append(t, m, source, NULL, &sequence);
        if (r != -ENOBUFS)
                return r;
        r = trail_commit(t, false, &kept);
        return r < 0 ? r : trail_append(t, m, source, NULL, &sequence);
}

/* In the place of one that no trail takes. */
static int append_gap(struct trail *t, struct audit_message_record *m, uint64_t sequence) {
        audit_record_start(m, "gap", LOG_ALERT, true);
        audit_record_add(m, "reason", "early_left_out");
        audit_record_addf(m, "first", "%llu", (unsigned long long) sequence);
        audit_record_addf(m, "last", "%llu", (unsigned long long) sequence);
        return append(t, m, RECORD_DAEMON);
}

static int copy(struct privacy *p, const char *path, struct trail *t, struct audit_message_record *m) {
        _cleanup_(reader_freep) struct reader *reader = NULL;
        int r;

        r = reader_open(path, &reader);
        while (r >= 0) {
                _cleanup_(record_done) struct record x = {};

                r = reader_next(reader, &x);
                if (r == 0)
                        return 0;
                if (r == -EBADMSG || r == -EPROTONOSUPPORT) {
                        r = 0;                 /* verification has counted it */
                        continue;
                }
                if (r < 0)
                        return r;
                record_to_message(&x, m);
                r = privacy_record(p, m);
                if (r >= 0)
                        r = append(t, m, x.source);
                if (trail_refuses(r))
                        r = append_gap(t, m, x.sequence);
        }
        return r;
}

static int begin(struct privacy *p, const char *path, struct trail *t, struct audit_message_record *m) {
        _cleanup_(freep) struct trail_report *report = malloc(sizeof(*report));
        int r = report ? trail_verify_still(path, report) : -ENOMEM;

        if (r < 0)
                return r;
        privacy_early_record(p, m);
        if (report->n_problems > 0) {
                m->priority = LOG_ALERT;
                audit_record_add(m, "verified", "no");
                audit_record_add(m, "problem", report->problems[0].text);
        } else
                audit_record_add(m, "verified", "yes");
        return append(t, m, RECORD_DAEMON);
}

static int write_anew(struct privacy *p, const struct paths *paths) {
        _cleanup_(freep) struct audit_message_record *m = malloc(sizeof(*m));
        _cleanup_(trail_freep) struct trail *t = NULL;
        struct trail_recovery recovery;
        bool kept;
        int r;

        if (!m)
                return -ENOMEM;
        (void) unlink(paths->trail);
        (void) unlink(paths->head);
        r = trail_open(paths->dir, &t, &recovery);
        if (r >= 0)
                r = begin(p, paths->old_trail, t, m);
        if (r >= 0)
                r = copy(p, paths->old_trail, t, m);
        if (r >= 0)
                r = trail_commit(t, true, &kept);
        return r;
}

/* The trail before its head: whoever is killed between them comes here again, and finds the head alone. */
static int put_head(const struct paths *paths) {
        if (access(paths->trail, F_OK) >= 0)
                return 0;
        if (rename(paths->head, paths->old_head) < 0)
                return errno == ENOENT ? 0 : -errno;
        (void) rmdir(paths->dir);
        return 1;
}

int privacy_early(struct privacy *p, const char *dir) {
        _cleanup_(freep) struct paths *paths = malloc(sizeof(*paths));
        int r = paths ? make_paths(dir, paths) : -ENOMEM;

        if (r >= 0)
                r = has_names(paths->old_trail);
        if (r == 0)
                return put_head(paths);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        r = write_anew(p, paths);
        if (r < 0)
                return r;
        if (rename(paths->trail, paths->old_trail) < 0)
                return -errno;
        return put_head(paths);
}
