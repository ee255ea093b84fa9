/* SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include "ctl/when.h"

static int read_time(const char *text, uint64_t *ret) {
        if (text && parse_when(text, instant_now().realtime_usec, ret) < 0)
                return fail(EXIT_CODE_USAGE, "%s is no time: YYYY-MM-DD, YYYY-MM-DD HH:MM:SS, or a span such as 10min", text);
        return EXIT_CODE_DONE;
}

int filter_read(const struct invocation *in, struct filter *ret) {
        struct filter f = {
                .event = in->values[OPTION_EVENT], .volume = in->values[OPTION_VOLUME], .key = in->values[OPTION_KEY],
                .actor = in->values[OPTION_ACTOR], .unit = in->values[OPTION_UNIT], .expected = in->values[OPTION_EXPECT],
                .unauthorised = has_option(in, OPTION_UNAUTHORISED),
        };
        int code;

        code = read_time(in->values[OPTION_SINCE], &f.since_usec);
        if (code == EXIT_CODE_DONE)
                code = read_time(in->values[OPTION_UNTIL], &f.until_usec);
        if (code == EXIT_CODE_DONE && f.until_usec > 0 && f.until_usec <= f.since_usec)
                code = fail(EXIT_CODE_USAGE, "--until is not after --since");
        if (code == EXIT_CODE_DONE)
                *ret = f;
        return code;
}

const char *record_volume(const struct record *r) {
        static const char *const names[] = { "volume", "claimed_name", "uuid" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (record_field(r, names[i]))
                        return record_field(r, names[i]);
        return NULL;
}

void cgroup_unit(const char *cgroup, char *buf, size_t size) {
        static const char *const endings[] = { ".service", ".scope", ".mount", ".socket", ".swap" };
        const char *p = cgroup, *found = NULL, *end = NULL;

        while (*p) {
                const char *next = strchrnul(p, '/');

                for (size_t i = 0; i < ELEMENTSOF(endings); i++) {
                        size_t n = strlen(endings[i]);

                        if ((size_t) (next - p) > n && memcmp(next - n, endings[i], n) == 0) {
                                found = p;
                                end = next;
                        }
                }
                p = *next ? next + 1 : next;
        }
        if (found)
                snprintf(buf, size, "%.*s", (int) (end - found), found);
        else
                snprintf(buf, size, "%s", cgroup);
}

void record_who(const struct record *r, char *buf, size_t size) {
        const char *program = record_field(r, "exe") ? record_field(r, "exe") : record_field(r, "comm"),
                   *uid = record_field(r, "uid"), *login = record_field(r, "loginuid");
        char unit[256];

        if (!program) {
                snprintf(buf, size, "%s", strempty(record_field(r, "by")));
                return;
        }
        cgroup_unit(strempty(record_field(r, "cgroup")), unit, sizeof(unit));
        snprintf(buf, size, "%s%s%s%s%s%s%s", program, uid ? ", uid " : "", strempty(uid), login ? ", login uid " : "",
                 strempty(login), *unit ? ", " : "", unit);
}

/* Whether a word is among those of a list with these characters between them. */
static bool is_among(const char *list, const char *separators, const char *word, size_t n) {
        while (*list) {
                size_t k = strcspn(list, separators);

                if (k == n && memcmp(list, word, n) == 0)
                        return true;
                list += list[k] ? k + 1 : k;
        }
        return false;
}

static bool is_key(const char *wanted, const char *key) {
        const char *rest = startswith(key, wanted), *name = strstr(key, "/keys/");
        size_t n = strlen(wanted);

        if (rest && (!*rest || *rest == '/'))
                return true;
        return name && strncmp(name + 6, wanted, n) == 0 && (!name[6 + n] || name[6 + n] == '/');
}

static bool is_actor(const char *wanted, const struct record *r) {
        static const char *const numbers[] = { "uid", "loginuid", "pid" };
        const char *exe = record_field(r, "exe"), *base = exe ? strrchr(exe, '/') : NULL, *by = strempty(record_field(r, "by"));

        if (streq_ptr(wanted, record_field(r, "comm")) || streq_ptr(wanted, exe) || (base && streq(wanted, base + 1)))
                return true;
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                const char *value = startswith(wanted, numbers[i]), *field = record_field(r, numbers[i]);

                if (value && *value == '=' && streq_ptr(value + 1, field))
                        return true;
        }
        /* "uid=0 loginuid=unset pid=377 comm=cmkctl": as the daemon names who asked */
        for (const char *p = by; *p; p += strcspn(p, " "), p += strspn(p, " ")) {
                size_t n = strcspn(p, " ");
                const char *name = startswith(p, "comm=") ? p + 5 : p;

                if ((n == strlen(wanted) && memcmp(p, wanted, n) == 0) ||
                    (name != p && n - 5 == strlen(wanted) && memcmp(name, wanted, n - 5) == 0))
                        return true;
        }
        return false;
}

static bool is_of_unit(const char *wanted, const struct record *r) {
        char unit[256];

        if (!record_field(r, "cgroup"))
                return false;
        cgroup_unit(record_field(r, "cgroup"), unit, sizeof(unit));
        return streq(unit, wanted);
}

bool filter_wants(const struct filter *f, const struct record *r, enum rule rule) {
        if (r->realtime_usec < f->since_usec || (f->until_usec > 0 && r->realtime_usec >= f->until_usec))
                return false;
        if (f->event && !is_among(f->event, ",", r->event, strlen(r->event)))
                return false;
        if (f->volume && !streq_ptr(f->volume, record_volume(r)) && !streq_ptr(f->volume, record_field(r, "uuid")))
                return false;
        if (f->key && !is_key(f->key, strempty(record_field(r, "key"))))
                return false;
        if (f->actor && !is_actor(f->actor, r))
                return false;
        if (f->unit && !is_of_unit(f->unit, r))
                return false;
        return !f->unauthorised || rule_is_unauthorised(rule);
}
