/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What cmkctl status says about scratch disks. */

#include "bus.h"

/* All of the configuration, as a list of objects. The caller owns *ret. Returns an exit code. */
int scratch_list(struct call *c, struct json_object **ret);

/* For people: a table, or one at length. */
int scratch_print_list(struct json_object *list);
void scratch_print(struct json_object *o);
