/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "print.h"
#include "trust-list.h"

/* cmkctl trust: the node's list of volumes that may be opened (Trust=listed). Format writes it, remove takes out. */

static int read_list(struct call *c, struct json_object *list) {
        struct trust_listed l;
        int r;

        while ((r = trust_list_next(c, &l)) > 0) {
                struct json_object *o = json_object_new_object();

                if (!o || json_object_object_add(o, "uuid", json_object_new_string(l.uuid)) < 0 ||
                    json_object_object_add(o, "name", json_object_new_string(l.name)) < 0 ||
                    json_object_object_add(o, "role", json_object_new_string(l.role)) < 0 ||
                    json_object_object_add(o, "key", json_object_new_string(l.keys)) < 0 ||
                    json_object_object_add(o, "generation", json_object_new_uint64(l.generation)) < 0 ||
                    json_object_object_add(o, "source", json_object_new_string(l.source)) < 0 ||
                    json_object_object_add(o, "serial", json_object_new_string(l.serial)) < 0 ||
                    json_object_array_add(list, o) < 0) {
                        json_object_put(o);
                        return -ENOMEM;
                }
        }
        return r;
}

int verb_trust_list(const struct invocation *in) {
        static const char *const header[] = { "NAME", "ROLE", "GENERATION", "SOURCE", "UUID", "KEY" };
        _cleanup_(call_release) struct call c = {};
        _cleanup_(json_object_putp) struct json_object *list = json_object_new_array();
        struct table t;
        int code, r;

        code = trust_list_begin(&c);
        if (code != EXIT_CODE_DONE)
                return code;
        r = list ? read_list(&c, list) : -ENOMEM;
        if (r < 0)
                return call_misunderstood(r);
        if (has_option(in, OPTION_JSON))
                return print_json(list);
        table_start(&t, header, ELEMENTSOF(header));
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct json_object *o = json_object_array_get_idx(list, i);

                table_add(&t, json_text(o, "name"));
                table_add(&t, json_text(o, "role"));
                table_addf(&t, "%llu", (unsigned long long) json_number(o, "generation"));
                table_add(&t, json_text(o, "source"));
                table_add(&t, json_text(o, "uuid"));
                table_add(&t, json_text(o, "key"));
        }
        return table_print(&t);
}

int verb_trust_remove(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        const char *what = in->args[0];
        char question[256];
        int code;

        if (!uuid_is_valid(what) && !volume_name_is_valid(what))
                return fail(EXIT_CODE_USAGE, "%s is neither a UUID nor a name of a volume", what);
        snprintf(question, sizeof(question), "%s is taken off the list and cannot be opened on this node any more.",
                 what);
        code = confirm(in, question);
        if (code == EXIT_CODE_DONE)
                code = call_begin(&c, BUS_MANAGER, "TrustRemove");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, sd_bus_message_append(c.request, "s", what));
        if (code != EXIT_CODE_DONE)
                return code;
        if (has_option(in, OPTION_JSON)) {
                _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();

                if (!o || json_object_object_add(o, "removed", json_object_new_string(what)) < 0)
                        return fail(EXIT_CODE_FAILED, "out of memory");
                return print_json(o);
        }
        printf("%s is off the list\n", what);
        return EXIT_CODE_DONE;
}
