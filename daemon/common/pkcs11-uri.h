/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* RFC 7512, as far as it names one private key in one token: what key-uri.h's second form is made of. Stricter than the RFC: an
 * attribute that is not of use here is refused and not ignored, as what it asks for would not be looked at. Labels and serials
 * are printable ASCII. A PIN is never part of an identifier. */

#include "key-uri.h"

#define PKCS11_LABEL_MAX 32u         /* of a token: CK_TOKEN_INFO has room for that */
#define PKCS11_SERIAL_MAX 16u
#define PKCS11_ID_MAX 32u            /* bytes */
#define PKCS11_VERSION_LENGTH 32u    /* hex */

/* s: what follows the scheme. Returns 0, or -EINVAL with *ret_why (may be NULL) as key_uri_parse() has it. What is taken has a
 * canonical form below KEY_URI_MAX, also once a serial and a version are known. */
int pkcs11_uri_parse(const char *s, struct key_uri *ret, const char **ret_why);

/* The canonical form, cut where buf is too small. Returns its whole length. */
size_t pkcs11_uri_format(const struct key_uri *u, char *buf, size_t size);

/* A value with its escapes (%20) as it stands in an identifier: one to max printable characters. Returns 0 or -EINVAL. */
int pkcs11_uri_text(const char *s, char *buf, size_t max);

/* The other way; cut where buf is too small. */
void pkcs11_uri_escape(const char *s, char *buf, size_t size);

/* Whether the identifier may be reached by that module: it names none, or this one by path or name (libNAME.so, NAME.so,
 * NAME-pkcs11.so). */
bool pkcs11_uri_takes_module(const struct key_uri *u, const char *path);
