/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A public key as people compare it: "sha256:" and 64 hexadecimal digits, the SHA-256 of its SubjectPublicKeyInfo in DER, as
 * openssl-pkey(1) -pubout -outform DER has it. In records, and here, without the word in front. */

#include "util.h"

#define KEY_DIGEST_SIZE 65u            /* 64 lower-case digits and NUL */

/* Returns 0 with ret filled, or -EINVAL: no such text. */
int key_digest_parse(const char *s, char ret[static KEY_DIGEST_SIZE]);
