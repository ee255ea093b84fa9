/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl.h"
#include "print.h"
#include "review/review.h"
#include "review/sheet.h"

#include "audit/reader.h"

#include <unistd.h>

/* cmkctl audit: reads the trail itself, whether or not cmkd-audit runs. What a line holds came from processes and
 * disks: it is printed with control characters replaced; --json prints the lines as they stand, which is what a chain
 * can be checked against. */

#define FOLLOW_LINES 10u

/* What a line for people shows after time, event, volume and who it was. */
static const char *const details[] = {
        "verb", "step", "action", "cause", "until", "verdict", "counted_as", "code", "http_status", "request_id", "mode",
        "refused", "signal", "count", "reason", "why", "detail", "message", "missing", "pin", "detached", "error", "floors",
        "ignored", "expires", "to", "socket", "program", "map", "point", "module", "seconds", "need", "state",
};

/* Reading from one trail for one question. */
struct lister {
        const struct invocation *in;
        struct filter filter;
        struct rules *rules;
        struct source *source;
        bool json, wide;
        uint64_t n_seen, n_wanted;
        unsigned matched;          /* filter_matches() of any record */
};

static void lister_done(struct lister *l) {
        rules_free(l->rules);
        source_free(l->source);
        filter_done(&l->filter);
}

static int read_lines(const struct invocation *in, uint64_t otherwise, uint64_t *ret) {
        const char *text = in->values[OPTION_LINES];

        *ret = otherwise;
        if (text && parse_u64(text, UINT64_MAX - 1, ret) < 0)
                return fail(EXIT_CODE_USAGE, "--lines takes a number, not %s", text);
        return EXIT_CODE_DONE;
}

/* Begins (again) at the start of the trail, knowing nothing. */
static int lister_start(struct lister *l) {
        l->rules = rules_free(l->rules);
        l->source = source_free(l->source);
        l->n_seen = l->n_wanted = 0;
        if (filter_rules(&l->filter, &l->rules) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        return source_new(l->in, &l->source);
}

static void print_field(const char *name, const char *value) {
        printf(" %s=", name);
        if (*value && !strpbrk(value, " \""))
                print_clean(stdout, value);
        else
                print_quoted(stdout, value);
}

static void print_short(const struct record *r) {
        char who[512];

        record_who(r, who, sizeof(who));
        if (*who)
                print_field("by", who);
        if (record_field(r, "result") && !streq(record_field(r, "result"), "ok") && !streq(record_field(r, "result"), "done"))
                print_field("result", record_field(r, "result"));
        for (size_t i = 0; i < ELEMENTSOF(details); i++)
                if (record_field(r, details[i]))
                        print_field(details[i], record_field(r, details[i]));
}

static void print_record(const char *node, const struct record *r, enum rule rule, bool wide) {
        const char *volume = record_volume(r);

        print_clean(stdout, node);
        if (*node)
                putchar(' ');
        printf("%7llu %s %-6s %-18s ", (unsigned long long) r->sequence, r->time, record_source_to_string(r->source), r->event);
        print_clean(stdout, volume ? volume : "-");
        if (rule != RULE_NONE)
                printf(" finding=%s", rule_id(rule));
        if (!wide)
                print_short(r);
        for (size_t i = 0; wide && i < r->n_fields; i++)
                print_field(r->fields[i].name, r->fields[i].value);
        putchar('\n');
}

/* As it stands in the trail, which a chain can be checked against; of a journal, what is known of it. */
static int print_line(const struct source *s, const struct record *r, enum rule rule) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        size_t size;
        const char *line = source_line(s, &size);

        if (line)
                return printf("%.*s\n", (int) size, line) < 0 ? -errno : 1;
        o = record_to_json(source_node(s), r, rule);
        return !o ? -ENOMEM : puts(json_object_to_json_string_ext(o, RECORD_JSON_FLAGS)) < 0 ? -errno : 1;
}

/* The next record; one that is wanted is printed unless *skip counts it off, or quiet. Returns 2 (quiet: it was wanted), 1, 0
 * (no more now), -EBADMSG (a line that is no record, said here), or -errno: there is nothing more to be had. */
static int step(struct lister *l, uint64_t *skip, bool quiet) {
        _cleanup_(record_done) struct record record = {};
        enum rule rule;
        int r;

        r = source_next(l->source, &record);
        if (r == 0)
                return 0;
        if (r > 0)
                r = rules_judge(l->rules, source_node(l->source), &record, &rule);
        if (r < 0 && !source_is_of_one(r))
                return r;
        if (r < 0) {
                if (!quiet)
                        fail(EXIT_CODE_TRAIL, "%s: %s %llu is not a record%s%s", source_file(l->source),
                             has_option(l->in, OPTION_DIRECTORY) ? "entry" : "line", (unsigned long long) source_place(l->source),
                             r == -EBADMSG ? "" : ": ", r == -EBADMSG ? "" : strerror(-r));
                return -EBADMSG;
        }
        l->n_seen++;
        l->matched |= filter_matches(&l->filter, &record);
        if (!filter_wants(&l->filter, &record, rule))
                return 1;
        l->n_wanted++;
        if (*skip > 0) {
                (*skip)--;
                return 1;
        }
        if (quiet)
                return 2;
        if (l->json)
                return print_line(l->source, &record, rule);
        print_record(source_node(l->source), &record, rule, l->wide);
        return 1;
}

/* On a terminal only: what reads the lines needs none. */
static void print_header(const struct lister *l) {
        if (!l->json && isatty(STDOUT_FILENO))
                printf("%7s %-27s %-6s %-18s %s\n", "RECORD", "TIME", "SOURCE", "EVENT", "VOLUME, AND WHAT MATTERS OF IT");
}

/* Everything that is there now. EXIT_CODE_TRAIL when a line was no record. */
static int print_all(struct lister *l, uint64_t skip) {
        int r, code = EXIT_CODE_DONE;

        while ((r = step(l, &skip, false)) != 0) {
                if (r < 0 && r != -EBADMSG)
                        return fail(EXIT_CODE_FAILED, "%s: %s", source_name(l->source), strerror(-r));
                if (r < 0)
                        code = EXIT_CODE_TRAIL;
        }
        return code;
}

/* How many wanted records to leave out so that the last n remain. Reads the trail once. */
static int count_to_skip(struct lister *l, uint64_t n, uint64_t *ret) {
        uint64_t count = 0, none = 0;
        int r;

        *ret = 0;
        if (n == UINT64_MAX)
                return EXIT_CODE_DONE;
        while ((r = step(l, &none, true)) > 0 || r == -EBADMSG)
                count += r == 2;
        *ret = count > n ? count - n : 0;
        return lister_start(l);
}

/* Ready to print, with so many of the wanted records to be left out. */
static int lister_new(const struct invocation *in, uint64_t lines_otherwise, struct lister *l, uint64_t *ret_skip) {
        uint64_t lines = 0;
        int code;

        l->in = in;
        l->json = has_option(in, OPTION_JSON);
        l->wide = has_option(in, OPTION_WIDE);
        code = filter_read(in, &l->filter);
        if (code == EXIT_CODE_DONE)
                code = read_lines(in, lines_otherwise, &lines);
        if (code == EXIT_CODE_DONE)
                code = lister_start(l);
        if (code == EXIT_CODE_DONE)
                code = count_to_skip(l, lines, ret_skip);
        if (code == EXIT_CODE_DONE)
                print_header(l);
        return code;
}

/* Nothing is an answer, and a typing mistake must not look like it. */
static void explain_nothing(const struct lister *l) {
        static const char *const of[_FILTER_PART_MAX] = { "an event", "of volume", "of key", "by", "of unit" };
        bool is_said = false;

        for (enum filter_part p = 0; l->n_seen > 0 && p < _FILTER_PART_MAX; p++)
                if (filter_part(&l->filter, p) && !(l->matched & 1u << p)) {
                        fail(EXIT_CODE_DONE, "no record of %llu is %s %s", (unsigned long long) l->n_seen, of[p],
                             filter_part(&l->filter, p));
                        is_said = true;
                }
        if (l->n_seen == 0)
                fail(EXIT_CODE_DONE, "%s has no records", source_name(l->source));
        else if (!is_said)
                fail(EXIT_CODE_DONE, "no record of %llu is all that was asked for", (unsigned long long) l->n_seen);
}

int verb_audit_list(const struct invocation *in) {
        _cleanup_(lister_done) struct lister l = {};
        uint64_t skip;
        int code = lister_new(in, UINT64_MAX, &l, &skip);

        if (code == EXIT_CODE_DONE)
                code = print_all(&l, skip);
        if (code == EXIT_CODE_DONE && l.n_wanted == 0)
                explain_nothing(&l);
        return code;
}

int verb_audit_follow(const struct invocation *in) {
        _cleanup_(lister_done) struct lister l = {};
        uint64_t skip;
        int r, code = lister_new(in, FOLLOW_LINES, &l, &skip);

        if (code != EXIT_CODE_DONE)
                return code;
        for (;;) {
                code = print_all(&l, skip);
                skip = 0;
                if (fflush(stdout) != 0 || code == EXIT_CODE_FAILED)
                        return EXIT_CODE_FAILED;
                r = source_wait(l.source);
                if (r < 0 && r != -EINTR)
                        return fail(EXIT_CODE_FAILED, "cannot watch %s: %s", source_name(l.source), strerror(-r));
        }
}

static void print_whole(const struct record *r) {
        char hash[CHAIN_HEX_SIZE + 1];

        printf("%-16s %llu\n%-16s %s\n%-16s %s\n", "number", (unsigned long long) r->sequence, "time", r->time,
               "source", record_source_to_string(r->source));
        printf("%-16s %s\n%-16s %d\n", "event", r->event, "priority", r->priority);
        for (size_t i = 0; i < r->n_fields; i++) {
                printf("%-16s ", r->fields[i].name);
                print_clean(stdout, r->fields[i].value);
                putchar('\n');
        }
        chain_to_hex(r->prev, hash);
        printf("%-16s %s\n", "prev", hash);
        chain_to_hex(r->hash, hash);
        printf("%-16s %s\n", "hash", hash);
}

int verb_audit_show(const struct invocation *in) {
        _cleanup_(source_freep) struct source *source = NULL;
        uint64_t wanted;
        int code, r;

        if (uuid_is_valid(in->args[0]))
                return show_story(review_path(in), in->args[0], has_option(in, OPTION_JSON));
        if (parse_u64(in->args[0], UINT64_MAX, &wanted) < 0)
                return fail(EXIT_CODE_USAGE, "%s is neither the number of a record nor the id of a use", in->args[0]);
        code = source_new(in, &source);
        if (code != EXIT_CODE_DONE)
                return code;
        for (;;) {
                _cleanup_(record_done) struct record record = {};

                r = source_next(source, &record);
                if (r == 0)
                        return fail(EXIT_CODE_FAILED, "%s has no record %llu", source_name(source), (unsigned long long) wanted);
                if (r < 0 && !source_is_of_one(r))
                        return fail(EXIT_CODE_FAILED, "%s: %s", source_name(source), strerror(-r));
                if (r < 0 || record.sequence != wanted)
                        continue;
                if (!has_option(in, OPTION_JSON))
                        print_whole(&record);
                else if (print_line(source, &record, RULE_NONE) < 0)
                        return EXIT_CODE_FAILED;
                return EXIT_CODE_DONE;
        }
}
