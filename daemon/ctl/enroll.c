/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "names.h"
#include "print.h"
#include "volume.h"

#include "common/key-uri.h"

/* cmkctl enroll: one more key for a volume, or one less. */

/* t: NULL: it is to go. */
static int call_enroll(const char *what, const char *key, const struct key_terms *t, bool *changed) {
        _cleanup_(call_release) struct call c = {};
        int code, r, yes;

        code = call_begin(&c, BUS_MANAGER, "Enroll");
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_append(c.request, "ss", what, key);
        if (r >= 0)
                r = sd_bus_message_open_container(c.request, 'a', "{sv}");
        if (r >= 0)
                r = t ? append_terms(c.request, t) : sd_bus_message_append(c.request, "{sv}", "remove", "b", 1);
        if (r >= 0)
                r = sd_bus_message_close_container(c.request);
        code = call_send(&c, r);
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "b", &yes);
        if (r < 0)
                return call_misunderstood(r);
        *changed |= yes;
        return EXIT_CODE_DONE;
}

int enroll_key(const char *what, const char *key, const struct key_terms *t, bool *changed) {
        return call_enroll(what, key, t, changed);
}

int remove_key(const char *what, const char *key, bool *changed) {
        return call_enroll(what, key, NULL, changed);
}

static int print_enrolled(const char *volume, const char *member, const char *key, bool changed) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();

        if (!o || json_object_object_add(o, "volume", json_object_new_string(volume)) < 0 ||
            json_object_object_add(o, member, json_object_new_string(key)) < 0 ||
            json_object_object_add(o, "changed", json_object_new_boolean(changed)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        return print_json(o);
}

static int take_out(const struct invocation *in) {
        const char *what = in->args[0], *key = in->values[OPTION_REMOVE];
        bool changed = false;
        char question[1024];
        int code;

        if (in->given & (OPTION_BIT(OPTION_KEY)|OPTION_BIT(OPTION_VAULT)|OPTION_BIT(OPTION_KEY_NAME)|
                         OPTION_BIT(OPTION_KEY_VERSION)|OPTION_BIT(OPTION_STORE)|OPTION_BIT(OPTION_ACCEPT_UNSAFE_VAULT)|
                         OPTION_BIT(OPTION_EXPECT_PUBLIC_KEY)))
                return fail(EXIT_CODE_USAGE, "--remove names the key by itself, and adds none");
        code = check_key(key);
        if (code != EXIT_CODE_DONE)
                return code;
        snprintf(question, sizeof(question), "%s does not open %s any more, and its owner cannot revoke it.", key, what);
        code = confirm(in, question);
        if (code == EXIT_CODE_DONE)
                code = header_backup_first(in);
        if (code == EXIT_CODE_DONE)
                code = remove_key(what, key, &changed);
        if (code != EXIT_CODE_DONE)
                return code;
        if (has_option(in, OPTION_JSON))
                return print_enrolled(what, "removed", key, changed);
        printf(changed ? "%s: key %s is taken out\n" : "%s does not have key %s; nothing was changed\n", what, key);
        return EXIT_CODE_DONE;
}

static int enroll_one(const struct invocation *in, const char *key, const struct key_terms *t, bool *any) {
        bool changed = false;
        int code;

        code = enroll_key(in->args[0], key, t, &changed);
        if (code != EXIT_CODE_DONE)
                return code;
        *any |= changed;
        if (!has_option(in, OPTION_JSON))
                printf(changed ? "%s: key %s opens it too now\n" : "%s has key %s already; nothing was changed\n", in->args[0], key);
        return EXIT_CODE_DONE;
}

int verb_enroll(const struct invocation *in) {
        char key[KEY_URI_MAX];
        struct key_terms terms;
        bool changed = false;
        int code;

        code = check_what(in->args[0]);
        if (code != EXIT_CODE_DONE)
                return code;
        if (has_option(in, OPTION_PASSPHRASE_FILE) || has_option(in, OPTION_FROM_ADE))
                return take_over(in);
        if (has_option(in, OPTION_NAME) || has_option(in, OPTION_ROLE))
                return fail(EXIT_CODE_USAGE, "--name and --role are for a volume that is taken over, with --passphrase-file");
        if (has_option(in, OPTION_REMOVE_OLD_KEYSLOTS))
                return remove_old_keyslots(in);
        if (has_option(in, OPTION_REMOVE))
                return take_out(in);
        code = read_terms(in, &terms);
        if (code == EXIT_CODE_DONE)
                code = find_key(in, key);
        for (size_t i = 1; code == EXIT_CODE_DONE && i < in->n_keys; i++)
                code = check_key(in->keys[i]);
        if (code == EXIT_CODE_DONE)
                note_excess(in, key);
        if (code == EXIT_CODE_DONE)
                code = header_backup_first(in);
        if (code == EXIT_CODE_DONE)
                code = enroll_one(in, key, &terms, &changed);
        for (size_t i = 1; code == EXIT_CODE_DONE && i < in->n_keys; i++)
                code = enroll_one(in, in->keys[i], &terms, &changed);
        if (code == EXIT_CODE_DONE && has_option(in, OPTION_JSON))
                return print_enrolled(in->args[0], "key", key, changed);
        return code;
}
