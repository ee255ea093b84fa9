/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a standby may send us. Pure. A redirect is followed to Host= and to those of Servers= and RedirectHosts=, for the very path that was
 * asked for, and nowhere else: what is sent there is a token, and what comes back may be a key. */

#include "common/util.h"

/* authorities: HOST:PORT of each, n of them. path: behind /v1/. location: the header's value. Returns which of them it leads to, the first
 * one, or -EINVAL: it is not to be followed. */
int transit_redirect(const char *const *authorities, size_t n, const char *path, const char *location);
