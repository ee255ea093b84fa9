/* SPDX-License-Identifier: Apache-2.0 */
#include "review.h"

#include "ctl/print.h"

/* cmkctl audit show USE: all records of one use of a volume, from who asked to the key's end, in the order of their
 * times: the daemon's, the kernel's, and what the vault answered for its key meanwhile. */

#define STORY_MAX 10000u

struct part {
        uint64_t boottime_usec, realtime_usec, sequence;
        enum record_source source;
        char event[AUDIT_NAME_MAX + 1];
        char text[LEDGER_TEXT_MAX];
        char line[];                       /* as it stands in the trail */
};

struct story {
        struct part *parts[STORY_MAX];
        size_t n;
        uint64_t more;
        uint64_t first_usec, last_usec;
        char volume[129], key[513];
};

static struct story *story_free(struct story *s) {
        for (size_t i = 0; s && i < s->n; i++)
                free(s->parts[i]);
        free(s);
        return NULL;
}
static void story_freep(struct story **s) { story_free(*s); }

static void say(const struct record *r, char *buf, size_t size) {
        static const char *const telling[] = { "verb", "step", "verdict", "counted_as", "code", "http_status", "action", "cause", "dev", "mode",
                                               "result", "detail", "count", "why", "request_id" };
        size_t n = 0;

        if (r->source == RECORD_KERNEL)
                record_who(r, buf, size);
        else
                *buf = 0;
        n = strlen(buf);
        for (size_t i = 0; i < ELEMENTSOF(telling) && n < size; i++)
                if (record_field(r, telling[i]))
                        n += (size_t) snprintf(buf + n, size - n, "%s%s %s", n > 0 ? "; " : "", telling[i],
                                               record_field(r, telling[i]));
        if (r->source == RECORD_DAEMON && record_field(r, "by") && n < size)
                snprintf(buf + n, size - n, "%sby %s", n > 0 ? "; " : "", record_field(r, "by"));
}

static int add(struct story *s, const struct record *r, const char *line, size_t size) {
        struct part *p;

        if (s->n >= STORY_MAX) {
                s->more++;
                return 0;
        }
        p = calloc(1, sizeof(*p) + size + 1);
        if (!p)
                return -ENOMEM;
        p->boottime_usec = r->boottime_usec;
        p->realtime_usec = r->realtime_usec;
        p->sequence = r->sequence;
        p->source = r->source;
        snprintf(p->event, sizeof(p->event), "%s", r->event);
        say(r, p->text, sizeof(p->text));
        memcpy(p->line, line, size);
        s->first_usec = s->n == 0 ? r->realtime_usec : MIN_OF(s->first_usec, r->realtime_usec);
        s->last_usec = MAX_OF(s->last_usec, r->realtime_usec);
        if (record_field(r, "volume"))
                snprintf(s->volume, sizeof(s->volume), "%s", record_field(r, "volume"));
        if (r->source == RECORD_DAEMON && record_field(r, "key"))
                snprintf(s->key, sizeof(s->key), "%s", record_field(r, "key"));
        s->parts[s->n++] = p;
        return 0;
}

/* The use's own records; with use NULL what the vault said of its key in its time. */
static bool is_part(const struct story *s, const struct record *r, const char *use) {
        if (use)
                return streq_ptr(record_field(r, "use"), use);
        return streq(r->event, "verdict") && r->source == RECORD_DAEMON && streq_ptr(record_field(r, "key"), s->key) &&
               r->realtime_usec >= s->first_usec && r->realtime_usec <= s->last_usec;
}

static int read_parts(const char *path, const char *use, struct story *s) {
        _cleanup_(reader_freep) struct reader *reader = NULL;
        const char *line;
        size_t size;
        int r;

        r = reader_open(path, &reader);
        if (r < 0)
                return r;
        while ((r = reader_next_line(reader, &line, &size)) != 0) {
                _cleanup_(record_done) struct record record = {};
                int k = r > 0 ? record_decode(line, size, &record) : r;

                if (r < 0 && r != -EMSGSIZE)
                        return r;
                if (k == -ENOMEM)
                        return k;
                if (k < 0 || !is_part(s, &record, use))
                        continue;
                k = add(s, &record, line, size);
                if (k < 0)
                        return k;
        }
        return 0;
}

static int in_time(const void *a, const void *b) {
        const struct part *x = *(struct part *const *) a, *y = *(struct part *const *) b;

        if (x->realtime_usec != y->realtime_usec)
                return x->realtime_usec < y->realtime_usec ? -1 : 1;
        return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static int to_people(const struct story *s, const char *use) {
        static const char *const header[] = { "TIME (UTC)", "AFTER", "RECORD", "SOURCE", "EVENT", "WHAT" };
        struct table t;
        char time[64];

        printf("use %s", use);
        if (*s->volume) {
                fputs(" of volume ", stdout);
                print_clean(stdout, s->volume);
        }
        if (*s->key) {
                fputs(", key ", stdout);
                print_clean(stdout, s->key);
        }
        puts("\nthe vault has this id as x-ms-client-request-id of what was asked for it\n");
        table_start(&t, header, ELEMENTSOF(header));
        for (size_t i = 0; i < s->n; i++) {
                const struct part *p = s->parts[i];

                review_time(p->realtime_usec, time, sizeof(time));
                table_add(&t, time);
                table_addf(&t, "%.3f s", (double) (p->realtime_usec - s->parts[0]->realtime_usec) / 1e6);
                table_addf(&t, "%llu", (unsigned long long) p->sequence);
                table_add(&t, record_source_to_string(p->source));
                table_add(&t, p->event);
                table_add(&t, p->text);
        }
        if (s->more > 0)
                fail(EXIT_CODE_DONE, "%llu more records are left out", (unsigned long long) s->more);
        return table_print(&t);
}

int show_story(const char *path, const char *use, bool json) {
        _cleanup_(story_freep) struct story *s = calloc(1, sizeof(*s));
        int r = s ? read_parts(path, use, s) : -ENOMEM;

        if (r >= 0 && s->n > 0)
                r = read_parts(path, NULL, s);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(-r));
        if (s->n == 0)
                return fail(EXIT_CODE_FAILED, "%s has no record of a use %s", path, use);
        qsort(s->parts, s->n, sizeof(*s->parts), in_time);
        if (!json)
                return to_people(s, use);
        for (size_t i = 0; i < s->n; i++)
                puts(s->parts[i]->line);
        return EXIT_CODE_DONE;
}
