/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How long and how often `cmkctl attach --wait=SEC` tries: pure, no clock of its own.
 *
 *   vault silent or throttling, cmkd not there yet,    after 1, 2, 4, 8, 15, 15 ... s, up to a quarter less or more,
 *   disk not there yet, volume busy                    until the time is over
 *   vault says no                                      three times in all, at least 20 s apart: a key that its owner
 *                                                      disabled is neither asked about for ever nor often
 *   wrong usage, refused by policy                     never again */

#include "common/util.h"
#include "common/verdict.h"

#define PATIENCE_REFUSALS_MAX 3u
#define PATIENCE_REFUSED_USEC (20 * USEC_PER_SEC)
#define PATIENCE_DELAY_MAX_USEC (15 * USEC_PER_SEC)
#define PATIENCE_WAIT_MAX_SEC 86400u

struct patience {
        uint64_t end_usec;
        unsigned tries, refusals;      /* that failed; that the vault refused */
};

/* When to try again after a try that ended with code: USEC_INFINITY for never. random: any number. */
uint64_t patience_next(struct patience *p, enum exit_code code, uint64_t now_usec, uint32_t random);
