/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/challenge-header.c daemon/vault/azure-challenge.c
// libs: json-c

/* A WWW-Authenticate header, as the value of a vault's and of an agent's. */

#include "common/json-text.h"
#include "vault/azure-challenge.h"
#include "vault/challenge-header.h"

#define HOST "contoso.vault.azure.net"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *header = strndup((const char *) data, size);
        struct azure_challenge c;
        struct json_span at;
        char value[64];

        if (!header)
                return 0;
        if (challenge_header_get(header, "Basic", "realm", value, sizeof(value)) == 0 &&
            (!strstr(header, value) || strpbrk(value, "\"\\")))
                abort();
        if (azure_challenge_parse(header, HOST, &c) < 0)
                return 0;
        /* only what is above the host, and only what may be passed on */
        if (!strcasestr(header, "https://vault.azure.net") && !strcasestr(header, "https://azure.net") &&
            !strcasestr(header, "https://net"))
                abort();
        if (*c.tenant && !uuid_is_valid(c.tenant))
                abort();
        if (*c.claims && json_check(c.claims, strlen(c.claims), NULL, &at) < 0)
                abort();
        return 0;
}
