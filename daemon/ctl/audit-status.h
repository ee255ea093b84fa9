/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What cmkd-audit says of itself (audit/status.h), as JSON. Pure. */

#include <json-c/json.h>

/* The lines NAME=VALUE of text (which is changed), each value a text. NULL without memory. */
struct json_object *audit_status_parse(char *text);

/* The same for other programs: numbers, booleans and lists as such. NULL without memory. */
struct json_object *audit_status_typed(struct json_object *o);
