/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/azure-verdict.c daemon/vault/judgement.c
// libs: json-c

/* An error reply: operation, status (two bytes), headers seen, then the body. REVOKED only for what is on the list. */

#include "vault/azure-verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *s, size_t size) {
        if (strnlen(s, size) == size)
                abort();
        for (; *s; s++)
                if (*s < ' ' || *s > '~')
                        abort();
}

/* An owner's word about a key, or about a secret that was read. */
static bool may_revoke(const struct azure_evidence *e, const struct judgement *j) {
        const char *disabled = e->secret ? "Forbidden/SecretDisabled" : "Forbidden/KeyDisabled";
        const char *gone = e->secret ? "SecretNotFound" : "KeyNotFound";

        if (!e->vendor || !e->json)
                return false;
        if (e->secret ? e->secret != AZURE_SECRET_GET : e->op >= VAULT_OP_CHECK_DELETED && e->op != VAULT_OP_WRAP_NEW)
                return false;
        return (e->status == 403 && strcasecmp(j->code, disabled) == 0) || (e->status == 404 && strcasecmp(j->code, gone) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct azure_evidence e;
        struct judgement j;

        if (size < 4)
                return 0;
        e = (struct azure_evidence) {
                .op = (enum vault_op) (data[0] % (_VAULT_OP_MAX - 1) + 1), .status = (uint16_t) ((data[1] << 8 | data[2]) % 1000),
                .secret = (enum azure_secret) (data[3] >> 2 & 3), .vendor = data[3] & 1, .json = data[3] & 2, .body = (const char *) data + 4, .body_size = size - 4,
        };
        azure_judge(&e, &j);
        check_printable(j.code, sizeof(j.code));
        check_printable(j.text, sizeof(j.text));
        if (j.verdict == VERDICT_GRANTED || j.verdict >= _VERDICT_MAX)
                abort();
        if (j.verdict == VERDICT_REVOKED && !may_revoke(&e, &j))
                abort();
        return 0;
}
