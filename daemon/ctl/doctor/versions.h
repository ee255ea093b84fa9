/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Versions of keys that volumes need, and that are about to go, and keys that were left in headers: what cmkd knows of them, where it runs. */

#include "findings.h"

struct json_object;

/* Pure. list: as of key_usage(); now: seconds since 1970. */
void judge_versions(struct json_object *list, uint64_t now, struct findings *l);

/* key_usage() of every key; an empty list where cmkd is not there to be asked. Returns an exit code. */
int ask_versions(struct json_object **ret);
