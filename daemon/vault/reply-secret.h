/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is secret in a reply is taken out of the receive buffer before the JSON library sees the text: spaces stay. */

#include "common/json-text.h"
#include "common/secret.h"

void reply_blank(char *body, const struct json_span *at);

/* Takes a token out, whatever it is. Returns 0, *ret having a NUL behind it; -EBADMSG: it is not what a header may carry (RFC 6750,
 * b64token), or SECRET_MAX or longer; or what secret_new() says. */
int reply_take_token(char *body, const struct json_span *at, struct secret **ret);

/* The same, of less than SECRET_LONG_MAX characters; -EMSGSIZE: it is longer. */
int reply_take_access_token(char *body, const struct json_span *at, struct secret **ret);
