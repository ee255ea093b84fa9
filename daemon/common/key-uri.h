/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Identifiers of keys: https://HOST[:PORT]/keys/NAME[/VERSION]
 *                  or  pkcs11:token=LABEL[;serial=S];object=LABEL[;id=ID];type=private[?module-path=PATH][&cmkd-version=V]
 *
 * Nothing else is a key: no other scheme, user part, query, fragment, escape, empty or extra path segment. Host and
 * name are kept in lower case (identifiers compare case-insensitively); port 443 is the default and is not printed.
 *
 * The second form is RFC 7512's, and pkcs11-uri.c's. Labels keep their case. The version is made of the public key, as a token
 * has none; it stands in the query, so that other programs find the key by the same text. */

#include "util.h"

struct key_uri {
        char host[254];          /* pkcs11: the token's label */
        uint16_t port;           /* 0: pkcs11 */
        char name[128];          /* pkcs11: the object's label */
        char version[33];        /* empty: the newest */
        /* pkcs11, or empty: not said */
        char serial[17];         /* of the token */
        char id[65];             /* CKA_ID, in hex */
        char module[128];        /* path (begins with a slash) or name of the module by which it is to be reached */
};

static inline bool key_uri_is_pkcs11(const struct key_uri *u) { return u->port == 0; }

/* Returns 0 or -EINVAL; *ret_why (may be NULL) then points to a static text that says what is wrong. */
int key_uri_parse(const char *s, struct key_uri *ret, const char **ret_why);

/* Prints the canonical form. size: KEY_URI_MAX is always enough. */
#define KEY_URI_MAX 512u
void key_uri_format(const struct key_uri *u, char *buf, size_t size);

/* The same key (host, port, name; serial, id), whatever the version. */
bool key_uri_same_key(const struct key_uri *a, const struct key_uri *b);

/* What a vault answers with may be more exact than what was asked for, and nothing else: a version, a token's serial. */
bool key_uri_answers(const struct key_uri *asked, const struct key_uri *found);
