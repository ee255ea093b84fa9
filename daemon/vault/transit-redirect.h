/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a standby may send us. Pure. A redirect is followed to Host= and to those of Servers= and RedirectHosts=, for the very path that was
 * asked for, and nowhere else: what is sent there is a token, and what comes back may be a key. */

#include "common/config.h"

/* location: the header's value. path: behind /v1/. Writes HOST:PORT, as the configuration has it. Returns 0, or -EINVAL: not to be
 * followed. */
int transit_redirect(const struct vault_config *c, const char *path, const char *location, char *buf, size_t size);
