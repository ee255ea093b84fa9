/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an answer of OpenBao or HashiCorp Vault that is not a good one means. Pure: what was received goes in, a verdict
 * comes out. The vault has no error codes: its messages, exactly, are what tells one from another.
 *
 *   status, body ─► {"errors": [one text]} ? ──no──► DENIED_WEAK (401, 403), THROTTLED (429), UNREACHABLE (5xx), BROKEN
 *                              │ yes
 *                              ▼
 *             (call, status, text) in the table? ──no──► 4xx: DENIED, else UNREACHABLE
 *
 * Some answers are clear only together with a second one, which the table asks for:
 *   400 encryption key not found   and GET keys/NAME is 404 as well: REVOKED; else what that says
 *   404 no such mount, namespace   and the cluster is the one that is meant: DENIED
 *   403                            and the token may still look itself up: DENIED; may not: the token is dead, a new one
 *                                  is worth a try
 * REVOKED stands in the table only. Facts: OpenBao 2.7.2, measured; its source; the project's protocol notes. */

#include "common/vault-proto.h"
#include "judgement.h"

enum transit_call {
        TRANSIT_DECRYPT,
        TRANSIT_ENCRYPT,
        TRANSIT_READ,                /* GET keys/NAME */
        TRANSIT_LOOKUP,              /* GET auth/token/lookup-self */
        TRANSIT_LOGIN,
        TRANSIT_LOGIN_VOUCHED,       /* the same, as evidence: by a token that the vault has somebody else vouch for (Role=) */
        TRANSIT_RENEW,
        TRANSIT_CAPABILITIES,        /* POST sys/capabilities-self */
        TRANSIT_UNWRAP,              /* sys/wrapping/lookup, sys/wrapping/unwrap */
};

/* What shows a secret id, or what is as good as one, and changes something in the vault: to be asked once, and of the right one. */
static inline bool transit_is_login(enum transit_call c) {
        return c == TRANSIT_LOGIN || c == TRANSIT_UNWRAP;
}

/* The code of a wrapping token that is used up. */
#define TRANSIT_CODE_TAKEN VAULT_CODE_SECRET_ID_TAKEN

struct transit_evidence {
        enum transit_call call;
        uint16_t status;             /* any but 200 */
        bool json;                   /* Content-Type: application/json */
        const char *body;            /* not NUL-terminated */
        size_t body_size;
};

enum transit_next {
        TRANSIT_NOTHING,
        TRANSIT_ASK_KEY,             /* is the key still there? */
        TRANSIT_ASK_TOKEN,           /* is the token still good? */
};

/* Never GRANTED. What is said holds as long as nothing else is known: *ret_next says what to ask, if anything. */
void transit_judge(const struct transit_evidence *e, struct judgement *ret, enum transit_next *ret_next);

/* After TRANSIT_ASK_KEY: read is the answer to GET keys/NAME, NULL where it was 200. */
void transit_judge_missing(const struct transit_evidence *read, struct judgement *ret);

/* After TRANSIT_ASK_TOKEN. lookup: the answer to lookup-self, NULL where it was 200. refused: what transit_judge() said
 * of the request. True: the token is dead, and *ret holds if no new one is to be had. */
bool transit_judge_refused(const struct judgement *refused, const struct transit_evidence *lookup, struct judgement *ret);

/* Where what is missing is the mount or the namespace, of keys or of the login, and the cluster that says so is the one of
 * ClusterId=: its owner took it away. True: *j is DENIED now, and was UNREACHABLE, as it stays of a server that may be any. */
bool transit_judge_place(struct judgement *j);
