/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Base64 (RFC 4648) both ways and hex, in constant time for a given length: no table is indexed by, and no branch taken
 * on, the bytes of a key. Decoding is strict: no white space, no bits left over, padding as the alphabet asks. */

#include "util.h"

/* Characters of the encoding of n bytes, with padding, without NUL. */
#define BASE64_SIZE(n) ((((n) + 2) / 3) * 4)

/* Writes the standard alphabet with padding and NUL; out has room for BASE64_SIZE(n) + 1. */
void base64_encode(const uint8_t *in, size_t n, char *out);

/* Decodes n characters into out (max bytes). Returns 0, -EINVAL (not base64) or -ENOSPC. */
int base64_decode(const char *in, size_t n, uint8_t *out, size_t max, size_t *ret_size);

/* The URL-safe alphabet: written without padding; read with or without. out has room for BASE64_SIZE(n) + 1. */
void base64url_encode(const uint8_t *in, size_t n, char *out);
int base64url_decode(const char *in, size_t n, uint8_t *out, size_t max, size_t *ret_size);

/* Lower-case hex and NUL; out has room for 2 * n + 1. */
void hex_encode(const uint8_t *in, size_t n, char *out);

/* Decodes exactly n bytes from 2 * n characters, either case. Returns 0 or -EINVAL. */
int hex_decode(const char *in, uint8_t *out, size_t n);
