/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "names.h"
#include "print.h"

/* cmkctl cut, and what it would do. */

#define SHOWN_MAX 20u           /* of a step, for people: who wants all takes JSON */

typedef int (*reader)(sd_bus_message *m, struct json_object *ret);

/* Reads an array of structs into a list of objects, one at a time. */
static int read_array(sd_bus_message *m, const char *contents, reader read_one, struct json_object *list) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', contents);
        while (r >= 0) {
                struct json_object *o = json_object_new_object();

                r = o ? read_one(m, o) : -ENOMEM;
                if (r > 0)
                        r = json_object_array_add(list, o) < 0 ? -ENOMEM : 1;
                if (r <= 0) {
                        json_object_put(o);
                        break;
                }
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int put_text(struct json_object *o, const char *name, const char *text) {
        return json_object_object_add(o, name, json_object_new_string(text)) < 0 ? -ENOMEM : 1;
}

static int put_number(struct json_object *o, const char *name, uint64_t number) {
        return json_object_object_add(o, name, json_object_new_uint64(number)) < 0 ? -ENOMEM : 1;
}

/* ---- what was done ---- */

static int read_done(sd_bus_message *m, struct json_object *o) {
        const char *step, *result;
        uint64_t budget;
        int r;

        r = sd_bus_message_read(m, "(sts)", &step, &budget, &result);
        if (r > 0)
                r = put_text(o, "step", step);
        if (r > 0)
                r = put_number(o, "budget_usec", budget);
        return r > 0 ? put_text(o, "result", result) : r;
}

static int print_done(sd_bus_message *m, bool json) {
        static const char *const header[] = { "STEP", "BUDGET", "RESULT" };
        _cleanup_(json_object_putp) struct json_object *list = json_object_new_array();
        struct table t;
        int r;

        r = list ? read_array(m, "(sts)", read_done, list) : -ENOMEM;
        if (r < 0)
                return call_misunderstood(r);
        if (json)
                return print_json(list);
        table_start(&t, header, ELEMENTSOF(header));
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct json_object *o = json_object_array_get_idx(list, i);

                table_add(&t, json_text(o, "step"));
                table_addf(&t, "%llu ms", (unsigned long long) (json_number(o, "budget_usec") / USEC_PER_MSEC));
                table_add(&t, json_text(o, "result"));
        }
        return table_print(&t);
}

/* ---- what would be done ---- */

static int read_step(sd_bus_message *m, struct json_object *o) {
        const char *step, *text;
        uint64_t budget, by;
        int r;

        r = sd_bus_message_read(m, "(stts)", &step, &budget, &by, &text);
        if (r > 0)
                r = put_text(o, "step", step);
        if (r > 0)
                r = put_number(o, "budget_usec", budget);
        if (r > 0)
                r = put_number(o, "by_usec", by);
        return r > 0 ? put_text(o, "what", text) : r;
}

static int read_item(sd_bus_message *m, struct json_object *o) {
        const char *step, *kind, *name, *detail, *spared;
        uint32_t pid;
        int r;

        r = sd_bus_message_read(m, "(sssuss)", &step, &kind, &name, &pid, &detail, &spared);
        if (r > 0)
                r = put_text(o, "step", step);
        if (r > 0)
                r = put_text(o, "kind", kind);
        if (r > 0)
                r = put_text(o, "name", name);
        if (r > 0 && pid > 0)
                r = put_number(o, "pid", pid);
        if (r > 0 && *detail)
                r = put_text(o, streq(kind, "process") ? "unit" : "detail", detail);
        return r > 0 && *spared ? put_text(o, "spared", spared) : r;
}

static int read_totals(sd_bus_message *m, struct json_object *o) {
        const char *kind;
        uint64_t total;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(st)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(st)", &kind, &total)) > 0)
                r = put_number(o, kind, total);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_notes(sd_bus_message *m, struct json_object *list) {
        const char *note;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(m, "s", &note)) > 0)
                if (json_object_array_add(list, json_object_new_string(note)) < 0)
                        return -ENOMEM;
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_plan(sd_bus_message *m, const char *volume, struct json_object *plan) {
        struct json_object *steps = json_object_new_array(), *takes = json_object_new_array(),
                           *totals = json_object_new_object(), *notes = json_object_new_array();
        const char *action;
        int r;

        if (put_text(plan, "volume", volume) < 0 || json_object_object_add(plan, "steps", steps) < 0 ||
            json_object_object_add(plan, "takes", takes) < 0 || json_object_object_add(plan, "totals", totals) < 0 ||
            json_object_object_add(plan, "notes", notes) < 0 || !steps || !takes || !totals || !notes)
                return -ENOMEM;
        r = sd_bus_message_read(m, "s", &action);
        if (r > 0)
                r = put_text(plan, "action", action);
        if (r >= 0)
                r = read_array(m, "(stts)", read_step, steps);
        if (r >= 0)
                r = read_array(m, "(sssuss)", read_item, takes);
        if (r >= 0)
                r = read_totals(m, totals);
        return r < 0 ? r : read_notes(m, notes);
}

static struct json_object *member(struct json_object *o, const char *name) {
        struct json_object *found = NULL;

        (void) json_object_object_get_ex(o, name, &found);
        return found;
}

static void print_item(struct json_object *o) {
        const char *detail = json_text(o, "detail"), *unit = json_text(o, "unit"), *spared = json_text(o, "spared");
        bool process = streq(json_text(o, "kind"), "process");

        printf("              %s ", json_text(o, "kind"));
        print_clean(stdout, json_text(o, "name"));
        if (json_number(o, "pid") != UINT64_MAX)
                printf(process ? " (%llu)" : ", seen by process %llu", (unsigned long long) json_number(o, "pid"));
        if (*unit || *detail)
                printf(", ");
        print_clean(stdout, *unit ? unit : detail);
        if (*spared)
                printf(" -- spared: ");
        print_clean(stdout, spared);
        putchar('\n');
}

static void print_items(struct json_object *takes, const char *step) {
        size_t shown = 0, more = 0;

        for (size_t i = 0; i < json_object_array_length(takes); i++) {
                struct json_object *o = json_object_array_get_idx(takes, i);

                if (!streq(json_text(o, "step"), step))
                        continue;
                if (shown++ < SHOWN_MAX)
                        print_item(o);
                else
                        more++;
        }
        if (more > 0)
                printf("              and %zu more: see --json\n", more);
}

static void print_totals(struct json_object *plan) {
        size_t listed = json_object_array_length(member(plan, "takes"));

        json_object_object_foreach(member(plan, "totals"), kind, value) {
                uint64_t total = json_object_get_uint64(value), n = 0;

                for (size_t i = 0; i < listed; i++)
                        n += streq(json_text(json_object_array_get_idx(member(plan, "takes"), i), "kind"), kind);
                if (total > n)
                        printf("Of %llu of the kind %s, %llu are listed.\n", (unsigned long long) total, kind,
                               (unsigned long long) n);
        }
}

static void print_plan(struct json_object *plan) {
        struct json_object *steps = member(plan, "steps"), *notes = member(plan, "notes");

        printf("%s: %s. Nothing was done; this is what would be, in this order and at the latest by then:\n",
               json_text(plan, "volume"), json_text(plan, "action"));
        for (size_t i = 0; i < json_object_array_length(steps); i++) {
                struct json_object *o = json_object_array_get_idx(steps, i);
                uint64_t by = json_number(o, "by_usec");

                printf("%5llu.%llu s     %-8s ", (unsigned long long) (by / USEC_PER_SEC),
                       (unsigned long long) (by % USEC_PER_SEC / 100000), json_text(o, "step"));
                print_clean(stdout, json_text(o, "what"));
                putchar('\n');
                print_items(member(plan, "takes"), json_text(o, "step"));
        }
        print_totals(plan);
        for (size_t i = 0; i < json_object_array_length(notes); i++) {
                printf("note: ");
                print_clean(stdout, json_object_get_string(json_object_array_get_idx(notes, i)));
                putchar('\n');
        }
}

static int dry_run(const struct invocation *in) {
        _cleanup_(json_object_putp) struct json_object *plan = json_object_new_object();
        _cleanup_(call_release) struct call c = {};
        int code, r;

        code = call_begin(&c, BUS_MANAGER, "CutPlan");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, sd_bus_message_append(c.request, "s", in->args[0]));
        if (code != EXIT_CODE_DONE)
                return code;
        r = plan ? read_plan(c.reply, in->args[0], plan) : -ENOMEM;
        if (r < 0)
                return call_misunderstood(r);
        if (has_option(in, OPTION_JSON))
                return print_json(plan);
        print_plan(plan);
        return EXIT_CODE_DONE;
}

int verb_cut(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        char question[256];
        int code;

        code = check_name(in->args[0]);
        if (code == EXIT_CODE_DONE && has_option(in, OPTION_DRY_RUN))
                return dry_run(in);
        snprintf(question, sizeof(question), "%s is made unreadable at once and whoever uses it is killed.",
                 in->args[0]);
        if (code == EXIT_CODE_DONE)
                code = confirm(in, question);
        if (code == EXIT_CODE_DONE)
                code = call_begin(&c, BUS_MANAGER, "Cut");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, sd_bus_message_append(c.request, "sa{sv}", in->args[0], 0));
        return code == EXIT_CODE_DONE ? print_done(c.reply, has_option(in, OPTION_JSON)) : code;
}
