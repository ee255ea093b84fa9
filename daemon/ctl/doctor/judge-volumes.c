/* SPDX-License-Identifier: Apache-2.0 */
#include "findings.h"

#include <strings.h>
#include <sys/stat.h>

#include "ctl/boot-chain.h"

#define TRUST_DIR "var/lib/cmkd/trust/"

/* ---- volumes ---- */

static void judge_key(const struct case_file *c, const struct os_volume *v, struct findings *l) {
        const char *why = NULL;
        struct key_uri uri;

        if (!c->config)
                return;
        if (key_uri_parse(v->key, &uri, &why) < 0)
                finding_add(l, FINDING_VOLUME_OTHER, "the volume %s has the key %s: %s", v->name, v->key,
                            strempty(why));
        else if (!config_find_vault(c->config, &uri, &why))
                finding_add(l, FINDING_VAULT_NOT_ALLOWED, "the volume %s has the key %s, which the image's "
                            "configuration does not allow (%s)", v->name, v->key, strempty(why));
        else if (key_uri_is_pkcs11(&uri))
                finding_add(l, FINDING_LOGIN, "the volume %s has its key in a PKCS#11 token: neither modules nor tokens are in an "
                            "image", v->name);
}

static uint64_t number(const char *text) {
        uint64_t n;

        return parse_u64(text, INT64_MAX, &n) < 0 ? 0 : n;
}

/* Another volume key is about to be there, or the old one is there yet: an image that knows of more opens it too. */
static bool knows_of_change(const struct os_volume *image, const struct os_volume *v) {
        return (!*v->next_digest || streq(image->next_digest, v->next_digest)) && number(image->old_key) >= number(v->old_key);
}

/* The node's entry and the image's: what is compared after the unlock must be the same. */
static void judge_listed(const struct case_file *c, const struct os_volume *v, struct findings *l) {
        char path[128];
        struct os_volume other;
        const char *text;

        snprintf(path, sizeof(path), TRUST_DIR "%s.conf", v->uuid);
        text = image_text(c->image, path);
        if (!text)
                finding_add(l, FINDING_VOLUME_UNKNOWN, "the image's list does not have the volume %s (%s)", v->name,
                            v->uuid);
        else if (os_volume_parse(v->uuid, text, &other) < 0)
                finding_add(l, FINDING_VOLUME_OTHER, "the image's entry of the volume %s cannot be read", v->name);
        else if (!streq(v->name, other.name) || !streq(v->role, other.role) || !streq(v->digest, other.digest) ||
                 !streq(v->generation, other.generation) || !streq(v->key, other.key) || !knows_of_change(&other, v))
                finding_add(l, FINDING_VOLUME_OTHER, "the image's entry of the volume %s is not the node's: made "
                            "before its key changed?", v->name);
}

static void judge_recovery(const struct os_volume *v, struct findings *l) {
        if (v->recovery_key == 0)
                finding_add(l, FINDING_NO_RECOVERY_KEY, "the volume %s (%s) has no recovery key", v->name, v->device);
        else if (v->recovery_key < 0)
                finding_add(l, FINDING_RECOVERY_UNKNOWN, "the header of the volume %s was not read (%s)", v->name,
                            *v->device ? strerror(-v->recovery_key) : "no such disk here");
}

struct foreign {
        const struct case_file *c;
        struct findings *findings;
        bool any_os;
};

/* Entries of the image that the node does not have (an image built elsewhere): their keys too must be allowed. */
static bool judge_entry(const struct image_file *f, void *user) {
        struct foreign *k = user;
        const char *file = f->path + strlen(TRUST_DIR);
        char uuid[37] = "";
        struct os_volume v;

        if (strlen(file) != 36 + 5 || !streq(file + 36, ".conf") || !f->data)
                return false;
        memcpy(uuid, file, 36);
        if (os_volume_parse(uuid, f->data, &v) < 0 || !streq(v.role, "os"))
                return false;
        k->any_os = true;
        judge_key(k->c, &v, k->findings);
        return false;
}

static void judge_list(const struct case_file *c, struct findings *l) {
        struct foreign k = { .c = c, .findings = l };
        bool listed = !c->config || c->config->trust == TRUST_LISTED;

        for (size_t i = 0; i < c->machine->n_volumes; i++) {
                const struct os_volume *v = c->machine->volumes + i;

                judge_key(c, v, l);
                if (listed)
                        judge_listed(c, v, l);
                judge_recovery(v, l);
        }
        image_any(c->image, TRUST_DIR, judge_entry, &k);
        if (c->machine->n_volumes == 0 && !k.any_os)
                finding_add(l, FINDING_NO_OS_VOLUME, "neither this node nor the image lists a volume of role os");
}

/* ---- secrets ---- */

/* Key=value lines of our own configuration whose key speaks of a secret. The value is not shown. */
static void judge_config_text(const struct image_file *f, struct findings *l) {
        static const char *const words[] = { "secret", "password", "passphrase", "token", "sas" };
        _cleanup_(freep) char *copy = strdup(strempty(f->data));
        char *rest = copy, *line;

        while (copy && (line = strsep(&rest, "\n"))) {
                char *equals = strchr(line, '=');

                line += strspn(line, " \t");
                if (*line == '#' || *line == ';' || !equals)
                        continue;
                *equals = 0;
                for (size_t i = 0; i < ELEMENTSOF(words); i++)
                        if (strcasestr(line, words[i]))
                                finding_add(l, FINDING_SECRET, "/%s in the image has a value for %s=", f->path, line);
        }
}

static void judge_secrets(const struct case_file *c, struct findings *l) {
        static const char *const key_files[] = {
                "cryptroot/keyfiles/", "etc/cryptsetup-keys.d/", "run/cryptsetup-keys.d/", "etc/keys/",
                "etc/credstore/", "run/credstore/",
        };

        for (size_t i = 0; i < c->image->n_files; i++) {
                const struct image_file *f = c->image->files + i;

                if (!S_ISREG(f->mode))
                        continue;
                if (f->is_private_key)
                        finding_add(l, FINDING_SECRET, "/%s in the image is a private key", f->path);
                for (size_t k = 0; k < ELEMENTSOF(key_files); k++)
                        if (startswith(f->path, key_files[k]) && f->size > 0)
                                finding_add(l, FINDING_SECRET, "/%s in the image is a key or a credential, unsealed",
                                            f->path);
                if (startswith(f->path, "etc/cmkd/") || startswith(f->path, "usr/lib/cmkd/cmkd.conf"))
                        judge_config_text(f, l);
        }
        if (c->image->n_odd_paths > 0)
                finding_add(l, FINDING_ODD_PATH, "%zu paths in the image have .. in them", c->image->n_odd_paths);
}

/* ---- the boot chain ---- */

static void judge_chain(const struct case_file *c, struct findings *l) {
        const struct machine *m = c->machine;

        finding_add(l, m->secure_boot > 0 ? FINDING_SECURE_BOOT_ON : FINDING_SECURE_BOOT_OFF, "%s",
                    boot_chain_text(m->secure_boot, m->unified_image));
}

void judge_volumes(const struct case_file *c, struct findings *l) {
        judge_list(c, l);
        judge_secrets(c, l);
        judge_chain(c, l);
}
