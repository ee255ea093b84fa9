/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

struct source {
        const char *name;
        struct reader *reader;
        const char *line;
        size_t size;
};

struct source *source_free(struct source *s) {
        if (s)
                reader_free(s->reader);
        free(s);
        return NULL;
}

int source_new(const struct invocation *in, struct source **ret) {
        _cleanup_(source_freep) struct source *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return fail(EXIT_CODE_FAILED, "out of memory");
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

        s->line = NULL;
        s->size = 0;
        r = reader_next_line(s->reader, &s->line, &s->size);
        if (r > 0)
                r = record_decode(s->line, s->size, ret);
        else
                return r;
        return r < 0 ? r : 1;
}

const char *source_node(const struct source *s _unused_) {
        return "";
}

uint64_t source_place(const struct source *s) {
        return reader_line(s->reader);
}

const char *source_line(const struct source *s, size_t *ret_size) {
        *ret_size = s->size;
        return s->line;
}

const char *source_name(const struct source *s) {
        return s->name;
}

int source_wait(struct source *s) {
        return reader_wait(s->reader, -1);
}
