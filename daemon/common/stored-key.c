/* SPDX-License-Identifier: Apache-2.0 */
#include "stored-key.h"

#include "base64.h"
#include "config-azure.h"
#include "config.h"

#define DIGITS_FROM 16u

void stored_key_name(const char volume[static 37], const uint8_t digest[static STORED_DIGEST_SIZE], char ret[static STORED_NAME_SIZE]) {
        char digits[2 * DIGITS_FROM + 1];

        hex_encode(digest, DIGITS_FROM, digits);
        snprintf(ret, STORED_NAME_SIZE, "cmkd-%s-%s", volume, digits);
}

const char *stored_key_objection(const struct vault_config *v) {
        if (!streq(v->provider, "azure"))
                return "only an Azure Key Vault keeps wrapped keys (--store=vault)";
        if (config_azure_is_managed_hsm(v))
                return "a Managed HSM has no secrets: its wrapped keys stay in the header (--store=token)";
        return NULL;
}
