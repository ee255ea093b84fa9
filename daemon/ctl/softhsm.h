/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The local token: a SoftHSM of this machine, for one without a vault. It is root's; cmkd-vault's group may read it, and write what
 * SoftHSM writes with each login, which is no key.
 *
 *   /var/lib/cmkd-token/           root:cmkd-vault 0750, as is all in it
 *       softhsm2.conf pin          0640
 *       so-pin                     0600, root's alone
 *       tokens/                    directories 2750, files 0640; token.object, generation and *.lock 0660
 *
 * PINs are random, in struct secret and these files, never in argv. */

#include "common/util.h"

#define SOFTHSM_STORE "/var/lib/cmkd-token"
#define SOFTHSM_CONF SOFTHSM_STORE "/softhsm2.conf"
#define SOFTHSM_PIN SOFTHSM_STORE "/pin"
#define SOFTHSM_TOKEN "cmkd"
#define SOFTHSM_BITS 3072u

/* Makes the store, the token and in it an RSA key of that label, as far as they are not there. Each step that was done stays, and
 * is not done again. Returns an exit code; EXIT_CODE_FAILED, said: there is a key of that label that is of another kind, no SoftHSM, no
 * group cmkd-vault, or what failed. *ret_module: static; *ret_made: whether the key was not there before. */
int softhsm_create(const char *label, const char **ret_module, bool *ret_made);
