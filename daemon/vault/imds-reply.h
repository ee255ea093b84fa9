/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Replies of the instance-metadata endpoint's token service. Pure. Numbers come as numbers or as strings. The token is
 * taken out of the receive buffer before the JSON library sees the text, as in azure-reply.h. */

#include "common/secret.h"
#include "judgement.h"

struct imds_token {
        struct secret *token;        /* with its NUL */
        uint64_t lifetime_sec;       /* from now */
        uint64_t refresh_sec;        /* from now: when to ask for the next one */
        size_t too_long;             /* characters of one that is not used, or 0 */
};

/* The body of a reply with status 200; it is changed. now_sec: the wall clock, used only where the reply gives no
 * relative time. Returns 0; -EBADMSG with *ret_why, a static text; -EKEYEXPIRED: the token is over already; -EMSGSIZE: it is too long,
 * and ret->too_long says how long; -ENOMEM or -EPERM: no secret to be had. */
int imds_parse_token(char *body, size_t size, uint64_t now_sec, struct imds_token *ret, const char **ret_why);

/* Any other reply. *ret_retry: asking again in a second or more is worth it. Never GRANTED or REVOKED. */
void imds_judge(uint16_t status, const char *body, size_t size, struct judgement *ret, bool *ret_retry);
