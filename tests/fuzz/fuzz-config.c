/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/policy.c daemon/manager/trust.c daemon/manager/trust-find.c

/* One text as cmkd.conf (through a file, as it is read) and as an entry of the trust list. What is taken keeps the
 * promises of the headers; what is refused is refused with a reason. */
#include <sys/stat.h>
#include <unistd.h>

#include "common/config.h"
#include "manager/policy.h"
#include "manager/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok) {
        if (!ok)
                abort();
}

/* A directory of this process alone, made once and removed at the end. */
static char root[64], file[128];

static void clean_up(void) {
        unlink(file);
        *strrchr(file, '/') = 0;
        rmdir(file);
        *strrchr(file, '/') = 0;
        rmdir(file);
        rmdir(root);
}

static void prepare(void) {
        if (*root)
                return;
        strcpy(root, "/tmp/fuzz-config.XXXXXX");
        check(mkdtemp(root) != NULL);
        snprintf(file, sizeof(file), "%s/etc/cmkd", root);
        check(mkdir_parents(file, 0700) == 0);
        strcat(file, "/cmkd.conf");
        atexit(clean_up);
}

static void check_config(const struct config *c) {
        for (const struct vault_config *v = c->vaults; v; v = v->next) {
                check(volume_name_is_valid(v->name) && v->host && *v->host && v->keys && v->keys[0]);
                check(streq(v->provider, "pkcs11") == (v->port == 0) && (v->port == 0) == (v->module && *v->module == '/'));
                check(v->port == 0 || !strpbrk(v->host, "/*@ \t"));
                for (char **k = v->keys; *k; k++)
                        check(**k && (v->port == 0 || strlen(*k) == strspn(*k, "abcdefghijklmnopqrstuvwxyz0123456789-")));
        }
        for (const struct volume_config *v = c->volumes; v; v = v->next)
                for (enum role role = 0; role < _ROLE_MAX; role++) {
                        char *why = NULL;
                        struct policy p;

                        check(volume_name_is_valid(v->name));
                        if (policy_make(c, role, v->name, NULL, &p, &why) < 0)
                                check(why && *why);
                        else
                                check(p.poll_usec < p.lease_usec && p.confirm_usec <= p.poll_usec &&
                                        p.confirm_usec > 0);
                        free(why);
                }
}

static void try_config(const uint8_t *data, size_t size) {
        struct config *c = NULL;
        char *why = NULL;
        FILE *f;

        f = fopen(file, "w");
        check(f && fwrite(data, 1, size, f) == size);
        fclose(f);
        if (config_load(root, &c, &why) < 0)
                check(!c && why && *why);
        else
                check_config(c);
        config_free(c);
        free(why);
}

static void try_trust(const uint8_t *data, size_t size) {
        static const char uuid[] = "0f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69";
        struct trust_entry e, again;
        char *text = NULL, *why = NULL;

        if (trust_parse(uuid, (const char *) data, size, &e, &why) < 0) {
                check(why && *why);
                free(why);
                return;
        }
        check(trust_print(&e, &text) == 0);
        check(strlen(text) < TRUST_FILE_MAX);
        check(trust_parse(uuid, text, strlen(text), &again, NULL) == 0);
        check(memcmp(&e, &again, sizeof(e)) == 0);
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        prepare();
        if (size > 65536)
                return 0;
        try_config(data, size);
        try_trust(data, size);
        return 0;
}
