/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Identifiers of keys: https://HOST[:PORT]/keys/NAME[/VERSION]
 *
 * Nothing else is a key: no other scheme, user part, query, fragment, escape, empty or extra path segment. Host and
 * name are kept in lower case (identifiers compare case-insensitively); port 443 is the default and is not printed. */

#include "util.h"

struct key_uri {
        char host[254];
        uint16_t port;
        char name[128];
        char version[33];        /* empty: the newest */
};

/* Returns 0 or -EINVAL; *ret_why (may be NULL) then points to a static text that says what is wrong. */
int key_uri_parse(const char *s, struct key_uri *ret, const char **ret_why);

/* Prints the canonical form. size: KEY_URI_MAX is always enough. */
#define KEY_URI_MAX 512u
void key_uri_format(const struct key_uri *u, char *buf, size_t size);

/* The same key (host, port, name), whatever the version. */
bool key_uri_same_key(const struct key_uri *a, const struct key_uri *b);
