/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What vouches for the kernel and the image that unlocked the system: reported, never assumed. Read from the firmware's
 * variables (efivars: four bytes of attributes, then the value) below a root, "" for the system's. */

#include "common/util.h"

/* Secure Boot: 1 on, 0 off, -EKEYREJECTED: on, but shim was told to let everything pass; -ENOENT: no EFI, or the variable
 * cannot be read. */
int boot_chain_secure(const char *root);

/* Whether a stub started the kernel, so that kernel, image and command line are one file (UKI; systemd-stub(7)). */
bool boot_chain_unified(const char *root);

/* Both in words. Static text. */
const char *boot_chain_text(int secure, bool unified);
