/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "names.h"
#include "print.h"
#include "volume.h"

/* cmkctl rotate: a key of a volume by another version of it. */

struct rotated {
        int changed;
        const char *key, *kept;
};

static int call_rotate(struct call *c, const struct invocation *in, const struct key_terms *t, struct rotated *ret) {
        int code, r;

        code = call_begin(c, BUS_MANAGER, "Rotate");
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_append(c->request, "ss", in->args[0], strempty(in->values[OPTION_KEY]));
        if (r >= 0)
                r = sd_bus_message_open_container(c->request, 'a', "{sv}");
        if (r >= 0 && has_option(in, OPTION_KEY_VERSION))
                r = sd_bus_message_append(c->request, "{sv}", "version", "s", in->values[OPTION_KEY_VERSION]);
        if (r >= 0)
                r = append_terms(c->request, t);
        if (r >= 0 && has_option(in, OPTION_FINISH))
                r = sd_bus_message_append(c->request, "{sv}", "finish", "b", 1);
        if (r >= 0)
                r = sd_bus_message_close_container(c->request);
        code = call_send(c, r);
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c->reply, "bss", &ret->changed, &ret->key, &ret->kept);
        return r < 0 ? call_misunderstood(r) : EXIT_CODE_DONE;
}

static int print_rotated(const struct invocation *in, const struct rotated *y) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;

        if (!has_option(in, OPTION_JSON)) {
                printf(y->changed ? "%s: its key is %s now\n" : "%s: its key is %s already; nothing was changed\n", in->args[0], y->key);
                if (*y->kept)
                        printf("%s: %s still opens it, for an initramfs that was built before: build it anew (update-initramfs -u), "
                               "then cmkctl rotate %s --finish\n", in->args[0], y->kept, in->args[0]);
                return EXIT_CODE_DONE;
        }
        o = json_object_new_object();
        if (!o || json_object_object_add(o, "volume", json_object_new_string(in->args[0])) < 0 ||
            json_object_object_add(o, "key", json_object_new_string(y->key)) < 0 ||
            json_object_object_add(o, "kept", *y->kept ? json_object_new_string(y->kept) : NULL) < 0 ||
            json_object_object_add(o, "changed", json_object_new_boolean(y->changed)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        return print_json(o);
}

int verb_rotate(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        struct key_terms terms = {};
        struct rotated y = {};
        char question[512];
        int code;

        code = check_what(in->args[0]);
        if (code == EXIT_CODE_DONE && in->n_keys > 1)
                return fail(EXIT_CODE_USAGE, "one key at a time");
        if (code == EXIT_CODE_DONE && has_option(in, OPTION_KEY))
                code = check_key(in->values[OPTION_KEY]);
        if (code == EXIT_CODE_DONE)
                code = read_terms(in, &terms);
        snprintf(question, sizeof(question), "An initramfs that was built before the key of %.300s was rotated does not open it any more.",
                 in->args[0]);
        if (code == EXIT_CODE_DONE && has_option(in, OPTION_FINISH))
                code = confirm(in, question);
        if (code == EXIT_CODE_DONE)
                code = header_backup_first(in);
        if (code == EXIT_CODE_DONE)
                code = call_rotate(&c, in, &terms, &y);
        return code == EXIT_CODE_DONE ? print_rotated(in, &y) : code;
}
