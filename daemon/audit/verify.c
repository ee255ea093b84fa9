/* SPDX-License-Identifier: Apache-2.0 */
#include "verify.h"

#include <inttypes.h>
#include <stdarg.h>

#define PATIENCE_USEC (1 * USEC_PER_SEC)   /* with a line that is being written */
#define WAITS_MAX 64u                      /* in all: whoever goes on writing such lines is not waited for */

const char *trail_problem_to_string(enum trail_problem_kind k) {
        static const char *const names[] = {
                [TRAIL_BROKEN] = "broken", [TRAIL_CHANGED] = "changed", [TRAIL_REMOVED] = "removed",
                [TRAIL_INSERTED] = "inserted", [TRAIL_TORN] = "torn", [TRAIL_TRUNCATED] = "truncated",
                [TRAIL_MISPLACED] = "misplaced", [TRAIL_FORGED] = "forged", [TRAIL_UNSEALED] = "unsealed",
                [TRAIL_UNPROVEN] = "unproven",
        };

        return (unsigned) k < ELEMENTSOF(names) ? names[k] : NULL;
}

/* What verification knows of the records so far. */
struct walk {
        struct trail_report *report;
        struct epochs *epochs;
        const struct reader *reader;
        trail_each each;
        void *user;
        uint64_t line;
        unsigned files;                          /* that were judged by their names */
        size_t n_epochs;                         /* that were complained about */
        struct trail_problem *missing;           /* the run of records that the last one belongs to, without their epoch */
        bool is_missing;
        uint64_t sequence;                       /* of the last record; 0: none yet */
        uint8_t hash[CHAIN_HASH_SIZE];           /* the one that it states */
        uint8_t before[CHAIN_HASH_SIZE];         /* its prev */
        bool excused;                            /* a problem just reported explains that the next link does not hold */
        uint64_t unreadable;                     /* broken lines since the last record */
        uint64_t head_sequence;
        uint8_t head_hash[CHAIN_HASH_SIZE];
        bool head_seen, head_empty;
        uint64_t early_sequence;                 /* of the last record from an early trail */
        uint8_t early_hash[CHAIN_HASH_SIZE];
        bool early_open;                         /* it was begun, and no early_joined has closed it */
        struct audit_message_record *message;    /* both allocated with the first such record */
        struct record_line *again;
};

static void _printf_(5, 6) problem(struct walk *w, enum trail_problem_kind kind, uint64_t first, uint64_t last,
                                   const char *format, ...) {
        struct trail_problem *p;
        va_list ap;

        if (w->report->n_problems++ >= TRAIL_PROBLEMS_MAX)
                return;
        p = w->report->problems + w->report->n_problems - 1;
        *p = (struct trail_problem) { .kind = kind, .line = w->line, .first = first, .last = last };
        snprintf(p->file, sizeof(p->file), "%s", reader_file(w->reader));
        va_start(ap, format);
        vsnprintf(p->text, sizeof(p->text), format, ap);
        va_end(ap);
}

static void judge_first(struct walk *w, const struct record *r) {
        static const uint8_t zero[CHAIN_HASH_SIZE];

        if (r->sequence > 1 + w->unreadable)
                problem(w, TRAIL_REMOVED, 1, r->sequence - 1, "the trail begins with record %" PRIu64 ": %" PRIu64
                        " records before it are missing", r->sequence, r->sequence - 1 - w->unreadable);
        else if (r->sequence == 1 && memcmp(r->prev, zero, sizeof(zero)) != 0)
                problem(w, TRAIL_CHANGED, 1, 1, "the first record does not begin a chain");
}

/* True if r is to be the last record from now on. */
static bool judge_next(struct walk *w, const struct record *r) {
        uint64_t missing = r->sequence - w->sequence - 1;

        switch (chain_judge(w->sequence, w->hash, r->sequence, r->prev)) {
        case CHAIN_GOOD:
                return true;
        case CHAIN_BROKEN:
                if (!w->excused)
                        problem(w, TRAIL_CHANGED, w->sequence, w->sequence, "record %" PRIu64
                                " is not the one that record %" PRIu64 " was chained to: it was changed and hashed anew", w->sequence, r->sequence);
                return true;
        case CHAIN_MISSING:
                if (missing > w->unreadable)
                        problem(w, TRAIL_REMOVED, w->sequence + 1, r->sequence - 1, "%" PRIu64
                                " records are missing before record %" PRIu64, missing - w->unreadable, r->sequence);
                return true;
        case CHAIN_EXTRA:
                problem(w, TRAIL_INSERTED, r->sequence, r->sequence, "a second record with the number %" PRIu64
                        " (after %" PRIu64 "): inserted, repeated or moved", r->sequence, w->sequence);
                /* A twin with the same predecessor: which of the two is real, the next record says */
                return r->sequence == w->sequence && memcmp(r->prev, w->before, CHAIN_HASH_SIZE) == 0;
        }
        return true;
}

static int allocate(struct walk *w) {
        if (!w->message)
                w->message = malloc(sizeof(*w->message));
        if (!w->again)
                w->again = malloc(sizeof(*w->again));
        return w->message && w->again ? 0 : -ENOMEM;
}

/* A record that was joined from an early trail: a chain inside the chain. Number 1 begins one. */
static int walk_early(struct walk *w, const struct record *r) {
        static const uint8_t zero[CHAIN_HASH_SIZE];
        uint8_t stated[CHAIN_HASH_SIZE];
        uint64_t sequence;
        int e;

        e = record_early(r, &sequence, stated);
        if (e == -ENOENT)
                return 0;
        if (e < 0) {
                problem(w, TRAIL_CHANGED, r->sequence, r->sequence, "record %" PRIu64
                        " does not say where in an early trail it stood", r->sequence);
                return 0;
        }
        if (sequence == 1 && w->early_open)
                problem(w, TRAIL_REMOVED, r->sequence, r->sequence, "an early trail begins with record %" PRIu64
                        ", but the one before it was never closed: what came after its number %" PRIu64 " is missing",
                        r->sequence, w->early_sequence);
        if (sequence != 1 && sequence != w->early_sequence + 1)
                problem(w, TRAIL_REMOVED, r->sequence, r->sequence, "record %" PRIu64 " was number %" PRIu64
                        " of an early trail, the one before it number %" PRIu64, r->sequence, sequence, w->early_sequence);
        else {
                e = allocate(w);
                if (e < 0)
                        return e;
                record_to_message(r, w->message);
                w->message->n_fields--;                  /* "early" is the last */
                e = record_encode(w->message, r->source, sequence, sequence == 1 ? zero : w->early_hash, NULL, w->again);
                if (e == -EIO)
                        return e;
                if (e < 0 || memcmp(w->again->hash, stated, sizeof(stated)) != 0)
                        problem(w, TRAIL_CHANGED, r->sequence, r->sequence, "record %" PRIu64
                                " is not what stood in the early trail as number %" PRIu64, r->sequence, sequence);
                else
                        w->report->early++;
        }
        w->early_open = true;
        w->early_sequence = sequence;
        memcpy(w->early_hash, stated, sizeof(stated));
        return 0;
}

/* The end of a join says where the early trail ended. */
static void judge_join(struct walk *w, const struct record *r) {
        const char *last = streq(r->event, "early_joined") ? record_field(r, "last") : NULL;
        uint64_t n;

        if (last)
                w->early_open = false;
        if (last && (parse_u64(last, UINT64_MAX - 1, &n) < 0 || n != w->early_sequence))
                problem(w, TRAIL_REMOVED, r->sequence, r->sequence, "the early trail that record %" PRIu64
                        " closes had %s records, %" PRIu64 " are here", r->sequence, last, w->early_sequence);
}

/* A file of the trail has the number of its first record in its name. */
static void judge_file(struct walk *w, const struct record *r) {
        if (w->files == reader_files(w->reader))
                return;
        if (reader_files(w->reader) - w->files > 1)
                problem(w, TRAIL_MISPLACED, r->sequence, r->sequence, "a file before %s has no record in it",
                        reader_file(w->reader));
        w->files = reader_files(w->reader);
        if (reader_segment(w->reader) != 0 && reader_segment(w->reader) != r->sequence)
                problem(w, TRAIL_MISPLACED, r->sequence, r->sequence, "%s begins with record %" PRIu64
                        ": it was renamed or copied, or its beginning is not there", reader_file(w->reader), r->sequence);
}

static const struct epoch *last_epoch(const struct walk *w) {
        return w->report->epochs > 0 ? epochs_get(w->epochs, w->report->epochs - 1) : NULL;
}

/* Records without a seal where an epoch had to begin: one problem for all that follow one another. */
static void judge_missing(struct walk *w, const struct record *r, bool is_missing) {
        if (is_missing && !w->is_missing) {
                problem(w, TRAIL_UNSEALED, r->sequence, r->sequence, "records from %" PRIu64 " on have no seal, and epoch "
                        "%s before them did not end because none is configured", r->sequence, last_epoch(w)->id);
                w->missing = w->report->n_problems <= TRAIL_PROBLEMS_MAX ? w->report->problems + w->report->n_problems - 1 : NULL;
        } else if (is_missing && w->missing)
                w->missing->last = r->sequence;
        w->is_missing = is_missing;
}

/* changed: the chain says so already. */
static int walk_seal(struct walk *w, const struct record *r, const char *line, size_t size, bool changed) {
        enum epoch_answer answer;
        const struct epoch *x;
        int e;

        e = epochs_judge(w->epochs, r, line, size, &answer);
        if (e < 0)
                return e;
        while ((x = epochs_get(w->epochs, w->report->epochs))) {
                w->report->epochs++;
                w->report->lost_epochs += x->handover == EPOCH_LOST;
                w->report->ended_epochs += x->handover == EPOCH_ENDED;
        }
        x = last_epoch(w);
        w->report->sealed += r->sealed;
        w->report->unsealed += !r->sealed;
        w->report->proven += answer == EPOCH_PROVEN;
        judge_missing(w, r, answer == EPOCH_MISSING);
        if (answer == EPOCH_FORGED && !changed)
                problem(w, TRAIL_FORGED, r->sequence, r->sequence, "record %" PRIu64
                        " does not have the seal that it was written with: it is not what was recorded", r->sequence);
        else if (answer == EPOCH_TOO_FAR)
                problem(w, TRAIL_UNPROVEN, r->sequence, r->sequence, "record %" PRIu64
                        " is too far from the last one that was proven: its seal was not checked", r->sequence);
        else if (answer == EPOCH_UNFINISHED)
                problem(w, TRAIL_UNSEALED, r->sequence, r->sequence, "record %" PRIu64
                        " has no seal, and epoch %s did not end", r->sequence, x->id);
        else if (answer == EPOCH_ASTRAY)
                problem(w, TRAIL_UNSEALED, r->sequence, r->sequence, "record %" PRIu64
                        " has a seal, and no epoch was begun", r->sequence);
        else if (answer == EPOCH_NO_KEY && w->n_epochs < w->report->epochs) {
                w->n_epochs = w->report->epochs;
                problem(w, TRAIL_UNPROVEN, r->sequence, r->sequence, "the keys that were given do not open epoch %s: its "
                        "records prove nothing", x->id);
        }
        return 0;
}

static int walk_record(struct walk *w, const char *line, size_t size) {
        _cleanup_(record_done) struct record r = {};
        uint8_t stated[CHAIN_HASH_SIZE], computed[CHAIN_HASH_SIZE];
        bool advance = true, changed;
        int e;

        e = record_decode(line, size, &r);
        if (e == -ENOMEM)
                return e;
        if (e >= 0)
                e = chain_hash_line(r.prev, line, size, stated, computed);
        if (e == -EIO)
                return e;
        if (e < 0) {
                problem(w, TRAIL_BROKEN, 0, 0, "line %" PRIu64 " (after record %" PRIu64 ") is not a record%s", w->line,
                        w->sequence, e == -EPROTONOSUPPORT ? " of this version" : "");
                w->unreadable++;
                return 0;
        }
        changed = memcmp(stated, computed, sizeof(stated)) != 0;
        if (changed)
                problem(w, TRAIL_CHANGED, r.sequence, r.sequence, "record %" PRIu64
                        " does not have the hash that it states: it was changed", r.sequence);
        judge_file(w, &r);
        if (w->sequence == 0)
                judge_first(w, &r);
        else
                advance = judge_next(w, &r);
        if (w->report->records++ == 0)
                w->report->first_sequence = r.sequence;
        e = walk_seal(w, &r, line, size, changed);
        if (e >= 0)
                e = walk_early(w, &r);
        if (e >= 0 && w->each)
                e = w->each(&r, computed, w->user);
        if (e < 0)
                return e;
        judge_join(w, &r);
        w->report->gaps += streq(r.event, "gap");
        w->report->lost += streq(r.event, "lost");
        if (advance) {
                w->sequence = r.sequence;
                w->excused = changed;
                w->unreadable = 0;
                memcpy(w->hash, stated, sizeof(stated));
                memcpy(w->before, r.prev, sizeof(w->before));
                if (w->report->head_checked && r.sequence == w->head_sequence)
                        w->head_seen = memcmp(w->head_hash, stated, sizeof(stated)) == 0;
        }
        return 0;
}

static void read_head(struct walk *w, const char *path) {
        static const uint8_t zero[CHAIN_HASH_SIZE];
        _cleanup_(freep) char *text = NULL;
        char head[4096];

        if (trail_head_path(path, head, sizeof(head)) < 0 || read_small_file(head, 256, &text, NULL) < 0)
                return;
        w->report->head_checked = true;
        w->head_empty = !*text;
        if (!w->head_empty && (trail_head_parse(text, &w->head_sequence, w->head_hash) < 0 ||
                               (w->head_sequence == 0 && memcmp(w->head_hash, zero, sizeof(zero)) != 0)))
                problem(w, TRAIL_TRUNCATED, 0, 0, "the head beside the trail is not readable");
}

static void judge_end(struct walk *w, struct reader *r) {
        if (reader_partial(r) > 0)
                problem(w, TRAIL_TORN, 0, 0, "%zu bytes without an end follow record %" PRIu64, reader_partial(r),
                        w->sequence);
        if (w->head_empty && w->sequence > 0)
                problem(w, TRAIL_TRUNCATED, 0, 0, "the head beside the trail is empty");
        if (w->head_sequence == 0 || w->head_seen)
                return;
        if (w->head_sequence > w->sequence)
                problem(w, TRAIL_TRUNCATED, w->sequence + 1, w->head_sequence, "the trail ends with record %" PRIu64
                        ", but record %" PRIu64 " was written", w->sequence, w->head_sequence);
        else
                problem(w, TRAIL_TRUNCATED, w->head_sequence, w->head_sequence, "record %" PRIu64
                        " is not the one that was written", w->head_sequence);
}

static void walk_done(struct walk *w) {
        free(w->message);
        free(w->again);
}

static void judge_epochs(struct walk *w) {
        const char *id;

        for (size_t i = 0; (id = epochs_unmet(w->epochs, &i)); )
                problem(w, TRAIL_UNPROVEN, 0, 0, "epoch %s, which there is a key for, is not in the trail", id);
        if (w->report->records > 0 && w->report->sealed == 0 && epochs_have_keys(w->epochs))
                problem(w, TRAIL_UNPROVEN, 0, 0, "keys were given and nothing is sealed: no record is proven");
}

/* At the end of the file that is written to, in the middle of a line: write(2) may not be through. True if there is more now; *until: 0 for
 * a line that nobody has waited for; *waits: that are left. */
static bool comes_more(struct reader *r, uint64_t *until_usec, unsigned *waits) {
        uint64_t now = now_boottime_usec();
        int k;

        if (*waits == 0 || reader_partial(r) == 0 || reader_segment(r) > 0)
                return false;
        (*waits)--;
        if (*until_usec == 0)
                *until_usec = now + PATIENCE_USEC;
        if (now >= *until_usec)
                return false;
        k = reader_wait(r, (int) ((*until_usec - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC));
        return k > 0 || k == -EINTR;
}

static int verify(const char *path, struct epochs *epochs, trail_each each, void *user, unsigned waits, struct trail_report *ret) {
        _cleanup_(reader_freep) struct reader *r = NULL;
        _cleanup_(walk_done) struct walk w = { .report = ret, .epochs = epochs, .each = each, .user = user };
        uint64_t until_usec = 0;
        int e;

        e = reader_open(path, &r);
        if (e < 0)
                return e;
        memset(ret, 0, sizeof(*ret));
        w.reader = r;
        read_head(&w, path);       /* before the trail: a trail that grows meanwhile still holds the head */
        for (;;) {
                const char *line;
                size_t size;

                e = reader_next_line(r, &line, &size);
                if (e == 0 && comes_more(r, &until_usec, &waits))
                        continue;
                if (e == 0)
                        break;
                until_usec = 0;
                w.line = reader_line(r);
                if (e > 0)
                        e = walk_record(&w, line, size);
                else if (e == -EMSGSIZE) {
                        problem(&w, TRAIL_BROKEN, 0, 0, "line %" PRIu64 " is no record: too long, or without an end", w.line);
                        w.unreadable++;
                        e = 0;
                }
                if (e < 0)
                        return e;
        }
        w.line++;
        judge_end(&w, r);
        judge_epochs(&w);
        ret->files = reader_files(r);
        ret->last_sequence = w.sequence;
        ret->early_open = w.early_open ? w.early_sequence : 0;
        memcpy(ret->head, w.hash, sizeof(ret->head));
        return 0;
}

int trail_verify(const char *path, struct trail_report *ret) {
        _cleanup_(epochs_freep) struct epochs *e = NULL;
        int r = epochs_new(&e);

        return r < 0 ? r : trail_verify_seals(path, e, ret);
}

int trail_verify_still(const char *path, struct trail_report *ret) {
        _cleanup_(epochs_freep) struct epochs *e = NULL;
        int r = epochs_new(&e);

        return r < 0 ? r : verify(path, e, NULL, NULL, 0, ret);
}

int trail_verify_seals(const char *path, struct epochs *epochs, struct trail_report *ret) {
        return trail_verify_each(path, epochs, NULL, NULL, ret);
}

int trail_verify_each(const char *path, struct epochs *epochs, trail_each each, void *user, struct trail_report *ret) {
        return verify(path, epochs, each, user, WAITS_MAX, ret);
}
