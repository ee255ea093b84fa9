/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The value of a WWW-Authenticate header with one challenge: a scheme, then name=value or name="value", separated by commas,
 * blanks or both. Pure; no escapes within quotes, nothing twice. */

#include "common/util.h"

/* The value of a parameter, where the challenge is of that scheme (letter case does not count in either). Returns 0; -ENOENT: it
 * has none of that name; -EBADMSG: another scheme, or not in this form; -ENOBUFS: the value has no room. buf is untouched then. */
int challenge_header_get(const char *header, const char *scheme, const char *name, char *buf, size_t size);
