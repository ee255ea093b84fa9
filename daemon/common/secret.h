/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The only container a key may live in.
 *
 * A secret's bytes are in memfd_secret(2) memory (not even root reads them through /proc/PID/mem), or, where the kernel
 * has that switched off, in locked pages that are left out of core dumps and wiped in forked children. If neither is to
 * be had, there is no secret: -EPERM, never a silent fall-back. Freeing wipes. A secret is never copied into anything
 * that is not a secret, except by the calls below that say so. */

#include "util.h"

#define SECRET_MAX 4096u
#define SECRET_LONG_MAX 16384u          /* of an access token: with many groups or roles in it they are that long */

struct secret;

/* A secret of size bytes (1 to SECRET_MAX), zeroed. Returns 0, -EINVAL (size), -ENOMEM, -EPERM (pages can neither be
 * made secret nor locked: RLIMIT_MEMLOCK). */
int secret_new(size_t size, struct secret **ret);

/* The same of 1 to SECRET_LONG_MAX bytes: four pages, where they are more than SECRET_MAX. */
int secret_new_long(size_t size, struct secret **ret);

/* Wipes and frees. Accepts NULL. Returns NULL. */
struct secret *secret_free(struct secret *s);
static inline void secret_freep(struct secret **s) { secret_free(*s); }

uint8_t *secret_data(struct secret *s);
const uint8_t *secret_cdata(const struct secret *s);
size_t secret_size(const struct secret *s);

/* Makes the secret shorter; the rest is wiped. size must not be above the present size. */
void secret_shrink(struct secret *s, size_t size);

/* A secret of random bytes. Errors of secret_new(). */
int secret_random(size_t size, struct secret **ret);

/* Copies size bytes in and wipes the source. Errors of secret_new(). */
int secret_take(void *source, size_t size, struct secret **ret);

/* Reads exactly size bytes from a pipe straight into the secret. Errors of secret_new() and read_exact(). */
int secret_read(int fd, size_t size, struct secret **ret);

/* Writes the secret to a pipe. Returns 0 or -errno. */
int secret_write(int fd, const struct secret *s);

/* Constant-time comparison; different sizes are unequal. */
bool secret_equal(const struct secret *a, const struct secret *b);

/* True where secrets are memfd_secret memory on this machine; for status and doctor. */
bool secret_is_unmappable(const struct secret *s);

/* Makes the process one that leaves nothing behind: PR_SET_DUMPABLE 0, RLIMIT_CORE 0. Every program that may see a key
 * calls it first. Returns 0 or -errno. */
int secret_process_init(void);
