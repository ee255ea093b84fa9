/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/azure-reply.c daemon/vault/azure-attributes.c daemon/vault/azure-secret-reply.c daemon/vault/rsa-public.c daemon/vault/reply-secret.c
// libs: json-c

/* A good reply: one byte says of what, then the body. Nothing of the value may be left in the buffer. */

#include "common/base64.h"
#include "vault/azure-reply.h"
#include "vault/azure-secret-reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How often a text stands in the body: it may be there by chance a second time, but never as often as it came. */
static size_t count(const char *body, size_t size, const char *text) {
        const char *p = body, *end = body + size;
        size_t n = 0;

        for (; (p = memmem(p, (size_t) (end - p), text, strlen(text))); p++)
                n++;
        return n;
}

static const struct key_uri asked = {
        .host = "vault.test", .port = 443, .name = "k", .version = "0123456789abcdef0123456789abcdef",
};

static void unwrap(char *body, size_t size, const char *came) {
        _cleanup_(azure_result_clear) struct azure_result result = {};
        char text[BASE64_SIZE(VAULT_BLOB_MAX) + 1];
        const char *why = NULL;
        struct key_uri u;

        if (azure_parse_result(body, size, &asked, &result, &why) < 0)
                return;
        if (key_uri_parse(result.kid, &u, NULL) < 0 || !key_uri_same_key(&u, &asked) || !streq(u.version,
                asked.version))
                abort();
        base64url_encode(secret_cdata(result.value), secret_size(result.value), text);
        if (count(body, size, text) >= count(came, size, text))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *body = NULL;
        struct vault_reply y = {};
        struct azure_secret_reply s = {};
        const char *why = NULL;

        if (size < 2)
                return 0;
        size--;
        body = malloc(size);
        if (!body)
                return 0;
        memcpy(body, data + 1, size);
        if (data[0] == 's') {
                if (azure_parse_secret(body, size, &asked, "s", &s, &why) == 0 && s.value_size > sizeof(s.value))
                        abort();
        } else if (data[0] == 'd')
                (void) azure_parse_deleted_secret(body, size, &asked, "s", &s, &why);
        else if (data[0] % 3 == 0)
                unwrap(body, size, (const char *) data + 1);
        else if (data[0] % 3 == 1) {
                if (azure_parse_key(body, size, &asked, &y, &why) == 0 &&
                    (y.spki_size > sizeof(y.spki) || strnlen(y.key_type, sizeof(y.key_type)) == sizeof(y.key_type) ||
                     y.n_tags > VAULT_TAGS_MAX))
                        abort();
                for (unsigned i = 0; i < y.n_tags; i++)
                        if (!vault_tag_is_valid(y.tags[i].name, y.tags[i].value))
                                abort();
        } else
                (void) azure_parse_deleted(body, size, &asked, &y, &why);
        return 0;
}
