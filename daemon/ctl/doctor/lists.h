/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Lists of revoked certificates (CRLFile=): the worker reads them with each connection, and where one is missing or out of date sends
 * nothing. */

#include "findings.h"

/* text: PEM. now: seconds since 1970. Returns NULL and *ret_ends, when the first of them is out of date (UINT64_MAX: never), or what is
 * wrong with the file, a predicate (static). */
const char *list_fault(const char *text, uint64_t now, uint64_t *ret_ends);

/* Those of the configuration below root ("" for the system's) that are missing, empty or out of date. Without a configuration that can
 * be read there are none. */
void find_lists(const char *root, uint64_t now, struct findings *l);
