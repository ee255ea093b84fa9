/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A module that failed is loaded anew by a new worker, since its own calls cannot be trusted to end or to take it back. What that costs
 * the other vaults of the node (their tokens of identity, their logins) it may cost once in REPLACE_EVERY_USEC for each vault: when the
 * last time was is kept (kept.h) for the workers that follow. */

#include "vault.h"

#define REPLACE_EVERY_USEC (5 * 60 * USEC_PER_SEC)

/* This vault's module was of no use: v->is_over, unless it was so a short while ago. Where there is nobody to keep the time, at once.
 * Safe from several threads. */
void replace_worker(struct vault *v);
