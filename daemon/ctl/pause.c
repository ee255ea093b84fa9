/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "print.h"
#include "when.h"

/* cmkctl pause: for a time nothing is done for what the vault says. One volume, or all that are open. */

static int check_arguments(const struct invocation *in, uint64_t now_usec, uint64_t *ret_until) {
        const char *until = in->values[OPTION_UNTIL];
        int r;

        if (in->n_args > 0 && !volume_name_is_valid(in->args[0]))
                return fail(EXIT_CODE_USAGE, "%s is no name of a volume", *in->args[0] ? in->args[0] : "an empty text");
        if (until && has_option(in, OPTION_END))
                return fail(EXIT_CODE_USAGE, "--until and --end exclude each other");
        if (!until && !has_option(in, OPTION_END))
                return fail(EXIT_CODE_USAGE, "say until when: --until TIME, or --end to end a pause now");
        if (!until)
                return EXIT_CODE_DONE;
        r = parse_until(until, now_usec, ret_until);
        if (r == -ETIME)
                return fail(EXIT_CODE_USAGE, "%s is in the past; for a time of tomorrow give the date too", until);
        if (r < 0)
                return fail(EXIT_CODE_USAGE, "%s is no time: give HH:MM, YYYY-MM-DD HH:MM, or a span with its unit (30min, 2h)",
                            until);
        return EXIT_CODE_DONE;
}

static int ask(const struct invocation *in, uint64_t now_usec, uint64_t until_usec) {
        char question[384], when[32], span[32];

        format_local_time(until_usec, when, sizeof(when));
        format_span((until_usec - now_usec + USEC_PER_SEC / 2) / USEC_PER_SEC, span, sizeof(span));
        snprintf(question, sizeof(question), "Until %s (%s) %s stay%s open to whoever uses %s, also if the key's owner revokes "
                 "the key; it is recorded and alarmed.", when, span, in->n_args > 0 ? in->args[0] : "all volumes",
                 in->n_args > 0 ? "s" : "", in->n_args > 0 ? "it" : "them");
        return confirm(in, question);
}

/* until_usec: USEC_INFINITY: it is not paused any more. */
static int add_result(struct json_object *list, const char *volume, uint64_t until_usec) {
        struct json_object *o = json_object_new_object();
        struct json_object *until = until_usec == USEC_INFINITY ? NULL : json_object_new_uint64(until_usec);

        if (!o || json_object_object_add(o, "volume", json_object_new_string(volume)) < 0 ||
            json_object_object_add(o, "paused_until_usec", until) < 0 || json_object_array_add(list, o) < 0)
                return -ENOMEM;
        return 0;
}

static int read_paused(sd_bus_message *m, struct json_object *list) {
        const char *volume;
        uint64_t until;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(st)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(st)", &volume, &until)) > 0)
                r = add_result(list, volume, until);
        return r;
}

static int read_ended(sd_bus_message *m, struct json_object *list) {
        const char *volume;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(m, "s", &volume)) > 0)
                r = add_result(list, volume, USEC_INFINITY);
        return r;
}

static void print_lines(struct json_object *list) {
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct json_object *o = json_object_array_get_idx(list, i);
                uint64_t until = json_number(o, "paused_until_usec");
                char text[32];

                print_clean(stdout, json_text(o, "volume"));
                if (until == UINT64_MAX) {
                        puts(" is not paused any more");
                        continue;
                }
                format_local_time(until, text, sizeof(text));
                printf(" is paused until %s\n", text);
        }
}

int verb_pause(const struct invocation *in) {
        _cleanup_(json_object_putp) struct json_object *list = json_object_new_array();
        uint64_t now = instant_now().realtime_usec, until = 0;
        const char *name = in->n_args > 0 ? in->args[0] : "";
        _cleanup_(call_release) struct call c = {};
        bool end = has_option(in, OPTION_END);
        int code, r;

        code = check_arguments(in, now, &until);
        if (code == EXIT_CODE_DONE && !end)
                code = ask(in, now, until);
        if (code == EXIT_CODE_DONE)
                code = end ? call_begin(&c, BUS_MANAGER, "PauseEnd") : call_begin(&c, BUS_MANAGER, "Pause");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, end ? sd_bus_message_append(c.request, "s", name)
                                         : sd_bus_message_append(c.request, "st", name, until));
        if (code != EXIT_CODE_DONE)
                return code;
        r = !list ? -ENOMEM : end ? read_ended(c.reply, list) : read_paused(c.reply, list);
        if (r < 0)
                return call_misunderstood(r);
        if (has_option(in, OPTION_JSON))
                return print_json(list);
        print_lines(list);
        if (json_object_array_length(list) == 0)
                printf(*name ? "%s is not paused\n" : "no volume is paused\n", name);
        return EXIT_CODE_DONE;
}
