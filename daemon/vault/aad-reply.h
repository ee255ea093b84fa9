/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a refusal of the token endpoint (Microsoft Entra ID, once Azure AD) means. Pure. Its good replies are those of the metadata
 * endpoint: imds-reply.h.
 *
 *   {"error":"unauthorized_client", "error_description":"AADSTS700016: ...", "error_codes":[700016], ...}
 *
 * Numbers first, for the few that are known to say more than the word beside them, then the word (RFC 6749); what neither knows is
 * DENIED (4xx) or UNREACHABLE. Never GRANTED or REVOKED. */

#include "judgement.h"

/* Any reply but 200 with JSON. code: "aad: unauthorized_client/AADSTS700016" or "aad: HTTP 502". *ret_retry: asking again in a second
 * or more is worth it. */
void aad_judge(uint16_t status, bool json, const char *body, size_t size, struct judgement *ret, bool *ret_retry);
