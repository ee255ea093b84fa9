/* SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include "cgroup.h"
#include "common/audit-events.h"
#include "ctl/when.h"

static const char *const numbers[] = { "uid", "loginuid", "pid", "session" };

static int read_time(const char *text, uint64_t *ret) {
        if (text && parse_when(text, instant_now().realtime_usec, ret) < 0)
                return fail(EXIT_CODE_USAGE, "%s is no time: YYYY-MM-DD[ HH:MM[:SS]], HH:MM, today, yesterday, or a span ago such as 10min",
                            text);
        return EXIT_CODE_DONE;
}

/* A configuration with a mistake is no reason not to look: more is a finding then. */
static void read_baseline(const struct invocation *in, struct filter *f) {
        _cleanup_(freep) char *why = NULL;
        int r;

        if (in->values[OPTION_FILE] && !in->values[OPTION_ROOT])
                return;
        r = config_load(strempty(in->values[OPTION_ROOT]), &f->config, &why);
        if (r < 0)
                fail(EXIT_CODE_DONE, "%s; what is normal here is not known therefore", why ? why : strerror(-r));
}

static int check_events(const char *list) {
        for (const char *p = list; *p; p += p[strcspn(p, ",")] ? strcspn(p, ",") + 1 : strlen(p)) {
                char name[64], all[AUDIT_EVENTS_TEXT_MAX];
                size_t n = strcspn(p, ",");
                const char *near;

                if (n == 0 || audit_event_exists(p, n))
                        continue;
                snprintf(name, sizeof(name), "%.*s", (int) n, p);
                near = audit_event_nearest(name);
                if (near)
                        return fail(EXIT_CODE_USAGE, "there is no event %s; did you mean %s?", name, near);
                audit_events_all(all, sizeof(all));
                return fail(EXIT_CODE_USAGE, "there is no event %s; there are %s", name, all);
        }
        return EXIT_CODE_DONE;
}

/* What no record can ever be of is a mistake of who asks. */
static int check_words(const struct filter *f) {
        for (size_t i = 0; f->actor && i < ELEMENTSOF(numbers); i++) {
                const char *value = startswith(f->actor, numbers[i]);
                uint64_t n;

                if (value && *value == '=' && parse_u64(value + 1, UINT32_MAX, &n) < 0 && !streq(value + 1, "unset"))
                        return fail(EXIT_CODE_USAGE, "--actor %s: %s= takes a number, or unset", f->actor, numbers[i]);
        }
        if (f->event && !f->event[strspn(f->event, ",")])
                return fail(EXIT_CODE_USAGE, "--event %s names no event", f->event);
        return f->event ? check_events(f->event) : EXIT_CODE_DONE;
}

int filter_read(const struct invocation *in, struct filter *ret) {
        struct filter f = {
                .event = in->values[OPTION_EVENT], .volume = in->values[OPTION_VOLUME], .key = in->values[OPTION_KEY],
                .actor = in->values[OPTION_ACTOR], .unit = in->values[OPTION_UNIT], .expected = in->values[OPTION_EXPECT],
                .unauthorised = has_option(in, OPTION_UNAUTHORISED),
        };
        int code = check_words(&f);

        if (code != EXIT_CODE_DONE)
                return code;
        read_baseline(in, &f);
        code = read_time(in->values[OPTION_SINCE], &f.since_usec);
        if (code == EXIT_CODE_DONE)
                code = read_time(in->values[OPTION_UNTIL], &f.until_usec);
        if (code == EXIT_CODE_DONE && f.until_usec > 0 && f.until_usec < f.since_usec)
                code = fail(EXIT_CODE_USAGE, "--until is before --since");
        if (code == EXIT_CODE_DONE)
                code = veil_key(in, f.config, &f.veil.privacy);
        if (code == EXIT_CODE_DONE && veil_words(&f.veil, f.volume, f.key, f.actor, f.unit, f.expected, f.config ? f.config->baseline : NULL) < 0)
                code = fail(EXIT_CODE_FAILED, "out of memory, or OpenSSL failed");
        if (code == EXIT_CODE_DONE)
                *ret = f;
        else
                filter_done(&f);
        return code;
}

void filter_done(struct filter *f) {
        f->config = config_free(f->config);
        veil_done(&f->veil);
}

int filter_rules(const struct filter *f, struct rules **ret) {
        return rules_new(f->veil.normal, ret);
}

const char *record_volume(const struct record *r) {
        static const char *const names[] = { "volume", "claimed_name", "uuid" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (record_field(r, names[i]))
                        return record_field(r, names[i]);
        return NULL;
}

uint64_t record_count(const struct record *r) {
        const char *text = r->source == RECORD_KERNEL ? record_field(r, "count") : NULL;
        uint64_t n;

        return text && parse_u64(text, UINT32_MAX, &n) >= 0 && n > 0 ? n : 1;
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

/* Whether a name is among those of a list with commas between them; "key_*": all that begin so. */
static bool is_among(const char *list, const char *name) {
        while (*list) {
                size_t k = strcspn(list, ","), n = k > 0 && list[k - 1] == '*' ? k - 1 : k;

                if (k > 0 && strncmp(list, name, n) == 0 && (n < k || !name[n]))
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

/* A record may have a name, the name that a disk claims, a UUID, or several of them. */
static bool is_of_volume(const char *wanted, const struct record *r) {
        static const char *const names[] = { "volume", "claimed_name", "uuid", "new_name" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq_ptr(record_field(r, names[i]), wanted))
                        return true;
        return false;
}

const char *filter_part(const struct filter *f, enum filter_part part) {
        const char *const parts[_FILTER_PART_MAX] = { f->event, f->volume, f->key, f->actor, f->unit };

        return parts[part];
}

unsigned filter_matches(const struct filter *f, const struct record *r) {
        const char *key = strempty(record_field(r, "key")), *cgroup = strempty(record_field(r, "cgroup"));
        unsigned of = 0;

        if (!f->event || is_among(f->event, r->event))
                of |= 1u << FILTER_EVENT;
        if (!f->volume || is_of_volume(f->volume, r) || (f->veil.volume && is_of_volume(f->veil.volume, r)))
                of |= 1u << FILTER_VOLUME;
        if (!f->key || is_key(f->key, key) || (f->veil.key && is_key(f->veil.key, key)))
                of |= 1u << FILTER_KEY;
        if (!f->actor || is_actor(f->actor, r) || (f->veil.actor && is_actor(f->veil.actor, r)))
                of |= 1u << FILTER_ACTOR;
        if (!f->unit || cgroup_is_of(cgroup, f->unit) || (f->veil.unit && cgroup_is_of(cgroup, f->veil.unit)))
                of |= 1u << FILTER_UNIT;
        return of;
}

bool filter_wants(const struct filter *f, const struct record *r, enum rule rule) {
        if (r->realtime_usec < f->since_usec || (f->until_usec > 0 && r->realtime_usec > f->until_usec))
                return false;
        return filter_matches(f, r) == (1u << _FILTER_PART_MAX) - 1 && (!f->unauthorised || rule_is_unauthorised(rule));
}
