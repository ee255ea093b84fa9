/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Events that stand in a row in the ring and differ in nothing but their time (and thread) are one record with a count: a
 * program that reads a table in a loop does not fill the disk. Only neighbours: the order of what happened stays as it was,
 * and the place of the last one says for all of them how far the ring was read, so that a kill in the middle neither loses nor
 * doubles one. Pure. */

#include "event.h"
#include "common/util.h"

struct repeat {
        struct cmkd_event event;           /* the first of them; its texts end */
        size_t size;                       /* as it was in the ring */
        uint64_t first, last;              /* places in the ring */
        uint64_t count;                    /* 0: nothing waits */
        uint64_t last_boottime_ns;
};

/* One more like those that wait? Then it is counted. Never for what changes a mapping or a key: each of those is told.
 * data: size bytes, of any version. */
bool repeat_add(struct repeat *p, const void *data, size_t size, uint64_t position);

/* It is the first; nothing waits before. */
void repeat_start(struct repeat *p, const void *data, size_t size, uint64_t position);
