/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The PINs that a token refused: none is tried twice, neither by this worker nor by those that follow. A token locks after a few, and a
 * worker may be replaced at every poll by what other vaults of the node do.
 *
 * Kept (kept.h) as SHA-256 of label, serial and PIN, the last few of a vault, newest first. A PIN can be guessed, so its digest is as
 * secret as it is. A boot forgets them, and `systemctl stop cmkd-vault.service`. */

#include "common/secret.h"

struct pin_use {
        const char *vault;               /* NAME of [Vault NAME] */
        const char *token, *serial;      /* label and serial of the one that is there */
        const struct secret *pin;
};

/* Returns 1: refused before; 0: not that anybody knows; -ENOMEM or -EPERM: no memory for what stays secret. */
int pin_was_refused(const struct pin_use *u);

/* Remembers it. Returns 0 (also where there is nobody to keep it beyond this process), or what kept_put() and secret_new() say: nobody
 * will know. */
int pin_keep_refused(const struct pin_use *u);
