/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "names.h"
#include "print.h"
#include "udev.h"
#include "volume.h"

#include "common/key-digest.h"
#include "common/key-uri.h"
#include "common/policy-values.h"

/* cmkctl format. */

#define REASON_MAX 256          /* it goes into one field of the trail */

int check_key(const char *key) {
        const char *why = NULL;
        struct key_uri u;

        if (strlen(key) >= KEY_URI_MAX)
                return fail(EXIT_CODE_USAGE, "the key's identifier is too long");
        return key_uri_parse(key, &u, &why) < 0 ? fail(EXIT_CODE_USAGE, "%s is no key: %s", key, why) : EXIT_CODE_DONE;
}

int find_key(const struct invocation *in, char *buf) {
        const char *key = in->values[OPTION_KEY], *host = in->values[OPTION_VAULT];
        const char *name = in->values[OPTION_KEY_NAME], *version = in->values[OPTION_KEY_VERSION];
        int n;

        if (!!key == (host || name || version))
                return fail(EXIT_CODE_USAGE, "say which key: --key URI, or --vault HOST and --key-name NAME");
        if (!key && (!host || !name))
                return fail(EXIT_CODE_USAGE, "--vault and --key-name belong together");
        if (!key && (strchr(host, '/') || strchr(name, '/')))
                return fail(EXIT_CODE_USAGE, "--vault takes a host, --key-name a name: no slashes");
        if (key)
                n = snprintf(buf, KEY_URI_MAX, "%s", key);
        else
                n = snprintf(buf, KEY_URI_MAX, "https://%s/keys/%s%s%s", host, name, version ? "/" : "",
                             strempty(version));
        if (n >= (int) KEY_URI_MAX)
                return fail(EXIT_CODE_USAGE, "the key's identifier is too long");
        return check_key(buf);
}

int read_terms(const struct invocation *in, struct key_terms *ret) {
        const char *reason = in->values[OPTION_ACCEPT_UNSAFE_VAULT], *store = in->values[OPTION_STORE];
        const char *expected = in->values[OPTION_EXPECT_PUBLIC_KEY];
        char digest[KEY_DIGEST_SIZE];

        if (strlen(strempty(reason)) > REASON_MAX)
                return fail(EXIT_CODE_USAGE, "the reason after --accept-unsafe-vault is longer than %d", REASON_MAX);
        if (store && !streq(store, "token") && !streq(store, "vault"))
                return fail(EXIT_CODE_USAGE, "--store is token or vault");
        if (expected && key_digest_parse(expected, digest) < 0)
                return fail(EXIT_CODE_USAGE, "--expect-public-key is sha256: and 64 hexadecimal digits");
        if (expected && in->n_keys > 1)
                return fail(EXIT_CODE_USAGE, "--expect-public-key is about one key: enroll the others by themselves");
        *ret = (struct key_terms) { .reason = reason, .expected = expected, .store = store };
        return EXIT_CODE_DONE;
}

int append_terms(sd_bus_message *m, const struct key_terms *t) {
        int r = t->store ? sd_bus_message_append(m, "{sv}", "store", "s", t->store) : 0;

        if (r >= 0 && t->expected)
                r = sd_bus_message_append(m, "{sv}", "expect-public-key", "s", t->expected);
        return r >= 0 && t->reason ? sd_bus_message_append(m, "{sv}", "accept-unsafe-vault", "s", t->reason) : r;
}

static int print_format(const char *volume, const char *uuid, bool changed) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();

        if (!o || json_object_object_add(o, "volume", json_object_new_string(volume)) < 0 ||
            json_object_object_add(o, "uuid", json_object_new_string(uuid)) < 0 ||
            json_object_object_add(o, "changed", json_object_new_boolean(changed)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        return print_json(o);
}

static int append_format(sd_bus_message *m, const struct invocation *in, const char *role, const char *key, const struct key_terms *t) {
        int r;

        r = sd_bus_message_append(m, "ssss", in->args[0], in->values[OPTION_NAME], role, key);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = has_option(in, OPTION_WIPE) ? sd_bus_message_append(m, "{sv}", "wipe", "b", 1) : 0;
        if (r >= 0)
                r = append_terms(m, t);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int check_format(const struct invocation *in, char *key, struct key_terms *t) {
        const char *role = in->values[OPTION_ROLE];
        int code;

        if (!has_option(in, OPTION_NAME))
                return fail(EXIT_CODE_USAGE, "say how the volume is called: --name NAME");
        code = read_terms(in, t);
        if (code == EXIT_CODE_DONE)
                code = check_name(in->values[OPTION_NAME]);
        if (code == EXIT_CODE_DONE && role && role_from_string(role) < 0)
                code = fail(EXIT_CODE_USAGE, "%s is no role; there are data, os and scratch", role);
        if (code == EXIT_CODE_DONE)
                code = find_key(in, key);
        for (size_t i = 1; code == EXIT_CODE_DONE && i < in->n_keys; i++)
                code = check_key(in->keys[i]);
        return code == EXIT_CODE_DONE ? check_device(in->args[0]) : code;
}

/* The keys after the first, one at a time. What is there already stays as it is: the same command once more goes on. */
static int add_keys(const struct invocation *in, const char *uuid, const struct key_terms *t, bool *changed) {
        int code = EXIT_CODE_DONE;

        for (size_t i = 1; code == EXIT_CODE_DONE && i < in->n_keys; i++)
                code = enroll_key(uuid, in->keys[i], t, changed);
        return code;
}

int verb_format(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        const char *reply_uuid, *role = in->values[OPTION_ROLE] ? in->values[OPTION_ROLE] : "data";
        _cleanup_(freep) char *uuid = NULL;
        char key[KEY_URI_MAX], question[512];
        struct key_terms terms;
        bool changed;
        int code, r, made;

        code = check_format(in, key, &terms);
        if (code != EXIT_CODE_DONE)
                return code;
        note_excess(in, key);
        snprintf(question, sizeof(question), "%s becomes the volume %s; what is on it now cannot be read afterwards.",
                 in->args[0], in->values[OPTION_NAME]);
        code = confirm(in, question);
        if (code == EXIT_CODE_DONE)
                code = call_begin(&c, BUS_MANAGER, "Format");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, append_format(c.request, in, role, key, &terms));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "sb", &reply_uuid, &made);
        if (r < 0)
                return call_misunderstood(r);
        uuid = strdup(reply_uuid);
        if (!uuid)
                return fail(EXIT_CODE_FAILED, "out of memory");
        changed = made;
        if (made)
                wait_for_volume(uuid);
        code = add_keys(in, uuid, &terms, &changed);
        if (code != EXIT_CODE_DONE)
                return fail((enum exit_code) code, "%s is the volume %s, but not all of its keys are enrolled: the same command "
                            "goes on from here", in->args[0], in->values[OPTION_NAME]);
        if (has_option(in, OPTION_JSON))
                return print_format(in->values[OPTION_NAME], uuid, changed);
        if (made || changed)
                printf("%s is the volume %s now, UUID %s\n", in->args[0], in->values[OPTION_NAME], uuid);
        else
                printf("%s is the volume %s already, UUID %s; nothing was changed\n",
                       in->args[0], in->values[OPTION_NAME], uuid);
        return EXIT_CODE_DONE;
}
