/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include "source-journal.h"

struct source {
        const char *name;
        struct reader *reader;             /* one of these two */
        struct journal_source *journal;
        const char *line;
        size_t size;
};

struct source *source_free(struct source *s) {
        if (s) {
                reader_free(s->reader);
                journal_source_free(s->journal);
        }
        free(s);
        return NULL;
}

int source_new(const struct invocation *in, struct source **ret) {
        _cleanup_(source_freep) struct source *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return fail(EXIT_CODE_FAILED, "out of memory");
        if (in->values[OPTION_DIRECTORY] && in->values[OPTION_FILE])
                return fail(EXIT_CODE_USAGE, "--file and --directory do not go together");
        if (in->values[OPTION_DIRECTORY]) {
                s->name = in->values[OPTION_DIRECTORY];
                r = journal_source_open(s->name, &s->journal);
                if (r < 0)
                        return fail(EXIT_CODE_FAILED, "%s: %s", s->name, strerror(-r));
                *ret = TAKE_PTR(s);
                return EXIT_CODE_DONE;
        }
        s->name = in->values[OPTION_FILE] ? in->values[OPTION_FILE] : TRAIL_PATH;
        r = reader_open(s->name, &s->reader);
        if (r == -ENOENT)
                return fail(EXIT_CODE_FAILED, "%s: there is no trail; was cmkd-audit ever started here?", s->name);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", s->name, strerror(-r));
        *ret = TAKE_PTR(s);
        return EXIT_CODE_DONE;
}

int source_next(struct source *s, struct record *ret) {
        int r;

        if (s->journal)
                return journal_source_next(s->journal, ret);
        s->line = NULL;
        s->size = 0;
        r = reader_next_line(s->reader, &s->line, &s->size);
        if (r > 0)
                r = record_decode(s->line, s->size, ret);
        else
                return r;
        return r < 0 ? r : 1;
}

const char *source_node(const struct source *s) {
        return s->journal ? journal_source_node(s->journal) : "";
}

uint64_t source_place(const struct source *s) {
        return s->journal ? journal_source_place(s->journal) : reader_line(s->reader);
}

const char *source_line(const struct source *s, size_t *ret_size) {
        *ret_size = s->size;
        return s->line;
}

const char *source_name(const struct source *s) {
        return s->name;
}

const char *source_file(const struct source *s) {
        return s->journal ? s->name : reader_file(s->reader);
}

int source_wait(struct source *s) {
        return s->journal ? journal_source_wait(s->journal) : reader_wait(s->reader, -1);
}
