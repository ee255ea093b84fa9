/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JSON from a disk, read so that no two readers can understand it differently: common/json-text.h, and no
 * numbers but integers. libcryptsetup reads the same text with json-c and lets the last duplicate win; here a duplicate
 * is an error. Also the few typed look-ups that LUKS2 metadata needs. */

#include "common/json-text.h"

/* Parses size bytes. The caller owns *ret. Returns 0, -EBADMSG (not as above; *ret_why, which may be NULL, is a static
 * text) or -ENOMEM. */
int strict_json_parse(const char *text, size_t size, struct json_object **ret, const char **ret_why);

/* The member of that name and type, or NULL. Borrowed from o. */
struct json_object *strict_json_get(const struct json_object *o, const char *name, enum json_type type);

/* Its bytes where they hold no NUL, else NULL. Borrowed from o. */
const char *strict_json_string(const struct json_object *o, const char *name);

/* An integer member between 0 and max. Returns 0 or -EBADMSG. */
int strict_json_int(const struct json_object *o, const char *name, int64_t max, int64_t *ret);

/* A member that is a decimal number in a string, as LUKS2 writes sizes. Returns 0 or -EBADMSG. */
int strict_json_u64(const struct json_object *o, const char *name, uint64_t max, uint64_t *ret);

/* True where every member's name is one of names (NULL-terminated). */
bool strict_json_only(const struct json_object *o, const char *const *names);
