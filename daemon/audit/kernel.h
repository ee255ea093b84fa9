/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kernel's side of cmkd-audit: events come out of the ring and go to the writer as records; what was lost, is not
 * covered or does not arrive any more is said.
 *
 *   probes ── ring ── who, describe, uses ── writer        each second: losses, pins, our own echo */

#include "status.h"
#include "uses.h"
#include "writer.h"

struct kernel;

/* Loads or finds the probes, takes over what an earlier build left, and listens. trail: up to where it
 * has the ring. uses stays the caller's. Returns 0 or -errno: nothing is recorded. */
int kernel_new(sd_event *event, struct writer *writer, struct uses *uses, uint32_t ring_size, const struct trail_recovery *trail,
               struct kernel **ret);
struct kernel *kernel_free(struct kernel *k);

/* Says what is covered. k NULL: nothing, because of error. record: room for it. */
void kernel_report_coverage(struct kernel *k, int error, struct writer *writer, struct audit_message_record *record);

/* Looks at a client's record: it may be a word to the guard. k may be NULL. */
void kernel_note(struct kernel *k, const struct audit_message_record *m);

/* Once a second. Returns k, or NULL: it was released, nothing of it is attached or pinned any more. */
struct kernel *kernel_housekeep(struct kernel *k);

/* Before an end: writes what is in the ring now (what the trail does not take stays there), and what was counted since it was said last. */
void kernel_end(struct kernel *k);

void kernel_fill_status(struct kernel *k, struct audit_status *s);
