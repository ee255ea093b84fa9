/* SPDX-License-Identifier: Apache-2.0 */
#include "findings.h"

#include <strings.h>
#include <sys/stat.h>

#include "ctl/boot-chain.h"

#define TRUST_DIR "var/lib/cmkd/trust/"
#define TRUST_FILE "/" TRUST_DIR "%s.conf"

/* ---- volumes ---- */

/* Why the image's cmkd does not ask for that key. Returns the kind, or _FINDING_MAX: it does. */
static enum finding_kind find_obstacle(const struct case_file *c, const struct key_uri *key, char *text, size_t size) {
        char uri[KEY_URI_MAX];
        const char *why = NULL;

        key_uri_format(key, uri, sizeof(uri));
        if (!config_find_vault(c->config, key, &why)) {
                snprintf(text, size, "has the key %s, which the image's configuration does not allow (%s)", uri, strempty(why));
                return FINDING_VAULT_NOT_ALLOWED;
        }
        if (key_uri_is_pkcs11(key)) {
                snprintf(text, size, "has its key %s in a PKCS#11 token: neither modules nor tokens are in an image", uri);
                return FINDING_LOGIN;
        }
        return _FINDING_MAX;
}

/* One key of those that it has is enough to boot with; each of the others is one way in less. */
static void judge_keys(const struct case_file *c, const struct trust_entry *v, struct findings *l) {
        char text[VOLUME_KEYS_MAX][KEY_URI_MAX + 256];
        enum finding_kind kinds[VOLUME_KEYS_MAX];
        bool any = false;

        if (!c->config)
                return;
        for (unsigned i = 0; i < v->n_keys; i++) {
                kinds[i] = find_obstacle(c, &v->keys[i].key, text[i], sizeof(text[i]));
                any |= kinds[i] == _FINDING_MAX;
        }
        for (unsigned i = 0; i < v->n_keys; i++)
                if (kinds[i] != _FINDING_MAX)
                        finding_add(l, any ? FINDING_VOLUME_KEY : kinds[i], "the volume %s %s", v->name, text[i]);
}

static uint64_t left_of_old_key(const struct trust_entry *v) {
        return v->rekeying ? v->unencrypted : 0;
}

/* Another volume key is about to be there, or the old one is there yet: an image that knows of more opens it too. */
static bool knows_of_change(const struct trust_entry *image, const struct trust_entry *v) {
        return (!v->has_next || (image->has_next && memcmp(image->next_digest, v->next_digest, sizeof(v->next_digest)) == 0)) &&
               left_of_old_key(image) >= left_of_old_key(v);
}

static bool has_key(const struct trust_entry *image, const struct trust_key *key) {
        const struct trust_key *other = trust_find_key(image, &key->key);

        return other && other->generation == key->generation;
}

static bool is_same(const struct trust_entry *image, const struct trust_entry *v) {
        bool any = false;

        for (unsigned i = 0; i < v->n_keys; i++)
                any |= has_key(image, v->keys + i);
        return any && streq(v->name, image->name) && v->role == image->role && memcmp(v->digest, image->digest, sizeof(v->digest)) == 0;
}

static void compare_keys(const struct trust_entry *image, const struct trust_entry *v, struct findings *l) {
        char uri[KEY_URI_MAX];

        for (unsigned i = 0; i < v->n_keys; i++) {
                if (has_key(image, v->keys + i))
                        continue;
                key_uri_format(&v->keys[i].key, uri, sizeof(uri));
                finding_add(l, FINDING_VOLUME_KEY, "the image's entry of the volume %s does not have the key %s as the node's has it",
                            v->name, uri);
        }
}

/* The node's entry and the image's: what is compared after the unlock must be the same. */
static void judge_listed(const struct case_file *c, const struct trust_entry *v, struct findings *l) {
        _cleanup_(freep) char *why = NULL;
        struct trust_entry other;
        const char *text;
        char path[128];

        snprintf(path, sizeof(path), TRUST_FILE, v->uuid);
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
        else
                compare_keys(&other, v, l);
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

static bool is_of_node(const struct machine *m, const char *uuid) {
        for (size_t i = 0; i < m->n_volumes; i++)
                if (streq(m->volumes[i].entry.uuid, uuid))
                        return true;
        return false;
}

/* Entries of the image that the node does not have (an image built elsewhere): their keys too must be allowed. */
static bool judge_entry(const struct image_file *f, void *user) {
        struct foreign *k = user;
        const char *file = f->path + strlen(TRUST_DIR);
        _cleanup_(freep) char *why = NULL;
        char uuid[37] = "";
        struct trust_entry v;

        if (strlen(file) != 36 + 5 || !streq(file + 36, ".conf") || !f->data)
                return false;
        memcpy(uuid, file, 36);
        if (is_of_node(k->c->machine, uuid))        /* judge_listed() has it */
                return false;
        if (trust_parse(uuid, f->data, f->size, &v, &why) < 0) {
                finding_add(k->findings, FINDING_VOLUME_UNREADABLE, "the image's /%s cannot be read: %s", f->path,
                            why ? why : "out of memory");
        } else if (v.role == ROLE_OS) {
                k->any_os = true;
                judge_keys(k->c, &v, k->findings);
        }
        return false;
}

static void judge_list(const struct case_file *c, struct findings *l) {
        struct foreign k = { .c = c, .findings = l };
        bool listed = !c->config || c->config->trust == TRUST_LISTED;

        for (size_t i = 0; i < c->machine->n_unreadable; i++)
                finding_add(l, FINDING_VOLUME_UNREADABLE, "the node's " TRUST_FILE " cannot be read: %s", c->machine->unreadable[i].uuid,
                            c->machine->unreadable[i].why);
        for (size_t i = 0; i < c->machine->n_volumes; i++) {
                const struct os_volume *v = c->machine->volumes + i;

                judge_keys(c, &v->entry, l);
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
