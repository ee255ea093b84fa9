/* SPDX-License-Identifier: Apache-2.0 */
#include "drill.h"
#include "print.h"

#include "common/policy-values.h"

#include <stdarg.h>
#include <sys/wait.h>

static const struct { const char *name, *text; } claims[_DRILL_CLAIM_MAX] = {
        [CLAIM_CONTROL] = { "control", "before the cut all four could read or write" },
        [CLAIM_POLICY] = { "policy", "a revocation is acted on here (OnRevoked=)" },
        [CLAIM_CUT] = { "cut", "the error table was loaded within 2 s of the decision" },
        [CLAIM_KEY] = { "key", "the kernel freed the volume key within 2 s, by its own record" },
        [CLAIM_READERS] = { "readers", "nobody read or wrote afterwards" },
        [CLAIM_KILLED] = { "killed", "whoever used the volume was killed" },
        [CLAIM_UNMOUNTED] = { "unmounted", "it is mounted in no namespace" },
        [CLAIM_REMOVED] = { "removed", "there is no mapping of it, within 10 s more" },
        [CLAIM_KEYRING] = { "keyring", "no key of it is in a keyring" },
        [CLAIM_CIPHERTEXT] = { "ciphertext", "the marker is nowhere on the disk below" },
        [CLAIM_CLEAN] = { "clean", "the drill left nothing behind" },
};

static const char *const verdicts[] = { "not tested", "yes", "NO" };

const char *drill_holder_to_string(enum drill_holder h) {
        static const char *const names[_DRILL_HOLDER_MAX] = { "writer", "mapped", "cwd", "raw" };

        return names[h];
}

void drill_claim(struct drill_report *r, enum drill_claim c, bool holds, const char *format, ...) {
        va_list ap;

        r->claims[c].verdict = holds ? DRILL_HOLDS : DRILL_FAILS;
        va_start(ap, format);
        vsnprintf(r->claims[c].detail, sizeof(r->claims[c].detail), format, ap);
        va_end(ap);
}

bool drill_holds(const struct drill_report *r, enum drill_claim before) {
        for (unsigned c = 0; c < before; c++)
                if (r->claims[c].verdict != DRILL_HOLDS)
                        return false;
        return true;
}

void drill_failed_claims(const struct drill_report *r, char *buf, size_t size) {
        size_t n = 0;

        *buf = 0;
        for (unsigned c = 0; c < _DRILL_CLAIM_MAX && n < size; c++)
                if (r->claims[c].verdict == DRILL_FAILS)
                        n += (size_t) snprintf(buf + n, size - n, "%s%s", n > 0 ? ", " : "", claims[c].name);
}

bool drill_step_is_done(const struct drill_times *t, const char *name) {
        for (size_t i = 0; i < t->n_steps; i++)
                if (streq(t->steps[i].name, name) && streq(t->steps[i].result, "done"))
                        return true;
        return false;
}

static void seconds(uint64_t usec, char *buf, size_t size) {
        snprintf(buf, size, "%llu.%03llu s", (unsigned long long) (usec / USEC_PER_SEC),
                 (unsigned long long) (usec % USEC_PER_SEC / USEC_PER_MSEC));
}

/* ---- judging ---- */

/* Until when a process that used the volume may: the mapped page stays until its user goes; a file may be read from the
 * cache where the file system could not be shut down in time. */
static uint64_t allowed(const struct drill_report *r, enum drill_holder h) {
        const struct drill_times *t = &r->times;

        if (h == HOLDER_MAPPED || (h == HOLDER_CWD && !drill_step_is_done(t, "shut")))
                return r->uses[h].gone_usec;
        return t->decided_usec + t->cut_usec;
}

static unsigned long long msec_since(const struct drill_report *r, uint64_t at) {
        return (at - MIN_OF(at, r->times.decided_usec)) / USEC_PER_MSEC;
}

static void judge_readers(struct drill_report *r) {
        uint64_t last = 0;

        for (unsigned h = 0; h < _DRILL_HOLDER_MAX; h++) {
                const struct drill_use *u = r->uses + h;
                uint64_t until = allowed(r, (enum drill_holder) h);

                if (r->times.cut_usec == 0 || until == 0 || u->last_usec > until) {
                        drill_claim(r, CLAIM_READERS, false, "%s still could, %llu ms after the decision",
                                    drill_holder_to_string((enum drill_holder) h), msec_since(r, u->last_usec));
                        return;
                }
                last = MAX_OF(last, u->last_usec);
        }
        drill_claim(r, CLAIM_READERS, true, "the last one %llu ms after the decision", msec_since(r, last));
}

static void judge_killed(struct drill_report *r) {
        uint64_t last = 0;

        for (unsigned h = 0; h < _DRILL_HOLDER_MAX; h++) {
                const struct drill_use *u = r->uses + h;

                if (u->gone_usec == 0 || !WIFSIGNALED(u->status)) {
                        drill_claim(r, CLAIM_KILLED, false, "%s (process %d) %s",
                                    drill_holder_to_string((enum drill_holder) h), (int) u->pid,
                                    u->gone_usec == 0 ? "is still there" : "ended by itself");
                        return;
                }
                last = MAX_OF(last, u->gone_usec);
        }
        drill_claim(r, CLAIM_KILLED, true, "%u processes, the last one %llu ms after the decision", _DRILL_HOLDER_MAX,
                    msec_since(r, last));
}

static void judge_control(struct drill_report *r) {
        uint64_t least = UINT64_MAX;

        for (unsigned h = 0; h < _DRILL_HOLDER_MAX; h++)
                least = MIN_OF(least, r->uses[h].n);
        drill_claim(r, CLAIM_CONTROL, least > 0, "each at least %llu times", (unsigned long long) least);
}

void drill_judge(struct drill_report *r) {
        const struct drill_times *t = &r->times;
        char text[32];

        judge_control(r);
        drill_claim(r, CLAIM_POLICY, !streq(r->policy.on_revoked, "report"), "OnRevoked=%s", r->policy.on_revoked);
        seconds(t->cut_usec, text, sizeof(text));
        drill_claim(r, CLAIM_CUT, t->cut_usec > 0 && t->cut_usec <= DRILL_MARGIN_USEC, "%s",
                    t->cut_usec > 0 ? text : "it was not loaded");
        seconds(t->key_usec, text, sizeof(text));
        drill_claim(r, CLAIM_KEY, t->key_by_kernel && t->key_usec <= DRILL_MARGIN_USEC, "%s",
                    t->key_by_kernel ? text : "the trail has no such record: see the record \"probes\" of cmkd-audit");
        judge_readers(r);
        judge_killed(r);
}

/* ---- policy and bounds ---- */

/* "30 ([Policy])": without where it is from. */
static bool value(struct json_object *policy, const char *key, char *buf, size_t size) {
        const char *text = json_text(policy, key), *end = strstr(text, " (");

        snprintf(buf, size, "%.*s", (int) (end ? end - text : (ssize_t) strlen(text)), text);
        return *buf != 0;
}

int drill_policy_parse(struct json_object *policy, struct drill_policy *ret) {
        struct drill_policy p = {};
        const struct { const char *key; uint64_t *usec; } spans[] = {
                { "PollSec", &p.poll_usec }, { "ConfirmSec", &p.confirm_usec }, { "NoticeSec", &p.notice_usec },
                { "LeaseSec", &p.lease_usec }, { "GraceSec", &p.grace_usec }, { "HoldSec", &p.hold_usec },
        };
        char text[64];

        for (size_t i = 0; i < ELEMENTSOF(spans); i++)
                if (!value(policy, spans[i].key, text, sizeof(text)) || parse_span(text, spans[i].usec) < 0)
                        return -EBADMSG;
        if (!value(policy, "OnRevoked", p.on_revoked, sizeof(p.on_revoked)) || action_from_string(p.on_revoked) < 0 ||
            !value(policy, "OnUnreachable", p.on_unreachable, sizeof(p.on_unreachable)) ||
            action_from_string(p.on_unreachable) < 0)
                return -EBADMSG;
        *ret = p;
        return 0;
}

static uint64_t trips(const struct drill_times *t) {
        return 2 * MAX_OF(t->unwrap_usec, t->challenge_usec);
}

/* A hold wipes the key at once: whoever is told beforehand is told of a cut. */
static uint64_t notice(const struct drill_policy *p) {
        return streq(p->on_revoked, "hold") ? 0 : p->notice_usec;
}

uint64_t drill_bound_cooperative(const struct drill_policy *p, const struct drill_times *t) {
        if (streq(p->on_revoked, "report"))
                return USEC_INFINITY;
        return p->poll_usec + p->confirm_usec + notice(p) + trips(t) + DRILL_MARGIN_USEC;
}

uint64_t drill_bound_blocked(const struct drill_policy *p) {
        return streq(p->on_unreachable, "report") ? USEC_INFINITY : p->lease_usec + p->grace_usec;
}

/* ---- for people ---- */

static void print_cooperative(const struct drill_report *r) {
        const struct drill_policy *p = &r->policy;
        uint64_t bound = drill_bound_cooperative(p, &r->times);
        char poll[32], confirm[32], note[32], both[32], whole[32], measured[32];

        if (bound == USEC_INFINITY) {
                puts("Bound, vault answers: none, OnRevoked=report");
                return;
        }
        seconds(p->poll_usec, poll, sizeof(poll));
        seconds(p->confirm_usec, confirm, sizeof(confirm));
        seconds(notice(p), note, sizeof(note));
        seconds(trips(&r->times), both, sizeof(both));
        seconds(bound, whole, sizeof(whole));
        seconds(bound - DRILL_MARGIN_USEC + r->times.key_usec, measured, sizeof(measured));
        printf("Bound, vault answers: %s from the vault's change to the key's end: poll %s + confirmation %s + notice %s + "
               "two round trips %s + 2 s. With what was measured in place of the 2 s: %s\n", whole, poll, confirm, note, both,
               measured);
}

static void print_blocked(const struct drill_report *r) {
        const struct drill_policy *p = &r->policy;
        bool hold = streq(p->on_unreachable, "hold");
        char lease[32], grace[32], whole[32], held[32];

        if (drill_bound_blocked(p) == USEC_INFINITY) {
                puts("Bound, network blocked: none, OnUnreachable=report");
                return;
        }
        seconds(p->lease_usec, lease, sizeof(lease));
        seconds(p->grace_usec, grace, sizeof(grace));
        seconds(drill_bound_blocked(p), whole, sizeof(whole));
        seconds(p->hold_usec, held, sizeof(held));
        printf("Bound, network blocked: %s: lease %s + grace %s, then %s%s%s\n", whole, lease, grace, p->on_unreachable,
               hold ? ", and a cut after " : "", hold ? held : "");
}

static void add_step(struct table *t, const char *name, uint64_t usec, const char *result) {
        table_add(t, name);
        table_addf(t, "%llu ms", (unsigned long long) (usec / USEC_PER_MSEC));
        table_add(t, result);
}

static int print_steps(const struct drill_report *r) {
        static const char *const header[] = { "STEP", "DONE AFTER", "RESULT" };
        const struct drill_times *t = &r->times;
        struct table table;

        table_start(&table, header, ELEMENTSOF(header));
        add_step(&table, "vault: unwrap", t->unwrap_usec, "a round trip");
        add_step(&table, "vault: challenge", t->challenge_usec, "a round trip");
        add_step(&table, "decision", 0, "from here on the time runs");
        for (size_t i = 0; i < t->n_steps; i++)
                add_step(&table, t->steps[i].name, t->steps[i].at_usec, t->steps[i].result);
        if (t->key_by_kernel)
                add_step(&table, "key freed", t->key_usec, "by the kernel's own record");
        return table_print(&table);
}

int drill_print(const struct drill_report *r) {
        static const char *const header[] = { "HOLDS", "CLAIM", "SEEN" };
        struct table table;
        int code;

        printf("Drill %s: key ", r->id);
        print_clean(stdout, r->key);
        printf("\n\n");
        code = print_steps(r);
        putchar('\n');
        table_start(&table, header, ELEMENTSOF(header));
        for (unsigned c = 0; c < _DRILL_CLAIM_MAX; c++) {
                table_add(&table, verdicts[r->claims[c].verdict]);
                table_add(&table, claims[c].text);
                table_add(&table, r->claims[c].detail);
        }
        if (code == EXIT_CODE_DONE)
                code = table_print(&table);
        putchar('\n');
        print_cooperative(r);
        print_blocked(r);
        printf("Both for a volume of role %s under [Policy]; of one with settings of its own: \"cmkctl status NAME\".\n", r->role);
        printf("Records %llu to %llu of the trail. %s\n", (unsigned long long) r->times.first,
               (unsigned long long) r->times.last,
               drill_holds(r, _DRILL_CLAIM_MAX) ? "Passed: every claim holds." : "FAILED: not every claim holds.");
        return code;
}

/* ---- for machines ---- */

static void put_text(struct json_object *o, const char *key, const char *text) {
        json_object_object_add(o, key, json_object_new_string(text));
}

static void put_usec(struct json_object *o, const char *key, uint64_t usec) {
        json_object_object_add(o, key, usec == USEC_INFINITY ? NULL : json_object_new_uint64(usec));
}

static struct json_object *policy_to_json(const struct drill_policy *p) {
        struct json_object *o = json_object_new_object();

        put_text(o, "on_revoked", p->on_revoked);
        put_text(o, "on_unreachable", p->on_unreachable);
        put_usec(o, "poll_usec", p->poll_usec);
        put_usec(o, "confirm_usec", p->confirm_usec);
        put_usec(o, "notice_usec", p->notice_usec);
        put_usec(o, "lease_usec", p->lease_usec);
        put_usec(o, "grace_usec", p->grace_usec);
        put_usec(o, "hold_usec", p->hold_usec);
        return o;
}

static struct json_object *measures_to_json(const struct drill_report *r) {
        const struct drill_times *t = &r->times;
        struct json_object *o = json_object_new_object();

        put_usec(o, "unwrap_usec", t->unwrap_usec);
        put_usec(o, "challenge_usec", t->challenge_usec);
        put_usec(o, "cut_usec", t->cut_usec > 0 ? t->cut_usec : USEC_INFINITY);
        put_usec(o, "key_freed_usec", t->key_by_kernel ? t->key_usec : USEC_INFINITY);
        put_usec(o, "removed_usec", t->removed ? t->removed_usec : USEC_INFINITY);
        put_usec(o, "bound_cooperative_usec", drill_bound_cooperative(&r->policy, t));
        put_usec(o, "bound_blocked_usec", drill_bound_blocked(&r->policy));
        return o;
}

static struct json_object *steps_to_json(const struct drill_times *t) {
        struct json_object *list = json_object_new_array();

        for (size_t i = 0; i < t->n_steps; i++) {
                struct json_object *o = json_object_new_object();

                put_text(o, "step", t->steps[i].name);
                put_usec(o, "done_usec", t->steps[i].at_usec);
                put_text(o, "result", t->steps[i].result);
                json_object_array_add(list, o);
        }
        return list;
}

static struct json_object *claims_to_json(const struct drill_report *r) {
        struct json_object *list = json_object_new_array();

        for (unsigned c = 0; c < _DRILL_CLAIM_MAX; c++) {
                enum drill_verdict v = r->claims[c].verdict;
                struct json_object *o = json_object_new_object();

                put_text(o, "claim", claims[c].name);
                put_text(o, "text", claims[c].text);
                json_object_object_add(o, "holds", v == DRILL_UNTESTED ? NULL : json_object_new_boolean(v == DRILL_HOLDS));
                put_text(o, "seen", r->claims[c].detail);
                json_object_array_add(list, o);
        }
        return list;
}

int drill_print_json(const struct drill_report *r) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();

        if (!o)
                return fail(EXIT_CODE_FAILED, "out of memory");
        put_text(o, "drill", r->id);
        json_object_object_add(o, "passed", json_object_new_boolean(drill_holds(r, _DRILL_CLAIM_MAX)));
        put_text(o, "key", r->key);
        put_text(o, "role", r->role);
        put_text(o, "uuid", r->uuid);
        put_text(o, "device", r->device);
        json_object_object_add(o, "size_mib", json_object_new_uint64(r->size_mib));
        json_object_object_add(o, "first_record", json_object_new_uint64(r->times.first));
        json_object_object_add(o, "last_record", json_object_new_uint64(r->times.last));
        json_object_object_add(o, "measured", measures_to_json(r));
        json_object_object_add(o, "policy", policy_to_json(&r->policy));
        json_object_object_add(o, "steps", steps_to_json(&r->times));
        json_object_object_add(o, "claims", claims_to_json(r));
        return print_json(o);
}
