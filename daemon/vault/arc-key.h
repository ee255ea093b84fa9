/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How the agent of Azure Arc knows who may have a token: its first answer, a 401, names a file that it has just written and that
 * only root and its own group may read; what is in it goes with the second request.
 *
 *   WWW-Authenticate: Basic realm=/var/opt/azcmagent/tokens/NAME.key
 *
 * Whoever answers in the agent's place must not make us read another file, and get that: it lies in that directory itself, has
 * such a name, and is a regular file, no link, of less than 4 KiB of what a header may carry. */

#include "common/secret.h"

#define ARC_KEY_DIRECTORY "/var/opt/azcmagent/tokens"

/* header: of the 401. directory: without a slash at its end. *ret: the whole line "Authorization: Basic ...", with its NUL. Returns 0;
 * -EBADMSG with *ret_why, a static text; -ENOMEM or -EPERM: no secret to be had; -errno of the file, with *ret_why. */
int arc_key_read(const char *header, const char *directory, struct secret **ret, const char **ret_why);
