/* SPDX-License-Identifier: Apache-2.0 */
#include "review.h"

/* cmkctl audit stats: a trail in numbers, with its findings. */

static struct json_object *workloads_json(const struct ledger_volume *v) {
        struct json_object *list = json_object_new_array();

        for (size_t i = 0; i < v->io.n; i++) {
                struct json_object *o = json_object_new_object();

                json_put_text(o, "cgroup", v->io.w[i].cgroup);
                json_put_number(o, "read_bytes", v->io.w[i].read);
                json_put_number(o, "written_bytes", v->io.w[i].written);
                json_object_array_add(list, o);
        }
        return list;
}

static struct json_object *volumes_json(const struct ledger *l) {
        struct json_object *list = json_object_new_array();

        for (size_t i = 0; i < l->n_volumes; i++) {
                const struct ledger_volume *v = l->volumes + i;
                struct json_object *o = json_object_new_object(), *users = json_object_new_array();

                if (*v->node)
                        json_put_text(o, "node", v->node);
                json_put_text(o, "volume", v->name);
                json_put_text(o, "uuid", v->uuid);
                json_put_text(o, "key", v->key);
                json_put_number(o, "records", v->records);
                json_put_number(o, "releases", v->releases);
                json_put_number(o, "keys_set", v->key_sets);
                review_put_time(o, "first", v->first_usec);
                review_put_time(o, "last", v->last_usec);
                for (size_t k = 0; k < v->n_users; k++) {
                        const struct user *u = v->users + k;
                        struct json_object *one = json_object_new_object();

                        json_put_text(one, "exe", u->exe);
                        json_put_text(one, "unit", u->unit);
                        json_put_text(one, "uid", u->uid);
                        json_put_text(one, "loginuid", u->loginuid);
                        json_put_number(one, "reads", u->reads);
                        json_put_number(one, "writes", u->writes);
                        json_object_array_add(users, one);
                }
                json_object_object_add(o, "opened_by", users);
                json_object_object_add(o, "workloads", workloads_json(v));
                json_object_array_add(list, o);
        }
        return list;
}

static struct json_object *keys_json(const struct ledger *l) {
        struct json_object *list = json_object_new_array();

        for (size_t i = 0; i < l->n_keys; i++) {
                const struct ledger_key *k = l->keys + i;
                struct json_object *o = json_object_new_object(), *verdicts = json_object_new_object();

                json_put_text(o, "key", k->key);
                for (unsigned v = 0; v < _VERDICT_MAX; v++)
                        if (k->verdicts[v] > 0)
                                json_put_number(verdicts, verdict_to_string((enum verdict) v), k->verdicts[v]);
                json_object_object_add(o, "verdicts", verdicts);
                json_put_number(o, "polls", k->polls);
                json_put_number(o, "round_trip_usec_mean", k->round_trips > 0 ? k->round_trip_usec / k->round_trips : 0);
                json_put_number(o, "round_trip_usec_max", k->round_trip_max_usec);
                json_object_array_add(list, o);
        }
        return list;
}

static struct json_object *findings_json(const struct ledger *l) {
        struct json_object *list = json_object_new_array();

        for (size_t i = 0; i < l->n_findings; i++) {
                const struct review_finding *f = l->findings + i;
                struct json_object *o = json_object_new_object();

                json_put_text(o, "finding", rule_id(f->rule));
                json_put_text(o, "gravity", gravity_to_string(rule_gravity(f->rule)));
                json_object_object_add(o, "unauthorised", json_object_new_boolean(rule_is_unauthorised(f->rule)));
                json_put_text(o, "what", rule_what(f->rule));
                if (*f->node)
                        json_put_text(o, "node", f->node);
                json_put_text(o, "volume", f->volume);
                json_put_text(o, "who", f->who);
                json_put_text(o, "detail", f->detail);
                json_put_number(o, "count", f->count);
                review_put_time(o, "first", f->first_usec);
                review_put_time(o, "last", f->last_usec);
                json_put_number(o, "first_record", f->first_sequence);
                json_put_number(o, "last_record", f->last_sequence);
                json_put_text(o, "cure", rule_cure(f->rule));
                json_object_array_add(list, o);
        }
        return list;
}

static int to_json(const struct ledger *l, const char *path) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();
        struct json_object *events = json_object_new_object();

        json_put_text(o, "file", path);
        json_put_number(o, "records", l->records);
        json_put_number(o, "broken_lines", l->broken);
        review_put_time(o, "first", l->first_usec);
        review_put_time(o, "last", l->last_usec);
        for (size_t i = 0; i < l->n_events; i++)
                json_put_number(events, l->events[i].event, l->events[i].daemon + l->events[i].kernel);
        json_object_object_add(o, "events", events);
        json_object_object_add(o, "volumes", volumes_json(l));
        json_object_object_add(o, "keys", keys_json(l));
        json_object_object_add(o, "findings", findings_json(l));
        json_put_number(o, "left_out", l->more_findings + l->more_keys + l->more_volumes);
        return print_json(o);
}

static int print_volumes(const struct ledger *l) {
        static const char *const header[] = { "NODE", "VOLUME", "UUID", "RELEASES", "KEYS SET", "OPENED BY", "LAST RECORD" };
        bool nodes = *l->volumes->node;
        struct table t;
        char time[64];

        table_start(&t, header + !nodes, ELEMENTSOF(header) - !nodes);
        for (size_t i = 0; i < l->n_volumes; i++) {
                const struct ledger_volume *v = l->volumes + i;

                review_time(v->last_usec, time, sizeof(time));
                if (nodes)
                        table_add(&t, v->node);
                table_add(&t, v->name);
                table_add(&t, v->uuid);
                table_addf(&t, "%llu", (unsigned long long) v->releases);
                table_addf(&t, "%llu", (unsigned long long) v->key_sets);
                table_addf(&t, "%zu program%s", v->n_users, v->n_users == 1 ? "" : "s");
                table_add(&t, time);
        }
        return table_print(&t);
}

static bool has_workloads(const struct ledger *l) {
        for (size_t i = 0; i < l->n_volumes; i++)
                if (l->volumes[i].io.n > 0)
                        return true;
        return false;
}

static int print_workloads(const struct ledger *l) {
        static const char *const header[] = { "VOLUME", "WORKLOAD", "READ", "WRITTEN" };
        char read[32], written[32];
        struct table t;

        table_start(&t, header, ELEMENTSOF(header));
        for (size_t i = 0; i < l->n_volumes; i++)
                for (size_t k = 0; k < l->volumes[i].io.n; k++) {
                        const struct workload *w = l->volumes[i].io.w + k;

                        format_bytes(w->read, read, sizeof(read));
                        format_bytes(w->written, written, sizeof(written));
                        table_add(&t, l->volumes[i].name);
                        table_add(&t, w->cgroup);
                        table_add(&t, read);
                        table_add(&t, written);
                }
        return table_print(&t);
}

static int print_keys(const struct ledger *l) {
        static const char *const header[] = { "KEY", "VERDICTS", "POLLS GRANTED", "ROUND TRIP" };
        struct table t;

        table_start(&t, header, ELEMENTSOF(header));
        for (size_t i = 0; i < l->n_keys; i++) {
                const struct ledger_key *k = l->keys + i;
                char text[256] = "";
                size_t n = 0;

                for (unsigned v = 0; v < _VERDICT_MAX; v++)
                        if (k->verdicts[v] > 0)
                                n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%s %llu", n > 0 ? ", " : "",
                                                       verdict_to_string((enum verdict) v),
                                                       (unsigned long long) k->verdicts[v]);
                table_add(&t, k->key);
                table_add(&t, text);
                table_addf(&t, "%llu", (unsigned long long) k->polls);
                if (k->round_trips > 0)
                        table_addf(&t, "%.0f ms, at most %.0f ms", (double) k->round_trip_usec / (double) k->round_trips / 1e3,
                                   (double) k->round_trip_max_usec / 1e3);
                else
                        table_add(&t, NULL);
        }
        return table_print(&t);
}

static int print_events(const struct ledger *l) {
        static const char *const header[] = { "EVENT", "CMKD", "KERNEL" };
        struct table t;

        table_start(&t, header, ELEMENTSOF(header));
        for (size_t i = 0; i < l->n_events; i++) {
                table_add(&t, l->events[i].event);
                table_addf(&t, "%llu", (unsigned long long) l->events[i].daemon);
                table_addf(&t, "%llu", (unsigned long long) l->events[i].kernel);
        }
        return table_print(&t);
}

static void print_findings(const struct ledger *l) {
        for (size_t i = 0; i < l->n_findings; i++) {
                const struct review_finding *f = l->findings + i;
                char time[64];

                review_time(f->first_usec, time, sizeof(time));
                printf("%s: %s", gravity_to_string(rule_gravity(f->rule)), rule_what(f->rule));
                if (f->count > 1)
                        printf(", %llu times", (unsigned long long) f->count);
                printf("\n    %s, %s", time, *f->node ? "node " : "");
                print_clean(stdout, f->node);
                printf("%srecord %llu%s", *f->node ? ", " : "", (unsigned long long) f->first_sequence, *f->volume ? ", volume " : "");
                print_clean(stdout, f->volume);
                if (*f->who) {
                        fputs(", by ", stdout);
                        print_clean(stdout, f->who);
                }
                if (*f->detail) {
                        fputs("\n    ", stdout);
                        print_clean(stdout, f->detail);
                }
                printf("%s%s\n", *rule_cure(f->rule) ? "\n    " : "", rule_cure(f->rule));
        }
        if (l->more_findings > 0)
                printf("and %llu more\n", (unsigned long long) l->more_findings);
}

int verb_audit_stats(const struct invocation *in) {
        _cleanup_(ledger_freep) struct ledger *l = NULL;
        _cleanup_(filter_done) struct filter f = {};
        char first[64], last[64];
        int code;

        code = filter_read(in, &f);
        if (code == EXIT_CODE_DONE)
                code = review_read(in, &f, &l);
        if (code != EXIT_CODE_DONE)
                return code;
        if (has_option(in, OPTION_JSON))
                return to_json(l, review_name(in));
        review_time(l->first_usec, first, sizeof(first));
        review_time(l->last_usec, last, sizeof(last));
        if (l->records > 0)
                printf("%llu records from %s to %s (UTC)\n", (unsigned long long) l->records, first, last);
        else
                puts("no records");
        if (l->broken > 0)
                printf("%llu lines are no records: see cmkctl audit verify\n", (unsigned long long) l->broken);
        if (l->n_volumes > 0)
                code = (putchar('\n'), print_volumes(l));
        if (code == EXIT_CODE_DONE && has_workloads(l))
                code = (putchar('\n'), print_workloads(l));
        if (code == EXIT_CODE_DONE && l->n_keys > 0)
                code = (putchar('\n'), print_keys(l));
        if (code == EXIT_CODE_DONE && l->n_events > 0)
                code = (putchar('\n'), print_events(l));
        printf("\n%zu finding%s\n", l->n_findings, l->n_findings == 1 ? "" : "s");
        print_findings(l);
        return code;
}
