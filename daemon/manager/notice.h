/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The step NOTICE of a plan: who uses the volume ends in order, in the time that the policy grants.
 *
 *   HOOKS: cmkd-notice@VOLUME.target ─► LOOK: who is there, which units ─► STOP: services, scopes, what starts them
 *      ─► SIGNAL: SIGTERM to who is left, until they are gone ─► UNMOUNT: mounts and swap, by systemd ─► over
 *   role os: wait ─► SIGNAL ─► wait ─► over
 *
 * notice-file.h says what share of the time each has. Whatever hangs on the way (the bus, systemd, a hook, a unit, a child)
 * costs its share, and at NoticeSec the notice is over. */

#include "plan.h"
#include "volume.h"

struct notice;

/* y: what SIGNAL said, or would have. Called exactly once, never from inside notice_start(). */
typedef void (*notice_done)(const struct disk_reply *y, void *user);

/* began: the teardown did; its wait_usec counts from there. action: what comes after it. Returns 0 or -errno: there is no
 * notice. */
int notice_start(struct volume *v, const struct plan_step *s, enum action action, struct instant began, notice_done done,
                 void *user, struct notice **ret);

/* The callback will not come. What systemd was told it does. Accepts NULL. Returns NULL. */
struct notice *notice_cancel(struct notice *n);
