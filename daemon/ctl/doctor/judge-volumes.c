/* SPDX-License-Identifier: Apache-2.0 */
#include "findings.h"

#include <strings.h>
#include <sys/stat.h>

#include "ctl/boot-chain.h"

#define TRUST_DIR "var/lib/cmkd/trust/"

/* ---- volumes ---- */

static void judge_key(const struct case_file *c, const struct trust_entry *v, struct findings *l) {
        const struct key_uri *key = &v->keys[0].key;
        char text[KEY_URI_MAX];
        const char *why = NULL;

        if (!c->config)
                return;
        key_uri_format(key, text, sizeof(text));
        if (!config_find_vault(c->config, key, &why))
                finding_add(l, FINDING_VAULT_NOT_ALLOWED, "the volume %s has the key %s, which the image's "
                            "configuration does not allow (%s)", v->name, text, strempty(why));
        else if (key_uri_is_pkcs11(key))
                finding_add(l, FINDING_LOGIN, "the volume %s has its key in a PKCS#11 token: neither modules nor tokens are in an "
                            "image", v->name);
}

static uint64_t left_of_old_key(const struct trust_entry *v) {
        return v->rekeying ? v->unencrypted : 0;
}

/* Another volume key is about to be there, or the old one is there yet: an image that knows of more opens it too. */
static bool knows_of_change(const struct trust_entry *image, const struct trust_entry *v) {
        return (!v->has_next || (image->has_next && memcmp(image->next_digest, v->next_digest, sizeof(v->next_digest)) == 0)) &&
               left_of_old_key(image) >= left_of_old_key(v);
}

static bool is_same(const struct trust_entry *image, const struct trust_entry *v) {
        return streq(v->name, image->name) && v->role == image->role && memcmp(v->digest, image->digest, sizeof(v->digest)) == 0 &&
               v->keys[0].generation == image->keys[0].generation && key_uri_same_key(&v->keys[0].key, &image->keys[0].key);
}

/* The node's entry and the image's: what is compared after the unlock must be the same. */
static void judge_listed(const struct case_file *c, const struct trust_entry *v, struct findings *l) {
        _cleanup_(freep) char *why = NULL;
        struct trust_entry other;
        const char *text;
        char path[128];

        snprintf(path, sizeof(path), TRUST_DIR "%s.conf", v->uuid);
        text = image_text(c->image, path);
        if (!text)
                finding_add(l, FINDING_VOLUME_UNKNOWN, "the image's list does not have the volume %s (%s)", v->name,
                            v->uuid);
        else if (trust_parse(v->uuid, text, strlen(text), &other, &why) < 0)
                finding_add(l, FINDING_VOLUME_OTHER, "the image's entry of the volume %s cannot be read: %s", v->name,
                            why ? why : "out of memory");
        else if (!is_same(&other, v) || !knows_of_change(&other, v))
                finding_add(l, FINDING_VOLUME_OTHER, "the image's entry of the volume %s is not the node's: made "
                            "before its key changed?", v->name);
}

static void judge_recovery(const struct os_volume *v, struct findings *l) {
        if (v->recovery_key == 0)
                finding_add(l, FINDING_NO_RECOVERY_KEY, "the volume %s (%s) has no recovery key", v->entry.name, v->device);
        else if (v->recovery_key < 0)
                finding_add(l, FINDING_RECOVERY_UNKNOWN, "the header of the volume %s was not read (%s)", v->entry.name,
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
        struct trust_entry v;

        if (strlen(file) != 36 + 5 || !streq(file + 36, ".conf") || !f->data)
                return false;
        memcpy(uuid, file, 36);
        if (trust_parse(uuid, f->data, f->size, &v, NULL) < 0 || v.role != ROLE_OS)
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

                judge_key(c, &v->entry, l);
                if (listed)
                        judge_listed(c, &v->entry, l);
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
