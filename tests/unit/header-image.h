/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* LUKS2 headers for tests: a good one, and whatever a test makes of it, with the checksums put right. */

#include "disk/header.h"

#define IMAGE_DEVICE_SIZE (32u << 20)
#define IMAGE_UUID "8d2f6e3c-5b1a-4f7e-9c0d-112233445566"

/* A token that token_parse() accepts; key: DER of the public key to pin, made once (2048 bits). */
void image_token(struct token *ret);

/* Metadata as cryptsetup writes it for a volume of ours: keyslots 0 (the token's) and 1. The caller owns it. */
struct json_object *image_metadata(void);

/* One copy of a header: p has HEADER_SIZE_MIN bytes. text: the JSON area's begin, of size bytes. */
void image_copy(uint8_t *p, bool secondary, uint64_t seqid, const char *uuid, const char *text, size_t size);

/* A memfd of IMAGE_DEVICE_SIZE bytes with both copies of that metadata. */
int image_new(const char *text, size_t size);
int image_new_from(const struct json_object *metadata);
