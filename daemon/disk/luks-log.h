/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What libcryptsetup says: all of it at debug level, its last error kept for the reply. */

#include "luks.h"

/* Before there is a context: messages of crypt_init go to l too. */
void luks_log_init(struct luks *l);
void luks_log_attach(struct luks *l);
