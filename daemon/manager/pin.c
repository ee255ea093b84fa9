/* SPDX-License-Identifier: Apache-2.0 */
#include "pin.h"

#include <openssl/sha.h>

#include "common/algorithm.h"
#include "common/base64.h"

void pin_digest(const uint8_t *pin, size_t size, char ret[static KEY_DIGEST_SIZE]) {
        uint8_t digest[SHA256_DIGEST_LENGTH];

        *ret = 0;
        if (size == 0 || pin[0] == CANARY_FORM)
                return;
        SHA256(pin, size, digest);
        hex_encode(digest, sizeof(digest), ret);
}

void pin_record(struct audit_message_record *r, const uint8_t *pin, size_t size) {
        char digest[KEY_DIGEST_SIZE];

        pin_digest(pin, size, digest);
        audit_record_add(r, "spki_sha256", digest);
}

static int refuse(const struct proven_key *k, const char *digest, const char *who, const char *wanted, const char *subject, struct outcome *o) {
        char uri[KEY_URI_MAX];

        key_uri_format(&k->uri, uri, sizeof(uri));
        if (*digest)
                outcome_set(o, EXIT_CODE_POLICY, "%s: key %s is refused: by the vault's worker its public key is sha256:%s, and %s says %s. Ask "
                            "its owner which it is (cmkd-vault(8), PUBLIC KEYS): if it is not that, the worker lies", subject, uri, digest, who,
                            wanted);
        else
                outcome_set(o, EXIT_CODE_POLICY, "%s: key %s is refused: it is a symmetric key, which has no public key, and %s says %s", subject,
                            uri, who, wanted);
        return -EPERM;
}

int pin_check(const struct config *c, const struct proven_key *k, const uint8_t *pin, size_t size, const char *subject, struct outcome *o) {
        const struct vault_config *vault = c ? config_vault_by_name(c, k->vault) : NULL;
        char digest[KEY_DIGEST_SIZE], wanted[sizeof("sha256:") + KEY_DIGEST_SIZE], section[96];

        pin_digest(pin, size, digest);
        if (*k->expected && !streq(k->expected, digest)) {
                snprintf(wanted, sizeof(wanted), "sha256:%s", k->expected);
                return refuse(k, digest, "--expect-public-key", wanted, subject, o);
        }
        if (!vault || !vault->public_keys)
                return 0;
        for (char **p = vault->public_keys; *p; p++)
                if (streq(*p + strlen("sha256:"), digest))
                        return 0;
        snprintf(section, sizeof(section), "ExpectPublicKeys= of [Vault %s]", vault->name);
        return refuse(k, digest, section, "none of that", subject, o);
}

void pin_take(struct proven_key *k, const struct disk_wrap *w) {
        if (key_uri_parse(w->key, &k->uri, NULL) < 0)
                return;        /* it was found by that: not here */
        snprintf(k->algorithm, sizeof(k->algorithm), "%s", w->algorithm);
        memcpy(k->spki, w->spki, w->spki_size);
        k->spki_size = w->spki_size;
}
