/* SPDX-License-Identifier: Apache-2.0 */
#include "writer.h"

#include "common/log.h"

#include <inttypes.h>

/* A durable record that is appended and not yet durable. */
struct waiting {
        struct client *client;             /* NULL: gone meanwhile */
        uint32_t id;
        uint64_t sequence;
};

struct writer {
        sd_event_source *commit_source;
        struct trail *trail;
        bool early;
        struct mirror *mirror;
        struct privacy *privacy;           /* NULL: names stay */
        struct ring *ring;
        size_t n_waiting;
        struct waiting waiting[WRITER_ACKS_MAX];
        bool rotation_failed;
        int error;                         /* of the last commit that had something to write */
        int refusal;                       /* what durable records are answered with; 0: with what becomes of them */
        struct audit_message_record epoch; /* room for one */
        uint64_t unsure, dropped;          /* records nobody waits for: appended, not yet in the file; and not kept */
};

struct writer *writer_free(struct writer *w) {
        if (!w)
                return NULL;
        sd_event_source_disable_unref(w->commit_source);
        mirror_free(w->mirror);
        trail_free(w->trail);
        free(w);
        return NULL;
}

static void answer_waiting(struct writer *w, int error) {
        for (size_t i = 0; i < w->n_waiting; i++)
                if (w->waiting[i].client)
                        serve_ack(w->waiting[i].client, w->waiting[i].id, error,
                                  error < 0 ? 0 : w->waiting[i].sequence);
        w->n_waiting = 0;
}

int writer_commit(struct writer *w, bool sync) {
        bool kept, tried = trail_is_dirty(w->trail);
        int r;

        r = trail_commit(w->trail, sync, &kept);
        if (r < 0 && r != w->error)
                log_error("Trail: %s", strerror(-r));
        else if (r >= 0 && tried && w->error < 0)
                log_notice("Trail: it can be written again");
        if (r < 0 || tried)
                w->error = r;
        if (kept)
                mirror_flush(w->mirror);
        else {
                mirror_drop(w->mirror);
                w->dropped += w->unsure;
        }
        w->unsure = 0;
        if (sync || !kept)
                answer_waiting(w, r);
        if (w->ring) {
                if (kept)
                        ring_commit(w->ring);
                else
                        ring_rewind(w->ring);
        }
        return r;
}

/* Runs when everything that has arrived is appended (its priority is the lowest). */
static int on_commit(sd_event_source *s _unused_, void *user) {
        struct writer *w = user;

        (void) writer_commit(w, w->n_waiting > 0);
        return 0;
}

int writer_new(sd_event *event, struct trail *trail, bool early, struct writer **ret) {
        _cleanup_(writer_freep) struct writer *w = calloc(1, sizeof(*w));
        int r;

        if (!w) {
                trail_free(trail);
                return -ENOMEM;
        }
        w->trail = trail;
        w->early = early;
        r = mirror_new(&w->mirror);
        if (r < 0)
                return r;
        r = sd_event_add_defer(event, &w->commit_source, on_commit, w);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(w->commit_source, SD_EVENT_OFF);
        (void) sd_event_source_set_priority(w->commit_source, SD_EVENT_PRIORITY_NORMAL + 10);
        *ret = TAKE_PTR(w);
        return 0;
}

void writer_set_trail(struct writer *w, struct trail *trail, bool early) {
        (void) writer_commit(w, true);
        trail_free(w->trail);
        w->trail = trail;
        w->early = early;
}

void writer_set_privacy(struct writer *w, struct privacy *p, const char *node) {
        w->privacy = p;
        mirror_set_node(w->mirror, node);
}

const struct trail *writer_trail(const struct writer *w) { return w->trail; }
void writer_set_ring(struct writer *w, struct ring *ring) { w->ring = ring; }
void writer_refuse(struct writer *w, int error) { w->refusal = error; }
int writer_error(const struct writer *w) { return w->error; }
uint64_t writer_dropped(const struct writer *w) { return w->dropped; }
uint64_t writer_mirror_lost(const struct writer *w) { return mirror_lost(w->mirror); }

static int begin_epoch(struct writer *w) {
        const struct record_line *line;
        uint64_t sequence;
        int r;

        r = trail_begin_epoch(w->trail, &w->epoch, &line, &sequence);
        if (r >= 0)
                mirror_queue(w->mirror, &w->epoch, RECORD_DAEMON, sequence, line->hash);
        return r;
}

static int append(struct writer *w, struct audit_message_record *m, enum record_source source, uint64_t *ret_sequence) {
        const struct record_line *line;
        int r;

        r = trail_needs_epoch(w->trail) ? begin_epoch(w) : 0;
        if (r < 0)
                return r;
        if (w->early && m->n_fields == AUDIT_FIELDS_MAX)
                m->n_fields--;                 /* room for the mark that the joined record gets */
        r = trail_append(w->trail, m, source, &line, ret_sequence);
        if (r < 0)
                return r;
        mirror_queue(w->mirror, m, source, *ret_sequence, line->hash);
        return 0;
}

int writer_append_joined(struct writer *w, struct audit_message_record *m, enum record_source source) {
        uint64_t sequence;

        return append(w, m, source, &sequence);
}

/* Once for each record, however often it is appended. */
static int hide_names(struct writer *w, struct audit_message_record *m) {
        return w->privacy ? privacy_record(w->privacy, m) : 0;
}

int writer_append(struct writer *w, struct audit_message_record *m, enum record_source source) {
        int r = hide_names(w, m);

        return r < 0 ? r : writer_append_joined(w, m, source);
}

/* The same for a daemon's record, which may make room. */
static int append_daemon(struct writer *w, struct audit_message_record *m, uint64_t *ret_sequence) {
        int r = hide_names(w, m);

        if (r >= 0)
                r = append(w, m, RECORD_DAEMON, ret_sequence);
        if (r == -ENOBUFS) {
                r = writer_commit(w, false);
                if (r >= 0)
                        r = append(w, m, RECORD_DAEMON, ret_sequence);
        }
        (void) sd_event_source_set_enabled(w->commit_source, SD_EVENT_ONESHOT);
        return r;
}

int writer_end_epoch(struct writer *w, const char *reason) {
        const struct record_line *line;
        uint64_t sequence;
        int r;

        r = writer_commit(w, true);
        if (r >= 0)
                r = trail_end_epoch(w->trail, reason, &w->epoch, &line, &sequence);
        if (r < 0)
                return r == -ENOKEY ? 0 : r;
        mirror_queue(w->mirror, &w->epoch, RECORD_DAEMON, sequence, line->hash);
        return writer_commit(w, true);
}

void writer_rotate(struct writer *w, struct audit_message_record *m) {
        char name[SEGMENT_NAME_MAX] = "";
        int r;

        if (!trail_is_full(w->trail) || writer_commit(w, true) < 0)
                return;
        r = trail_rotate(w->trail, name);
        if (r < 0) {
                if (!w->rotation_failed)
                        log_warning("The trail goes on in the file that it is in, %s cannot be made: %s", name, strerror(-r));
                w->rotation_failed = true;
                return;
        }
        w->rotation_failed = false;
        audit_record_start(m, "segment", LOG_INFO, true);
        audit_record_add(m, "file", name);
        audit_record_addf(m, "last", "%" PRIu64, trail_sequence(w->trail));
        (void) writer_say(w, m);
}

int writer_say(struct writer *w, struct audit_message_record *m) {
        uint64_t sequence;
        int r;

        r = append_daemon(w, m, &sequence);
        if (r >= 0) {
                w->unsure++;
                return 0;
        }
        w->dropped++;
        log_error("Record \"%s\" is not kept: %s", m->event, strerror(-r));
        return r;
}

void writer_receive(struct writer *w, struct client *c, uint32_t id, struct audit_message_record *m) {
        uint64_t sequence = 0;
        int r;

        /* Before it is appended: the commit would decide about it while it is not among those who wait */
        if (m->durable && w->n_waiting == WRITER_ACKS_MAX)
                (void) writer_commit(w, true);
        r = append_daemon(w, m, &sequence);
        if (r < 0 || !m->durable || w->refusal < 0) {
                w->unsure += r >= 0;
                serve_ack(c, id, r >= 0 && m->durable ? w->refusal : r, sequence);
                return;
        }
        w->waiting[w->n_waiting++] = (struct waiting) { c, id, sequence };
}

void writer_check(const struct writer *w, struct client *c, uint32_t id) {
        serve_ack(c, id, w->refusal < 0 ? w->refusal : w->error, trail_sequence(w->trail));
}

void writer_forget(struct writer *w, const struct client *c) {
        for (size_t i = 0; i < w->n_waiting; i++)
                if (w->waiting[i].client == c)
                        w->waiting[i].client = NULL;
}

void writer_report_dropped(struct writer *w, struct audit_message_record *m) {
        uint64_t dropped = w->dropped;

        if (dropped == 0)
                return;
        audit_record_start(m, "lost", LOG_WARNING, false);
        audit_record_add(m, "reason", "the trail did not take them");
        audit_record_addf(m, "count", "%" PRIu64, dropped);
        w->dropped = 0;
        if (writer_say(w, m) < 0 || writer_commit(w, false) < 0)
                w->dropped += dropped - 1;     /* this record is counted itself */
}
