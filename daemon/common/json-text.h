/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JSON that came over the network, from a disk or out of the trail, read strictly. json-c takes more than JSON, and its
 * strict mode differs between versions (0.18 takes no UTF-8 in strings): the grammar is checked here, json-c reads values.
 *
 *   receive buffer ─ json_check() ─► where a member's string lies ─ the caller takes it out and overwrites it ─┐
 *                                                                       json_parse() reads what is left ◄──────┘
 *
 * A document is one object (RFC 8259), at most JSON_DEPTH_MAX deep, with at most JSON_MEMBERS_MAX members an object and JSON_VALUES_MAX
 * values in all: json-c takes hundreds of bytes for each, whose text may be three bytes long. A
 * name that is twice in one object is an error (parsers disagree on which one counts), and so is one that hides an
 * ASCII letter, a digit, "_" or "-" behind an escape. No I/O; nothing is allocated by json_check(). */

#include "util.h"
#include <json-c/json.h>

#define JSON_DEPTH_MAX 16u
#define JSON_MEMBERS_MAX 64u
#define JSON_VALUES_MAX 16384u

struct json_span {
        size_t offset, size;    /* of a string's content, without its quotes */
};

/* Checks the text, and finds the string of that member of the outermost object (member may be NULL). Returns 0;
 * -EBADMSG: the text is not such a document; -ENOENT: the document is good, the member is not there or is not a string,
 * or its text has escapes. */
int json_check(const char *text, size_t size, const char *member, struct json_span *ret);

/* The same for a string in an object that is a member, outer, of the outermost one. */
int json_check_in(const char *text, size_t size, const char *outer, const char *member, struct json_span *ret);

/* json_check() and json-c's own parsing of the whole text (valid UTF-8 too). The caller frees with json_object_put().
 * Returns 0, -EBADMSG or -ENOMEM. */
int json_parse(const char *text, size_t size, struct json_object **ret);
static inline void json_object_putp(struct json_object **o) { if (*o) json_object_put(*o); }

/* Members by name, of the wanted type or nothing (NULL, -ENOENT). Strings belong to the object; one that holds a NUL
 * counts as absent. o may be NULL or of any type. */
struct json_object *json_get(struct json_object *o, const char *name, enum json_type type);
const char *json_get_text(struct json_object *o, const char *name);

/* A whole number that is not negative, as a number. Returns 0 or -ENOENT. */
int json_get_u64(struct json_object *o, const char *name, uint64_t *ret);

/* Copies text so that it may be printed: control characters become spaces, other bytes outside of ASCII '?'. What does
 * not fit is left out. s may be NULL. */
void text_printable(const char *s, char *buf, size_t size);
