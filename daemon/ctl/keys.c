/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"
#include "softhsm.h"

#include "common/config.h"
#include "common/secret.h"

#include <unistd.h>

/* cmkctl keys create --local: a key for a machine without a vault. What is printed goes into cmkd.conf: nothing is put there. The
 * same is printed of a key that is there already: a second run into the same file does not empty it. */

#define NAME_DEFAULT "local"

static void print_lines(const char *name, const char *module, const char *key) {
        printf("[Vault local]\n"
               "Provider=pkcs11\nToken=%s\nObjects=%s\nModule=%s\nPinFile=%s\nModuleEnvironment=SOFTHSM2_CONF=%s\n"
               "# The key: %s\n", SOFTHSM_TOKEN, name, module, SOFTHSM_PIN, SOFTHSM_CONF, key);
}

int verb_keys_create(const struct invocation *in) {
        const char *name = in->n_args > 0 ? in->args[0] : NAME_DEFAULT, *module = "";
        struct key_uri u = { .host = SOFTHSM_TOKEN };
        char key[KEY_URI_MAX];
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        bool made = false;
        int code, r;

        if (!has_option(in, OPTION_LOCAL))
                return fail(EXIT_CODE_USAGE, "keys in vaults are made by their owners there; --local makes one in a token of this machine");
        if (!volume_name_is_valid(name))
                return fail(EXIT_CODE_USAGE, "%s is no name: 1 to 64 of A-Z a-z 0-9 _ . -", *name ? name : "an empty text");
        if (geteuid() != 0)
                return fail(EXIT_CODE_FAILED, "only root may make the local token");
        r = secret_process_init();
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "this process cannot be made undumpable: %s", strerror(-r));
        code = softhsm_create(name, &module, &made);
        if (code != EXIT_CODE_DONE)
                return code;
        snprintf(u.name, sizeof(u.name), "%s", name);
        key_uri_format(&u, key, sizeof(key));
        if (!made)
                fprintf(stderr, "There was a key %s already; nothing was changed\n", name);
        if (!has_option(in, OPTION_JSON)) {
                print_lines(name, module, key);
                return EXIT_CODE_DONE;
        }
        o = json_object_new_object();
        json_object_object_add(o, "changed", json_object_new_boolean(made));
        json_put_text(o, "key", key);
        json_put_text(o, "token", SOFTHSM_TOKEN);
        json_put_text(o, "module", module);
        json_put_text(o, "pin_file", SOFTHSM_PIN);
        json_put_text(o, "softhsm2_conf", SOFTHSM_CONF);
        return print_json(o);
}
