/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The text of a recovery key, as systemd-cryptenroll --recovery-key makes it: 256 random bits in modhex ("c" is 0, "v"
 * is 15), a dash after every eight letters. The passphrase of its keyslot is this text, dashes and all, without a
 * newline; systemd and cmkctl put what is typed into this form, `cryptsetup open` takes it as it is typed.
 *
 * Modhex has the letters that keyboards agree on. The text lives in struct secret only; no branch and no address here
 * depends on a bit of it. */

#include "common/secret.h"

#define RECOVERY_KEY_SIZE 32u
#define RECOVERY_TEXT_SIZE 71u            /* without a NUL */
#define RECOVERY_TEXT_RAW_SIZE 64u        /* without dashes */
#define RECOVERY_TOKEN_TYPE "systemd-recovery"

/* Writes key, of RECOVERY_KEY_SIZE bytes, as a text of RECOVERY_TEXT_SIZE bytes. Returns 0, -EINVAL (another size), or
 * an error of secret_new(). */
int recovery_text_encode(const struct secret *key, struct secret **ret);

/* A new one from the kernel's random bytes. Errors of secret_new(). */
int recovery_text_make(struct secret **ret);

/* Puts what somebody typed into that form: with or without dashes, in either case; one newline at the end is left out.
 * Returns 0, -EINVAL (not the text of a recovery key), or an error of secret_new(). */
int recovery_text_normalize(const struct secret *typed, struct secret **ret);
