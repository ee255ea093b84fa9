/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The events that records of the trail are of, all that cmkd-audit(5) has (tests/static holds this table, the page and the code against each
 * other): for those who ask for one by name. */

#include <stdbool.h>
#include <stddef.h>

#define AUDIT_EVENTS_TEXT_MAX 2048u

/* Whether there is one of that name, the first n characters of pattern; "key_*": any that begins so. */
bool audit_event_exists(const char *pattern, size_t n);

/* The one that somebody may have meant, or NULL. */
const char *audit_event_nearest(const char *name);

/* All of them, with commas between them. */
void audit_events_all(char *buf, size_t size);
