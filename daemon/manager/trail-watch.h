/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* OnTrailFailure=stop: what cannot be recorded is not kept open. A record of ours that is refused says so at once; on a node where nothing
 * is asked for nobody would notice, so cmkd-audit is asked too, while a volume is open.
 *
 *   every 5 s ── AUDIT_CHECK ──► cannot be written            ─► every open volume is made unreadable
 *                            └─► no answer, for 30 s together ─► the same */

#include <systemd/sd-event.h>

struct manager;
struct trail_watch;

/* Returns 0 or -ENOMEM. */
int trail_watch_new(struct manager *m, sd_event *event, struct trail_watch **ret);
/* After the link to cmkd-audit, whose answers it takes. */
struct trail_watch *trail_watch_free(struct trail_watch *w);

/* The trail could not be written, for that reason (negative errno). user: the manager. */
void trail_failed(int error, void *user);
