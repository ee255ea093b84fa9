/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One entry of a vault's own log, as far as it says who used a key. Pure.
 *
 *   Azure Key Vault, Managed HSM    AuditEvent of the diagnostics: {"time","operationName","correlationId","identity","properties":
 *                                   {"id","requestUri","httpStatusCode","clientInfo"}, ...}; a row of the log workspace has the
 *                                   same under similar names
 *   OpenBao, HashiCorp Vault        an audit device: {"time","type":"request|response","auth","request":{"id","path", ...}}
 *
 * Tolerant in reading: members may be missing or more, and are found whatever their case. What is decided on (time, operation,
 * key, outcome) is there in its exact form, or it is no entry. All texts are of the log and printed clean. */

#include "common/json-text.h"

#define VAULT_ENTRY_IDS_MAX 8u
#define UUID_BYTES 16u

enum vault_log_kind { VAULT_LOG_AZURE, VAULT_LOG_TRANSIT, _VAULT_LOG_KIND_MAX };

struct vault_entry {
        enum vault_log_kind kind;
        uint64_t realtime_usec;
        bool uses_key;                     /* something was unwrapped or decrypted with it, or that was asked for */
        bool answered;                     /* and the vault did */
        char operation[64];
        char host[254], mount[128], key[128];   /* lower case; "" where the log does not say */
        char address[64], identity[256], client[160];
        uint8_t ids[VAULT_ENTRY_IDS_MAX][UUID_BYTES];   /* of the request, wherever they stood */
        size_t n_ids;
};

/* "Azure Key Vault", "OpenBao or Vault". */
const char *vault_log_kind_to_string(enum vault_log_kind k);

/* Returns 0 or -EBADMSG (neither of the two, or without what is decided on). */
int vault_entry_decode(struct json_object *o, struct vault_entry *ret);

/* A UUID of 36 characters in either case. Returns 0 or -EINVAL. */
int uuid_bytes(const char *s, uint8_t ret[static UUID_BYTES]);

/* Host, mount and name of a key's identifier (https://HOST[:PORT][/v1/MOUNT]/keys/NAME[/...]), in lower case: room as in struct
 * vault_entry. Returns 0 or -EINVAL. */
int vault_key_split(const char *uri, char host[static 254], char mount[static 128], char key[static 128]);
