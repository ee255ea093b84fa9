/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Ids of polls that carry the head of the trail (common/anchor.h), as far as cmkd-audit has said what it is. Nothing here waits
 * for it: a head of before cmkd-audit was stopped or got stuck is still one that the trail has, and the polls go on with it.
 * Without one (early boot, no machine id) an id is a random one.
 *
 * Invariant: no id comes twice, also over a restart of cmkd: the head that was there when it started may have been used up by the
 * one before, and is left out until the trail has grown (by the record of this start, at the latest). Within one head the
 * numbers run from a random one: who has not seen an id cannot say the next. */

#include "common/anchor.h"

struct anchoring {
        bool has_tag, has_old;
        uint8_t tag[ANCHOR_TAG_SIZE];
        uint8_t old[ANCHOR_MARK_SIZE];     /* the head at the start */
        uint8_t mark[ANCHOR_MARK_SIZE];    /* the head that numbers are given out for */
        uint32_t number, left;
};

/* machine_id, head: the texts of these files, or NULL. */
void anchoring_init(struct anchoring *a, const char *machine_id, const char *head);

/* The same from /etc/machine-id and ANCHOR_HEAD_FILE. */
void anchoring_start(struct anchoring *a);

/* The next id; head: as above. */
void anchoring_take(struct anchoring *a, const char *head, char ret[static 37]);

/* The same from ANCHOR_HEAD_FILE as it is now. */
void anchoring_next(struct anchoring *a, char ret[static 37]);
