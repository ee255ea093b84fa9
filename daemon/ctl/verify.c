/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl.h"
#include "print.h"

#include "audit/reader.h"

/* cmkctl audit verify: the whole chain, and the head beside the trail. */

static int to_json(const struct trail_report *t, const char *path, const char *head) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();
        struct json_object *problems = json_object_new_array();

        if (!o || !problems || json_object_object_add(o, "file", json_object_new_string(path)) < 0 ||
            json_object_object_add(o, "verified", json_object_new_boolean(t->n_problems == 0)) < 0 ||
            json_object_object_add(o, "records", json_object_new_uint64(t->records)) < 0 ||
            json_object_object_add(o, "first", json_object_new_uint64(t->first_sequence)) < 0 ||
            json_object_object_add(o, "last", json_object_new_uint64(t->last_sequence)) < 0 ||
            json_object_object_add(o, "early", json_object_new_uint64(t->early)) < 0 ||
            json_object_object_add(o, "early_open", json_object_new_uint64(t->early_open)) < 0 ||
            json_object_object_add(o, "gaps", json_object_new_uint64(t->gaps)) < 0 ||
            json_object_object_add(o, "lost", json_object_new_uint64(t->lost)) < 0 ||
            json_object_object_add(o, "head", json_object_new_string(head)) < 0 ||
            json_object_object_add(o, "head_checked", json_object_new_boolean(t->head_checked)) < 0 ||
            json_object_object_add(o, "problem_count", json_object_new_uint64(t->n_problems)) < 0 ||
            json_object_object_add(o, "problems", problems) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        for (uint64_t i = 0; i < MIN_OF(t->n_problems, (uint64_t) TRAIL_PROBLEMS_MAX); i++) {
                struct json_object *p = json_object_new_object();

                json_object_object_add(p, "kind", json_object_new_string(trail_problem_to_string(t->problems[i].kind)));
                json_object_object_add(p, "line", json_object_new_uint64(t->problems[i].line));
                json_object_object_add(p, "text", json_object_new_string(t->problems[i].text));
                json_object_array_add(problems, p);
        }
        return print_json(o);
}

static void to_people(const struct trail_report *t, const char *path, const char *head) {
        print_clean(stdout, path);
        printf(": %llu records, numbers %llu to %llu\n", (unsigned long long) t->records,
               (unsigned long long) t->first_sequence, (unsigned long long) t->last_sequence);
        if (t->gaps || t->lost)
                printf("cmkd-audit itself recorded %llu gaps and %llu losses of events\n",
                       (unsigned long long) t->gaps, (unsigned long long) t->lost);
        if (t->early)
                printf("%llu records were joined from early trails and are what stood there\n",
                       (unsigned long long) t->early);
        if (t->early_open)
                printf("the last early trail is joined up to its number %llu and not closed: the rest is still to "
                       "come, or lost if the machine was restarted since\n", (unsigned long long) t->early_open);
        printf("head %s%s\n", head,
               t->head_checked ? "" : " (no head file beside the trail: an end that was cut off would not show)");
        for (uint64_t i = 0; i < MIN_OF(t->n_problems, (uint64_t) TRAIL_PROBLEMS_MAX); i++) {
                printf("line %llu: %s: ", (unsigned long long) t->problems[i].line,
                       trail_problem_to_string(t->problems[i].kind));
                print_clean(stdout, t->problems[i].text);
                putchar('\n');
        }
        if (t->n_problems > TRAIL_PROBLEMS_MAX)
                printf("and %llu more\n", (unsigned long long) (t->n_problems - TRAIL_PROBLEMS_MAX));
}

int verb_audit_verify(const struct invocation *in) {
        _cleanup_(freep) struct trail_report *report = calloc(1, sizeof(*report));
        const char *path = in->values[OPTION_FILE] ? in->values[OPTION_FILE] : TRAIL_PATH;
        char head[CHAIN_HEX_SIZE + 1];
        int r, code = EXIT_CODE_DONE;

        r = report ? trail_verify(path, report) : -ENOMEM;
        if (r == -ENOENT)
                return fail(EXIT_CODE_FAILED, "%s: there is no trail; was cmkd-audit ever started here?", path);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(-r));
        chain_to_hex(report->head, head);
        if (has_option(in, OPTION_JSON))
                code = to_json(report, path, head);
        else
                to_people(report, path, head);
        if (code == EXIT_CODE_DONE && report->n_problems > 0)
                return fail(EXIT_CODE_TRAIL, "%s does not verify: %llu problems", path,
                            (unsigned long long) report->n_problems);
        if (!has_option(in, OPTION_JSON))
                puts("verified: nothing was changed, removed or inserted");
        return code;
}
