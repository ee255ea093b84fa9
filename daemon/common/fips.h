/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Fips=yes: a program of ours computes with OpenSSL's FIPS provider and no other. Only for programs that link libcrypto.
 *
 * What libraries compute with a context of their own (libcryptsetup's keyslots), and the kernel, is not covered. */

#include "util.h"

#define FIPS_WORD "fips"        /* what the template of cmkd-disk is told, which reads no configuration */
#define FIPS_WHY_MAX 400u

/* Before anything is computed: from then on nothing else is fetched. Returns 0; or -ENOENT (the provider cannot be loaded), -EIO (it does
 * not have what is needed) with why filled: a sentence for people. */
int fips_begin(char why[static FIPS_WHY_MAX]);

/* Whether that would work, for programs that say so; leaves the process as it was. Errors of fips_begin(). */
int fips_probe(char why[static FIPS_WHY_MAX]);
