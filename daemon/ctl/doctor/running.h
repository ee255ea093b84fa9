/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "findings.h"

/* A configuration below root that cmkd does not take. */
void find_bad_config(const char *root, struct findings *l);

/* What of cmkd does not run, by its run-time directory (/run/cmkd): nobody listens on cmkd's socket, or cmkd-audit, which writes its
 * status each second, has not written it for a minute before now (seconds since 1970). A socket that this user may not reach says
 * nothing. */
void find_not_running(const char *run, uint64_t now, struct findings *l);
