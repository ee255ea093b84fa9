/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an error reply of a Key Vault means. Pure: what was received goes in, a verdict comes out.
 *
 *   status ──┐
 *   headers ─┼─► is it the vault speaking? ──no──► BROKEN (5xx with the vendor's form: UNREACHABLE)
 *   body ────┘          │ yes
 *                       ▼
 *        (status, code, inner code) in the table? ──no──► 4xx: DENIED, else UNREACHABLE
 *
 * REVOKED stands in the table only, for exact triples and for operations on a key, or for reading a secret; a reply becomes a candidate only if
 * it came over verified TLS (the caller's part) with one of the vendor's headers, as JSON, with an error object in it.
 * Codes compare case-insensitively. Facts: the Key Vault REST API's error bodies (error.code, error.message,
 * error.innererror.code, nested), as collected in the project's protocol notes. */

#include "common/vault-proto.h"
#include "judgement.h"

/* What a request does with a secret of the vault, in which a wrapped key is kept. */
enum azure_secret {
        AZURE_NO_SECRET,
        AZURE_SECRET_GET,
        AZURE_SECRET_SET,
        AZURE_SECRET_DELETED,        /* asks whether it is listed as deleted */
};

struct azure_evidence {
        enum vault_op op;            /* counts where the request is about a key */
        enum azure_secret secret;
        uint16_t status;             /* any but 200 */
        bool vendor;                 /* x-ms-request-id or x-ms-keyvault-service-version was there */
        bool json;                   /* Content-Type: application/json */
        const char *body;            /* not NUL-terminated */
        size_t body_size;
};

/* Never GRANTED. code: the vault's own ("Forbidden/KeyDisabled", "KeyNotFound", "AKV10046") or "HTTP 502". */
void azure_judge(const struct azure_evidence *e, struct judgement *ret);
