/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between the luks-*.c files only. What libcryptsetup says: all of it at debug level, its last error kept for the
 * reply. */

#include "luks.h"

/* Before there is a context: messages of crypt_init go to l too. */
void luks_log_init(struct luks *l);
void luks_log_attach(struct luks *l);

/* libcryptsetup at work on a header in a memfd, for a data device. Returns 0 or what it says. */
int luks_load_image(struct luks *l, int image, const char *device);

/* A copy of h in a memfd, and libcryptsetup at work on it: a file of ours, so that no lock is needed. The caller owns
 * *ret_image. Returns 0, -errno, or what libcryptsetup says. */
int luks_open_image(struct luks *l, const struct header *h, const char *device, int *ret_image);

/* One header, two parsers: whether libcryptsetup has read what we have. Returns 0, -EUCLEAN, or its error. */
int luks_compare(struct luks *l, const struct header *h);

struct crypt_pbkdf_type;

/* Full entropy is stretched by nothing: the cheapest derivation that LUKS2 allows. */
extern const struct crypt_pbkdf_type luks_cheap_pbkdf;

/* Writes our tokens, all of them, with the MAC over the metadata as they are then, which is filled in. Returns 0, the errors
 * of token_format() and manifest_compute(), or what libcryptsetup says. */
int luks_seal(struct luks *l, struct header_wrap *wraps, unsigned n, const struct secret *volume_key);
