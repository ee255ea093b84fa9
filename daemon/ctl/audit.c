/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl.h"
#include "print.h"
#include "when.h"

#include "audit/reader.h"

/* cmkctl audit: reads the trail itself, whether or not cmkd-audit runs. What a line holds came from processes and
 * disks: it is printed with control characters replaced; --json prints the lines as they stand, which is what a chain
 * can be checked against. */

#define FOLLOW_LINES 10u

struct filter {
        const char *event;                     /* one or more, with commas between them; NULL: all */
        const char *volume;
        uint64_t since_usec;
        bool json;
};

/* What a line for people shows after time, source, event and volume; everything else is in `audit show`. */
static const char *const details[] = {
        "key", "by", "pid", "uid", "loginuid", "comm", "exe", "cgroup", "device", "dev", "target", "key_description", "mode",
        "refused", "signal", "step", "action", "cause", "until", "verb", "verdict", "counted_as", "http_status", "code",
        "request_id", "result", "count", "elapsed_usec", "reason", "why", "detail", "message", "missing", "pin",
        "detached", "error", "floors", "ignored", "expires",
};

static int read_filter(const struct invocation *in, struct filter *ret) {
        const char *since = in->values[OPTION_SINCE];
        struct filter f = {
                .event = in->values[OPTION_EVENT], .volume = in->values[OPTION_VOLUME],
                .json = has_option(in, OPTION_JSON),
        };

        if (since && parse_when(since, instant_now().realtime_usec, &f.since_usec) < 0)
                return fail(EXIT_CODE_USAGE, "%s is no time: YYYY-MM-DD, YYYY-MM-DD HH:MM:SS, or a span such as 10min",
                            since);
        *ret = f;
        return EXIT_CODE_DONE;
}

static int read_lines(const struct invocation *in, uint64_t otherwise, uint64_t *ret) {
        const char *text = in->values[OPTION_LINES];

        *ret = otherwise;
        if (text && parse_u64(text, UINT64_MAX - 1, ret) < 0)
                return fail(EXIT_CODE_USAGE, "--lines takes a number, not %s", text);
        return EXIT_CODE_DONE;
}

static const char *path_of(const struct invocation *in) {
        return in->values[OPTION_FILE] ? in->values[OPTION_FILE] : TRAIL_PATH;
}

static int open_trail(const char *path, struct reader **ret) {
        int r = reader_open(path, ret);

        if (r == -ENOENT)
                return fail(EXIT_CODE_FAILED, "%s: there is no trail; was cmkd-audit ever started here?", path);
        return r < 0 ? fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(-r)) : EXIT_CODE_DONE;
}

static const char *volume_of(const struct record *r) {
        static const char *const names[] = { "volume", "claimed_name", "uuid" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (record_field(r, names[i]))
                        return record_field(r, names[i]);
        return "-";
}

/* Whether a word is among those of a list with commas between them. */
static bool is_listed(const char *list, const char *word) {
        size_t n = strlen(word);

        for (const char *p = list, *end; *p; p = *end ? end + 1 : end) {
                end = strchrnul(p, ',');
                if ((size_t) (end - p) == n && memcmp(p, word, n) == 0)
                        return true;
        }
        return false;
}

static bool is_wanted(const struct filter *f, const struct record *r) {
        if (f->event && !is_listed(f->event, r->event))
                return false;
        if (f->volume && !streq(f->volume, volume_of(r)) && !streq_ptr(f->volume, record_field(r, "uuid")))
                return false;
        return r->realtime_usec >= f->since_usec;
}

static void print_field(const char *name, const char *value) {
        printf(" %s=", name);
        if (*value && !strpbrk(value, " \""))
                print_clean(stdout, value);
        else
                print_quoted(stdout, value);
}

static void print_record(const struct record *r) {
        printf("%s %-6s %-18s ", r->time, record_source_to_string(r->source), r->event);
        print_clean(stdout, volume_of(r));
        for (size_t i = 0; i < ELEMENTSOF(details); i++)
                if (record_field(r, details[i]))
                        print_field(details[i], record_field(r, details[i]));
        putchar('\n');
}

/* This line is no record, and the next may be one; every other error would come again. */
static bool is_of_a_line(int r) {
        return r == -EBADMSG || r == -EMSGSIZE || r == -EPROTONOSUPPORT;
}

/* The next record that is wanted, printed unless *skip counts it off. Returns 1, 0 (no more now), -EBADMSG (a line
 * that is no record, said here), or -errno: there is nothing more to be had. */
static int step(struct reader *reader, const struct filter *f, const char *path, uint64_t *skip, bool quiet) {
        _cleanup_(record_done) struct record record = {};
        const char *line;
        size_t size;
        int r;

        r = reader_next_line(reader, &line, &size);
        if (r == 0)
                return 0;
        if (r > 0)
                r = record_decode(line, size, &record);
        if (r < 0 && !is_of_a_line(r))
                return r;
        if (r < 0) {
                if (!quiet)
                        fail(EXIT_CODE_TRAIL, "%s: line %llu is not a record: %s", path,
                             (unsigned long long) reader_line(reader), strerror(-r));
                return -EBADMSG;
        }
        if (!is_wanted(f, &record))
                return 1;
        if (*skip > 0) {
                (*skip)--;
                return 1;
        }
        if (quiet)
                return 2;
        if (f->json)
                printf("%.*s\n", (int) size, line);
        else
                print_record(&record);
        return 1;
}

/* Everything that is there now. EXIT_CODE_TRAIL when a line was no record. */
static int print_all(struct reader *reader, const struct filter *f, const char *path, uint64_t skip) {
        int r, code = EXIT_CODE_DONE;

        while ((r = step(reader, f, path, &skip, false)) != 0) {
                if (r < 0 && r != -EBADMSG)
                        return fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(-r));
                if (r < 0)
                        code = EXIT_CODE_TRAIL;
        }
        return code;
}

/* How many wanted records to leave out so that the last n remain. */
static int count_to_skip(const char *path, const struct filter *f, uint64_t n, uint64_t *ret) {
        _cleanup_(reader_freep) struct reader *reader = NULL;
        uint64_t count = 0, none = 0;
        int r, code;

        *ret = 0;
        if (n == UINT64_MAX)
                return EXIT_CODE_DONE;
        code = open_trail(path, &reader);
        if (code != EXIT_CODE_DONE)
                return code;
        while ((r = step(reader, f, path, &none, true)) > 0 || r == -EBADMSG)
                count += r == 2;
        *ret = count > n ? count - n : 0;
        return EXIT_CODE_DONE;
}

int verb_audit_list(const struct invocation *in) {
        _cleanup_(reader_freep) struct reader *reader = NULL;
        const char *path = path_of(in);
        struct filter f;
        uint64_t lines, skip;
        int code;

        code = read_filter(in, &f);
        if (code == EXIT_CODE_DONE)
                code = read_lines(in, UINT64_MAX, &lines);
        if (code == EXIT_CODE_DONE)
                code = count_to_skip(path, &f, lines, &skip);
        if (code == EXIT_CODE_DONE)
                code = open_trail(path, &reader);
        return code == EXIT_CODE_DONE ? print_all(reader, &f, path, skip) : code;
}

int verb_audit_follow(const struct invocation *in) {
        _cleanup_(reader_freep) struct reader *reader = NULL;
        const char *path = path_of(in);
        struct filter f;
        uint64_t lines, skip;
        int code, r;

        code = read_filter(in, &f);
        if (code == EXIT_CODE_DONE)
                code = read_lines(in, FOLLOW_LINES, &lines);
        if (code == EXIT_CODE_DONE)
                code = count_to_skip(path, &f, lines, &skip);
        if (code == EXIT_CODE_DONE)
                code = open_trail(path, &reader);
        while (code != EXIT_CODE_FAILED && code != EXIT_CODE_USAGE) {
                code = print_all(reader, &f, path, skip);
                skip = 0;
                if (fflush(stdout) != 0 || code == EXIT_CODE_FAILED)
                        return EXIT_CODE_FAILED;
                r = reader_wait(reader, -1);
                if (r < 0 && r != -EINTR)
                        return fail(EXIT_CODE_FAILED, "cannot watch %s: %s", path, strerror(-r));
        }
        return code;
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
        _cleanup_(reader_freep) struct reader *reader = NULL;
        const char *path = path_of(in), *line;
        uint64_t wanted;
        size_t size;
        int code, r;

        if (parse_u64(in->args[0], UINT64_MAX, &wanted) < 0)
                return fail(EXIT_CODE_USAGE, "%s is no number of a record", in->args[0]);
        code = open_trail(path, &reader);
        if (code != EXIT_CODE_DONE)
                return code;
        while ((r = reader_next_line(reader, &line, &size)) != 0) {
                _cleanup_(record_done) struct record record = {};

                if (r > 0)
                        r = record_decode(line, size, &record);
                if (r < 0 && !is_of_a_line(r))
                        return fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(-r));
                if (r < 0 || record.sequence != wanted)
                        continue;
                if (has_option(in, OPTION_JSON))
                        printf("%.*s\n", (int) size, line);
                else
                        print_whole(&record);
                return EXIT_CODE_DONE;
        }
        return fail(EXIT_CODE_FAILED, "%s has no record %llu", path, (unsigned long long) wanted);
}
