/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "key-usage.h"
#include "names.h"
#include "print.h"
#include "trust-list.h"
#include "volume.h"

#include "common/key-uri.h"

/* cmkctl rekey: another key in the place of one that a volume has, in whatever vault. Enrolled, proven and on the node's
 * list before the old one goes, which is by the new one; interrupted anywhere, the same command goes on. */

struct has {
        bool is_os;
        unsigned n_others;
        char other[KEY_URI_MAX];       /* the last of them */
};

static void look_at_keys(const char *keys, const struct key_uri *new, struct has *ret) {
        char copy[VOLUME_KEYS_MAX * (KEY_URI_MAX + 1)], *rest = copy, *word;

        snprintf(copy, sizeof(copy), "%s", keys);
        while ((word = strsep(&rest, " "))) {
                struct key_uri u;

                if (key_uri_parse(word, &u, NULL) < 0)
                        continue;
                if (key_uri_same_key(&u, new))
                        continue;
                ret->n_others++;
                snprintf(ret->other, sizeof(ret->other), "%s", word);
        }
}

/* What the node's list says of it. */
static int look(const char *what, const struct key_uri *new, struct has *ret) {
        _cleanup_(call_release) struct call c = {};
        struct trust_listed l;
        int code;

        code = trust_list_begin(&c);
        if (code == EXIT_CODE_DONE)
                code = trust_list_find(&c, what, &l);
        if (code != EXIT_CODE_DONE)
                return code;
        *ret = (struct has) { .is_os = streq(l.role, "os") };
        look_at_keys(l.keys, new, ret);
        return EXIT_CODE_DONE;
}

/* The key that goes; empty: none. */
static int choose_old(const struct invocation *in, const struct key_uri *new, const struct has *l,
                      char old[static KEY_URI_MAX]) {
        const char *from = in->values[OPTION_FROM];
        struct key_uri u;

        *old = 0;
        if (from) {
                if (key_uri_parse(from, &u, NULL) >= 0 && key_uri_same_key(&u, new))
                        return fail(EXIT_CODE_USAGE, "--from is the key that is to be the new one; cmkctl rotate goes over to a new version");
                snprintf(old, KEY_URI_MAX, "%s", from);
                return EXIT_CODE_DONE;
        }
        if (l->n_others > 1)
                return fail(EXIT_CODE_USAGE, "%s has several keys: say with --from which one goes", in->args[0]);
        if (l->n_others == 1)
                snprintf(old, KEY_URI_MAX, "%s", l->other);
        return EXIT_CODE_DONE;
}

static int print_rekeyed(const struct invocation *in, const char *key, const char *old, const char *kept, bool changed) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;

        if (!has_option(in, OPTION_JSON)) {
                printf(changed ? "%s: its key is %s now\n" : "%s: its key is %s already; nothing was changed\n", in->args[0], key);
                if (*kept)
                        printf("%s: %s still opens it, for an initramfs that was built before: build it anew (update-initramfs -u), "
                               "then cmkctl rekey %s --key %s --finish\n", in->args[0], kept, in->args[0], key);
                return EXIT_CODE_DONE;
        }
        o = json_object_new_object();
        if (!o || json_object_object_add(o, "volume", json_object_new_string(in->args[0])) < 0 ||
            json_object_object_add(o, "key", json_object_new_string(key)) < 0 ||
            json_object_object_add(o, "removed", *old && !*kept ? json_object_new_string(old) : NULL) < 0 ||
            json_object_object_add(o, "kept", *kept ? json_object_new_string(kept) : NULL) < 0 ||
            json_object_object_add(o, "changed", json_object_new_boolean(changed)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        return print_json(o);
}

/* What an earlier run took off the list, and was interrupted before it went from the header. */
static int remove_left_over(const char *what, const struct key_uri *new, bool *changed) {
        _cleanup_(json_object_putp) struct json_object *list = NULL;
        int code = key_usage("", &list);

        for (size_t i = 0; code == EXIT_CODE_DONE && i < json_object_array_length(list); i++) {
                struct json_object *o = json_object_array_get_idx(list, i);
                const char *key = json_text(o, "key");
                struct key_uri u;

                if ((streq(what, json_text(o, "uuid")) || streq(what, json_text(o, "volume"))) && streq(json_text(o, "use"), "left over") &&
                    key_uri_parse(key, &u, NULL) >= 0 && !key_uri_same_key(&u, new))
                        code = remove_key(what, key, changed);
        }
        return code;
}

static int rekey(const struct invocation *in, const char *key, const struct key_uri *new, const char *old, const struct key_terms *t,
                 bool keep) {
        char question[1200];
        bool changed = false;
        int code = EXIT_CODE_DONE;

        snprintf(question, sizeof(question), "%s does not open %s any more, and its owner cannot revoke it.", old, in->args[0]);
        note_excess(in, key);
        if (*old && !keep)
                code = confirm(in, question);
        if (code == EXIT_CODE_DONE)
                code = header_backup_first(in);
        if (code == EXIT_CODE_DONE)
                code = enroll_key(in->args[0], key, t, &changed);
        if (code == EXIT_CODE_DONE && *old && !keep)
                code = remove_key(in->args[0], old, &changed);
        if (code == EXIT_CODE_DONE && !keep)
                code = remove_left_over(in->args[0], new, &changed);
        return code == EXIT_CODE_DONE ? print_rekeyed(in, key, old, keep ? old : "", changed) : code;
}

int verb_rekey(const struct invocation *in) {
        char key[KEY_URI_MAX], old[KEY_URI_MAX];
        struct key_uri new;
        struct key_terms terms;
        struct has l;
        int code;

        if (!uuid_is_valid(in->args[0]) && !volume_name_is_valid(in->args[0]))
                return fail(EXIT_CODE_USAGE, "%s is neither a UUID nor a name of a volume", in->args[0]);
        if (in->n_keys > 1)
                return fail(EXIT_CODE_USAGE, "one key takes the place of one");
        code = read_terms(in, &terms);
        if (code == EXIT_CODE_DONE)
                code = find_key(in, key);
        if (code == EXIT_CODE_DONE && has_option(in, OPTION_FROM))
                code = check_key(in->values[OPTION_FROM]);
        if (code != EXIT_CODE_DONE)
                return code;
        if (key_uri_parse(key, &new, NULL) < 0)
                return fail(EXIT_CODE_USAGE, "%s is no key", key);
        code = look(in->args[0], &new, &l);
        if (code == EXIT_CODE_DONE)
                code = choose_old(in, &new, &l, old);
        return code == EXIT_CODE_DONE ? rekey(in, key, &new, old, &terms, l.is_os && !has_option(in, OPTION_FINISH)) : code;
}
