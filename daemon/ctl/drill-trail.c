/* SPDX-License-Identifier: Apache-2.0 */
#include "drill.h"

#include "audit/reader.h"

static uint64_t number(const struct record *r, const char *field) {
        const char *text = record_field(r, field);
        uint64_t v;

        return text && parse_u64(text, UINT64_MAX - 1, &v) >= 0 ? v : 0;
}

static uint64_t since(const struct drill_times *t, const struct record *r) {
        return r->boottime_usec > t->decided_usec ? r->boottime_usec - t->decided_usec : 1;
}

/* The step's own count began with the decision: that is when the decision was. */
static void note_step(struct drill_times *t, const struct record *r) {
        uint64_t elapsed = number(r, "elapsed_usec");
        struct drill_step *s;

        if (t->n_steps == DRILL_STEPS_MAX || t->lingering || t->removed)
                return;
        if (t->n_steps == 0)
                t->decided_usec = r->boottime_usec - MIN_OF(r->boottime_usec, elapsed);
        s = t->steps + t->n_steps++;
        snprintf(s->name, sizeof(s->name), "%s", strempty(record_field(r, "step")));
        snprintf(s->result, sizeof(s->result), "%s", strempty(record_field(r, "result")));
        s->at_usec = elapsed;
        if (streq(r->event, "cut"))
                t->cut_usec = MAX_OF(elapsed, (uint64_t) 1);
}

void drill_times_note(struct drill_times *t, const char *id, const char *uuid, const struct record *r) {
        const char *drill = record_field(r, "drill"), *volume = record_field(r, "uuid");
        bool ours = streq_ptr(drill, id) || (volume && ((*uuid && streq(volume, uuid)) || streq(volume, t->uuid)));

        if (!ours)
                return;
        if (drill && volume)
                snprintf(t->uuid, sizeof(t->uuid), "%s", volume);
        if (t->first == 0)
                t->first = r->sequence;
        t->last = r->sequence;
        if (r->source == RECORD_KERNEL) {
                /* The mapping's own: a key that was freed before there was a cut is another one's end. */
                if (streq(r->event, "key_freed") && t->decided_usec > 0) {
                        t->key_usec = since(t, r);
                        t->key_by_kernel = true;
                }
                return;
        }
        if (streq(r->event, "release") && t->n_steps == 0)
                t->unwrap_usec = number(r, "round_trip_usec");
        else if (streq(r->event, "intent") && t->n_steps == 0) {
                t->challenge_usec = number(r, "round_trip_usec");
                t->decided_usec = r->boottime_usec;
        } else if (streq(r->event, "step") || streq(r->event, "cut"))
                note_step(t, r);
        else if ((streq(r->event, "removed") || streq(r->event, "lingering")) && !t->removed && !t->lingering) {
                t->removed_usec = MAX_OF(number(r, "elapsed_usec"), (uint64_t) 1);
                t->removed = streq(r->event, "removed");
                t->lingering = !t->removed;
        }
}

int drill_trail_open(struct reader **ret) {
        _cleanup_(reader_freep) struct reader *r = NULL;
        const char *line;
        size_t size;
        int e;

        e = reader_open(TRAIL_PATH, &r);
        if (e < 0)
                return fail(EXIT_CODE_FAILED, "no drill without its evidence: " TRAIL_PATH ": %s", strerror(-e));
        while ((e = reader_next_line(r, &line, &size)) != 0)
                if (e < 0 && e != -EMSGSIZE)
                        return fail(EXIT_CODE_FAILED, TRAIL_PATH ": %s", strerror(-e));
        *ret = TAKE_PTR(r);
        return EXIT_CODE_DONE;
}

static int read_all(struct reader *reader, const char *id, const char *uuid, struct drill_times *t) {
        int r;

        for (;;) {
                _cleanup_(record_done) struct record record = {};

                r = reader_next(reader, &record);
                if (r == 0)
                        return 0;
                if (r < 0 && r != -EBADMSG && r != -EPROTONOSUPPORT && r != -EMSGSIZE)
                        return r;
                if (r > 0)
                        drill_times_note(t, id, uuid, &record);
        }
}

static bool is_complete(const struct drill_times *t) {
        return (t->removed || t->lingering) && (t->key_by_kernel || t->cut_usec == 0);
}

int drill_trail_read(struct reader *reader, const char *id, const char *uuid, uint64_t timeout_usec,
                     struct drill_times *t) {
        uint64_t until = now_boottime_usec() + timeout_usec;

        for (;;) {
                uint64_t now = now_boottime_usec();
                int r = read_all(reader, id, uuid, t);

                if (r < 0 || is_complete(t))
                        return r;
                if (now >= until)
                        return -ETIMEDOUT;
                r = reader_wait(reader, (int) ((until - now) / USEC_PER_MSEC) + 1);
                if (r < 0 && r != -EINTR)
                        return r;
        }
}
