/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a token may do with a key beyond what a node needs (read on keys/NAME, update on decrypt, encrypt and rewrap), as
 * sys/capabilities-self tells, which the policy "default" allows. Pure.
 *
 * Facts: the API's documentation (a list of capabilities for each path that was asked for, in data); measured with OpenBao 2.7.2 and Vault
 * 1.21.4 (tests/interop). */

#include "common/util.h"

#define TRANSIT_EXCESS_BODY_MAX 4096u

/* The body of the request, with its NUL. mount, key: names as the configuration has them. Returns 0 or -EMSGSIZE. */
int transit_excess_body(const char *mount, const char *key, char buf[static TRANSIT_EXCESS_BODY_MAX]);

/* The body of its good reply: "create on transit/encrypt/k, read on ..." of what is too much, "" where nothing is; what does not fit is left
 * out. Returns 0, or -EBADMSG: not in the vault's form, or a path that was asked for is missing. */
int transit_parse_excess(const char *body, size_t size, const char *mount, const char *key, char *ret, size_t ret_size);
