/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The breaker's slots and the rules about them. Pure but for table_open(): no clock, no device of its own.
 *
 *   EMPTY ── set ──► ARMED ── deadline, done ──► TRIPPED ── set ──► ARMED
 *                      └──── deadline, failed ─► FAILED  ── retry ─► TRIPPED
 *
 * The table lies in a file in /run that is mapped shared: a breaker that was killed and started again finds every
 * deadline where it was. Therefore a slot is valid at every instant: `state` is written last when a slot is made and
 * first when it goes, and a renewal changes single words. CLOCK_BOOTTIME values stay right: the file does not outlive
 * the boot. */

#include "common/breaker-proto.h"

#define TABLE_MAGIC UINT32_C(0x62726b74)
#define TABLE_VERSION 1u

struct table {
        uint32_t magic;
        uint32_t version;
        uint32_t slots_max;
        uint32_t reserved;
        struct breaker_slot slots[BREAKER_SLOTS];
};

/* Maps the table's file, making it where it is not there. One that is not of this version, or has slots that a request
 * could not have made, is cleaned; *ret_dropped is how many slots were lost by that (a foreign version: 1). Returns 0,
 * -EPERM (the file is not a plain file of this user's with no other links), or what open(2), ftruncate(2) and mmap(2)
 * say. */
int table_open(const char *path, struct table **ret, unsigned *ret_dropped);

/* Whether a slot may be asked for: a valid name, "CRYPT-LUKS2-..." as dm uuid, a known action. */
bool slot_is_valid(const struct breaker_slot *s);

/* Index of the slot with that dm uuid, or -ENOENT. */
int table_find(const struct table *t, const char dm_uuid[static 128]);

/* Arms a slot, or renews one. The time of an earlier trip stays in it until it is cleared, so that whoever lists
 * learns that the breaker was faster. Returns its index, -EINVAL (slot_is_valid() says no) or -ENOSPC. */
int table_set(struct table *t, const struct breaker_slot *s);

/* Forgets a slot; harmless where there is none. */
void table_clear(struct table *t, const char dm_uuid[static 128]);

static inline bool slot_wants_power(const struct breaker_slot *s) {
        return s->action == BREAKER_ACTION_POWEROFF || s->action == BREAKER_ACTION_REBOOT;
}

/* Whether its time has come by either clock, and there is something left to do. */
bool slot_is_due(const struct breaker_slot *s, struct instant now);

/* Records how an act ended: error 0 is a trip. A failure of a slot that was renewed meanwhile leaves it armed. */
void slot_finish(struct breaker_slot *s, int error, struct instant now);

/* The next deadline by each clock among the slots that are armed and not due; 0 where there is none. */
struct instant table_next_deadline(const struct table *t, struct instant now);

unsigned table_count_armed(const struct table *t);
