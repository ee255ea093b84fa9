/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* [Guard] of cmkd.conf: what the kernel's programs are told to refuse, and when (guard-plan.h).
 *
 *   configuration, cmkd.guard=off ── guard ── map "guard" ──► bpf/          each change of state: a record "guard_mode"
 *
 * The end of an unconfirmed enforcement is in the kernel's map too: it holds without cmkd-audit. */

#include "guard-maps.h"
#include "guard-plan.h"
#include "reader.h"
#include "status.h"
#include "writer.h"

#define GUARD_STATE_NAME "guard.state"
#define GUARD_STATE_FILE TRAIL_DIR "/" GUARD_STATE_NAME      /* NAME=VALUE lines: clean (seconds), confirmed */

struct guard;

/* Reads the configuration; one that is wrong counts as Mode=audit. probes, writer stay the caller's. Returns 0 or -ENOMEM. */
int guard_new(const struct probes *probes, struct writer *writer, struct guard **ret);
struct guard *guard_free(struct guard *g);             /* the kernel goes on as it was told */

/* An event before it is described: what enforce would have refused is noted, a device gets its volume's name. */
void guard_event(struct guard *g, struct cmkd_event *e);

/* Our own echo came. */
void guard_heard(struct guard *g, const struct cmkd_event *e);

/* Once a second. record: room for one. */
void guard_tick(struct guard *g, bool seeing, struct audit_message_record *record);

/* Before an orderly end, which takes no longer than until then (CLOCK_BOOTTIME): says what has not been said. record: room for one. */
void guard_end(struct guard *g, uint64_t until_usec, struct audit_message_record *record);

/* A record of a client: "guard_confirm" confirms, "guard_release" wants all programs out of the kernel. */
void guard_note(struct guard *g, const struct audit_message_record *m);

/* It was wanted, and the guard does not refuse anything now. */
bool guard_is_released(const struct guard *g);

void guard_fill_status(const struct guard *g, struct audit_status *s);
