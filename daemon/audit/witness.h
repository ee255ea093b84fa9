/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Listens to the kernel's audit records of dm-crypt, beside journald and auditd (a multicast group), and says what the
 * programs in the kernel did not see ("unseen"). See witness-match.h. */

#include "witness-match.h"
#include "writer.h"

#include <systemd/sd-event.h>

struct witness;

/* Returns 0 or -errno (no such kernel, no right): there is no second witness. */
int witness_new(sd_event *event, struct witness **ret);
struct witness *witness_free(struct witness *w);

/* An event from the ring. w may be NULL, here and below. */
void witness_event(struct witness *w, const struct cmkd_event *e);

/* Once a second. lost: events that found no room in the ring until now, which the kernel's audit may have. m: room for a record. */
void witness_tick(struct witness *w, const struct ring *ring, uint64_t lost, struct writer *writer, struct audit_message_record *m);

/* How many of its records agreed with the ring's. */
uint64_t witness_agreed(const struct witness *w);
