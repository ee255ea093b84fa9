/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "print.h"
#include "volume.h"

#include <time.h>

/* cmkctl keys pinned: what an owner holds against the vault, since which public key was pinned the worker said. */

static int read_rows(sd_bus_message *m, struct json_object *list) {
        const char *uuid, *name, *key, *use, *digest;
        uint64_t time;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(ssssst)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(ssssst)", &uuid, &name, &key, &use, &digest, &time)) > 0) {
                struct json_object *o = json_object_new_object();

                if (!o || json_object_array_add(list, o) < 0) {
                        json_object_put(o);
                        return -ENOMEM;
                }
                json_put_text(o, "volume", name);
                json_put_text(o, "uuid", uuid);
                json_put_text(o, "key", key);
                json_put_text(o, "use", use);
                json_put_text(o, "spki_sha256", digest);
                json_put_number(o, "pinned", time);
        }
        return r;
}

static int print_table(struct json_object *list) {
        static const char *const header[] = { "VOLUME", "PINNED", "PUBLIC KEY", "KEY" };
        struct table t;

        table_start(&t, header, ELEMENTSOF(header));
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct json_object *o = json_object_array_get_idx(list, i);
                time_t when = (time_t) json_number(o, "pinned");
                const char *digest = json_text(o, "spki_sha256");
                char text[32] = "";
                struct tm tm;

                if (gmtime_r(&when, &tm))
                        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%SZ", &tm);
                table_add(&t, json_text(o, "volume"));
                table_add(&t, text);
                table_addf(&t, "%s%s", *digest ? "sha256:" : "none: symmetric", digest);
                table_add(&t, json_text(o, "key"));
        }
        return table_print(&t);
}

int verb_keys_pinned(const struct invocation *in) {
        _cleanup_(json_object_putp) struct json_object *list = json_object_new_array();
        const char *key = in->n_args > 0 ? in->args[0] : "";
        _cleanup_(call_release) struct call c = {};
        int code = *key ? check_key(key) : EXIT_CODE_DONE, r;

        if (code == EXIT_CODE_DONE)
                code = call_begin(&c, BUS_MANAGER, "PinnedKeys");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, sd_bus_message_append(c.request, "s", key));
        if (code != EXIT_CODE_DONE)
                return code;
        r = list ? read_rows(c.reply, list) : -ENOMEM;
        if (r < 0)
                return call_misunderstood(r);
        if (has_option(in, OPTION_JSON))
                return print_json(list);
        if (json_object_array_length(list) > 0)
                return print_table(list);
        puts(*key ? "no volume of this node has that key pinned" : "no key is pinned on this node");
        return EXIT_CODE_DONE;
}
