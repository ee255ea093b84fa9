/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl.h"
#include "print.h"

#include "audit/verify.h"
#include "review/verify-log.h"

/* cmkctl audit verify: the whole chain, the head beside the trail, with an auditor's keys the seals, and with the vault's own log
 * whether it is what it was. */

/* What this verification is worth. */
enum worth {
        WORTH_CHAIN,         /* there is no seal in the trail */
        WORTH_UNCHECKED,     /* there are seals, and no key was given */
        WORTH_SEALED,        /* there are seals, and they were checked */
};

static const char *const worth_names[] = { "chain", "seals-unchecked", "seals" };

static enum worth worth_of(const struct trail_report *t, const struct epochs *e) {
        return t->sealed == 0 ? WORTH_CHAIN : epochs_have_keys(e) ? WORTH_SEALED : WORTH_UNCHECKED;
}

static int add_numbers(struct json_object *o, const struct trail_report *t, enum worth worth) {
        const struct { const char *name; uint64_t value; } numbers[] = {
                { "files", t->files }, { "sealed", t->sealed }, { "unsealed", t->unsealed }, { "proven", t->proven },
                { "epochs", t->epochs }, { "lost_epochs", t->lost_epochs },
                { "ended_epochs", t->ended_epochs },
        };
        int r = json_object_object_add(o, "checked", json_object_new_string(worth_names[worth]));

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(numbers); i++)
                r = json_object_object_add(o, numbers[i].name, json_object_new_uint64(numbers[i].value));
        return r;
}

static int to_json(const struct trail_report *t, enum worth worth, const struct verify_log *v, const char *path, const char *head) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();
        struct json_object *problems = json_object_new_array();

        if (!o || !problems || json_object_object_add(o, "file", json_object_new_string(path)) < 0 ||
            json_object_object_add(o, "verified", json_object_new_boolean(t->records > 0 && t->n_problems == 0 && verify_log_holds(v))) < 0 ||
            json_object_object_add(o, "records", json_object_new_uint64(t->records)) < 0 ||
            json_object_object_add(o, "first", json_object_new_uint64(t->first_sequence)) < 0 ||
            json_object_object_add(o, "last", json_object_new_uint64(t->last_sequence)) < 0 ||
            json_object_object_add(o, "early", json_object_new_uint64(t->early)) < 0 ||
            json_object_object_add(o, "early_open", json_object_new_uint64(t->early_open)) < 0 ||
            json_object_object_add(o, "gaps", json_object_new_uint64(t->gaps)) < 0 ||
            json_object_object_add(o, "lost", json_object_new_uint64(t->lost)) < 0 ||
            json_object_object_add(o, "head", json_object_new_string(head)) < 0 ||
            add_numbers(o, t, worth) < 0 ||
            json_object_object_add(o, "head_checked", json_object_new_boolean(t->head_checked)) < 0 ||
            json_object_object_add(o, "problem_count", json_object_new_uint64(t->n_problems)) < 0 ||
            json_object_object_add(o, "problems", problems) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        for (uint64_t i = 0; i < MIN_OF(t->n_problems, (uint64_t) TRAIL_PROBLEMS_MAX); i++) {
                struct json_object *p = json_object_new_object();

                json_object_object_add(p, "kind", json_object_new_string(trail_problem_to_string(t->problems[i].kind)));
                json_object_object_add(p, "file", json_object_new_string(t->problems[i].file));
                json_object_object_add(p, "line", json_object_new_uint64(t->problems[i].line));
                json_object_object_add(p, "text", json_object_new_string(t->problems[i].text));
                json_object_array_add(problems, p);
        }
        verify_log_to_json(v, o);
        return print_json(o);
}

/* The reason is a record's, and may be anything. */
static void print_lost(const struct epoch *x) {
        printf("epoch %s, from record %llu, did not take over from the one before, whose key was lost (", x->id, (unsigned long long) x->first);
        print_quoted(stdout, x->reason);
        puts("): what had been recorded just before it may have been cut off");
}

static void seals_to_people(const struct trail_report *t, enum worth worth, const struct epochs *e) {
        const struct epoch *x;

        if (worth == WORTH_CHAIN) {
                puts("not sealed: only the hash chain was checked, which whoever is root can compute anew (PublicKey= in cmkd.conf)");
                return;
        }
        printf("sealed: %llu records, epochs: %llu, not sealed: %llu records\n", (unsigned long long) t->sealed,
               (unsigned long long) t->epochs, (unsigned long long) t->unsealed);
        if (worth == WORTH_UNCHECKED)
                puts("only the hash chain was checked, which whoever is root can compute anew: the seals need --private-key or "
                     "--epoch-keys");
        else
                printf("the seals of %llu records were checked and hold\n", (unsigned long long) t->proven);
        for (size_t i = 0; (x = epochs_get(e, i)); i++)
                if (x->handover == EPOCH_LOST)
                        print_lost(x);
        if (t->ended_epochs > 0)
                printf("epochs that began after one that had ended: %llu; whether there was another between them only who knows "
                       "the epochs can tell\n", (unsigned long long) t->ended_epochs);
}

static void to_people(const struct trail_report *t, enum worth worth, const struct epochs *e, const char *path,
                      const char *head) {
        print_clean(stdout, path);
        printf(": %llu records, numbers %llu to %llu, files: %u\n", (unsigned long long) t->records,
               (unsigned long long) t->first_sequence, (unsigned long long) t->last_sequence, t->files);
        seals_to_people(t, worth, e);
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
                print_clean(stdout, t->problems[i].file);
                printf(" line %llu: %s: ", (unsigned long long) t->problems[i].line,
                       trail_problem_to_string(t->problems[i].kind));
                print_clean(stdout, t->problems[i].text);
                putchar('\n');
        }
        if (t->n_problems > TRAIL_PROBLEMS_MAX)
                printf("and %llu more\n", (unsigned long long) (t->n_problems - TRAIL_PROBLEMS_MAX));
}

/* The auditor's keys, as far as they were given. */
static int open_keys(const struct invocation *in, struct epochs *e) {
        const char *private = in->values[OPTION_PRIVATE_KEY], *list = in->values[OPTION_EPOCH_KEYS], *why = "";
        unsigned line = 0;
        int r;

        r = private ? epochs_add_private(e, private, &why) : 0;
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", private, why);
        r = list ? epochs_add_list(e, list, &line) : 0;
        if (r < 0 && line > 0)
                return fail(EXIT_CODE_FAILED, "%s:%u: a line is an epoch's id, a space and 32 bytes in base64", list, line);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", list, strerror(-r));
        return list && !epochs_have_keys(e) ? fail(EXIT_CODE_FAILED, "%s: there is no key in it", list) : EXIT_CODE_DONE;
}

static int list_to_json(const struct epochs *e) {
        _cleanup_(json_object_putp) struct json_object *list = json_object_new_array();
        const struct epoch *x;

        for (size_t i = 0; (x = epochs_get(e, i)); i++) {
                const struct { const char *name, *value; } texts[] = {
                        { "epoch", x->id }, { "reason", x->reason }, { "handover", epoch_handover_to_string(x->handover) },
                        { "digest", x->digest }, { "algorithm", SEAL_ALGORITHM }, { "wrapped", x->wrapped },
                };
                struct json_object *o = json_object_new_object();

                for (size_t k = 0; k < ELEMENTSOF(texts); k++)
                        json_object_object_add(o, texts[k].name, json_object_new_string(texts[k].value));
                json_object_object_add(o, "first", json_object_new_uint64(x->first));
                json_object_object_add(o, "last", json_object_new_uint64(x->last));
                json_object_array_add(list, o);
        }
        return print_json(list);
}

/* Lines as --epoch-keys reads them, but for what is wrapped. */
static int list_epochs(const struct epochs *e, bool json) {
        const struct epoch *x;

        if (json)
                return list_to_json(e);
        for (size_t i = 0; (x = epochs_get(e, i)); i++) {
                printf("# records %llu to %llu; handover: %s; " SEAL_ALGORITHM ", SHA-256 of the public key ",
                       (unsigned long long) x->first, (unsigned long long) x->last, epoch_handover_to_string(x->handover));
                print_clean(stdout, x->digest);
                printf("\n%s ", x->id);
                print_clean(stdout, x->wrapped);
                putchar('\n');
        }
        return EXIT_CODE_DONE;
}

static void print_verdict(const struct trail_report *t, enum worth worth, const struct verify_log *v) {
        fputs("verified: nothing was changed, removed or inserted", stdout);
        if (worth == WORTH_SEALED && t->unsealed == 0)
                puts(", and the seals hold");
        else if (worth == WORTH_SEALED)
                printf(" among the %llu records whose seals hold; the other %llu have none and prove nothing by themselves\n",
                       (unsigned long long) t->proven, (unsigned long long) t->unsealed);
        else
                puts(v->path ? ", up to the head that the vault's log has last" : " by who did not compute the chain anew");
}

static int verify(const struct invocation *in, const char *path, struct epochs *e, struct verify_log *v, struct trail_report *report) {
        char head[CHAIN_HEX_SIZE + 1];
        enum worth worth;
        int r, code = EXIT_CODE_DONE;

        r = trail_verify_each(path, e, verify_log_record, v, report);
        if (r == -ENOENT)
                return fail(EXIT_CODE_FAILED, "%s: there is no trail; was cmkd-audit ever started here?", path);
        if (r == -E2BIG)
                return fail(EXIT_CODE_FAILED, "%s: more than %u records, or of more than %u nodes", path, ANCHORS_MAX, ANCHOR_NODES_MAX);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(-r));
        if (has_option(in, OPTION_LIST_EPOCHS))
                return list_epochs(e, has_option(in, OPTION_JSON));
        code = verify_log_read(v);
        if (code != EXIT_CODE_DONE)
                return code;
        worth = worth_of(report, e);
        chain_to_hex(report->head, head);
        if (has_option(in, OPTION_JSON))
                code = to_json(report, worth, v, path, head);
        else {
                to_people(report, worth, e, path, head);
                verify_log_to_people(v, report->n_problems == 0);
        }
        if (code == EXIT_CODE_DONE && report->n_problems > 0)
                return fail(EXIT_CODE_TRAIL, "%s does not verify: %llu problem%s", path,
                            (unsigned long long) report->n_problems, report->n_problems == 1 ? "" : "s");
        if (code == EXIT_CODE_DONE && report->records == 0)
                return fail(EXIT_CODE_FAILED, "%s has no records: there is nothing to verify", path);
        if (code == EXIT_CODE_DONE)
                code = verify_log_judge(v, path);
        if (code == EXIT_CODE_DONE && !has_option(in, OPTION_JSON))
                print_verdict(report, worth, v);
        return code;
}

int verb_audit_verify(const struct invocation *in) {
        _cleanup_(freep) struct trail_report *report = calloc(1, sizeof(*report));
        _cleanup_(verify_log_done) struct verify_log v = {};
        _cleanup_(epochs_freep) struct epochs *e = NULL;
        int r, code;

        r = report ? epochs_new(&e) : -ENOMEM;
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "no memory for keys: %s", strerror(-r));
        code = open_keys(in, e);
        if (code == EXIT_CODE_DONE)
                code = verify_log_prepare(in, &v);
        if (code != EXIT_CODE_DONE)
                return code;
        return verify(in, in->values[OPTION_FILE] ? in->values[OPTION_FILE] : TRAIL_PATH, e, &v, report);
}
