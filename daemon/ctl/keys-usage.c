/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "key-usage.h"
#include "print.h"
#include "volume.h"

#include "common/key-uri.h"

#include <time.h>

/* cmkctl keys usage: before the owner of a key disables a version of it, deletes it or lets it expire. */

static int read_rows(sd_bus_message *m, struct json_object *list) {
        const char *uuid, *name, *state, *key, *use, *newest, *digest;
        uint64_t generation, expires;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(sssssttss)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(sssssttss)", &uuid, &name, &state, &key, &use, &generation, &expires, &newest,
                                                  &digest)) > 0) {
                struct json_object *o = json_object_new_object();

                if (!o || json_object_array_add(list, o) < 0) {
                        json_object_put(o);
                        return -ENOMEM;
                }
                json_put_text(o, "volume", name);
                json_put_text(o, "uuid", uuid);
                json_put_text(o, "state", state);
                json_put_text(o, "use", use);
                json_put_text(o, "key", key);
                json_put_number(o, "generation", generation);
                json_put_number(o, "expires", expires);
                json_put_text(o, "newest", newest);
                json_put_text(o, "digest", digest);
        }
        return r;
}

int key_usage(const char *key, struct json_object **ret) {
        _cleanup_(json_object_putp) struct json_object *list = json_object_new_array();
        _cleanup_(call_release) struct call c = {};
        int code, r;

        code = call_begin(&c, BUS_MANAGER, "KeyUsage");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, sd_bus_message_append(c.request, "s", key));
        if (code != EXIT_CODE_DONE)
                return code;
        r = list ? read_rows(c.reply, list) : -ENOMEM;
        if (r < 0)
                return call_misunderstood(r);
        *ret = TAKE_PTR(list);
        return EXIT_CODE_DONE;
}

static void add_date(struct table *t, uint64_t seconds) {
        time_t when = (time_t) seconds;
        char text[32] = "";
        struct tm tm;

        if (seconds > 0 && gmtime_r(&when, &tm))
                strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%SZ", &tm);
        table_add(t, text);
}

static int print_table(struct json_object *list) {
        static const char *const header[] = { "VOLUME", "STATE", "USE", "GENERATION", "EXPIRES", "KEY" };
        struct table t;

        table_start(&t, header, ELEMENTSOF(header));
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct json_object *o = json_object_array_get_idx(list, i);

                table_add(&t, json_text(o, "volume"));
                table_add(&t, json_text(o, "state"));
                table_add(&t, json_text(o, "use"));
                table_addf(&t, "%llu", (unsigned long long) json_number(o, "generation"));
                add_date(&t, json_number(o, "expires"));
                table_add(&t, json_text(o, "key"));
        }
        return table_print(&t);
}

static size_t count(struct json_object *list, const char *use) {
        size_t n = 0;

        for (size_t i = 0; i < json_object_array_length(list); i++)
                n += streq(json_text(json_object_array_get_idx(list, i), "use"), use);
        return n;
}

/* The one thing that the owner wants to know. */
static void print_sum(struct json_object *list, const char *key) {
        size_t needed = count(list, "needed"), hidden = count(list, "not here");

        if (needed > 0)
                printf("%zu of this node's volumes need%s %s\n", needed, needed == 1 ? "s" : "", key);
        else
                printf("no volume that is here needs %s\n", key);
        if (hidden > 0)
                printf("%zu may need it: %s not here, so that nobody can say which version\n", hidden,
                       hidden == 1 ? "its disk is" : "their disks are");
}

int verb_keys_usage(const struct invocation *in) {
        _cleanup_(json_object_putp) struct json_object *list = NULL;
        const char *key = in->n_args > 0 ? in->args[0] : "";
        int code = EXIT_CODE_DONE;

        if (*key)
                code = check_key(key);
        if (code == EXIT_CODE_DONE)
                code = key_usage(key, &list);
        if (code != EXIT_CODE_DONE)
                return code;
        if (has_option(in, OPTION_JSON))
                return print_json(list);
        if (json_object_array_length(list) == 0 && !*key)
                puts("no volume of this node needs a key of a vault");
        code = json_object_array_length(list) > 0 ? print_table(list) : EXIT_CODE_DONE;
        if (code == EXIT_CODE_DONE && *key)
                print_sum(list, key);
        return code;
}
