/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Runs a plan (plan.h): one disposable child a step, each with its deadline; the manager never waits.
 *
 *   intent record (200 ms at most) ─► [notice.h] ─► step ─► step ─► CUT: the moment "revoked" ─► ... ─► VERIFY ─► CUT
 *                                                                                   │ what could not be cleaned
 *                                                                                   └─► LINGERING: again every 15 s
 *
 * A detach that left something goes on here: teardown_linger() ─► LINGERING ─► REMOVE, VERIFY ─► CLOSED */

#include "plan.h"
#include "volume.h"

struct manager;
struct teardown;

/* Begins to close a volume for that cause. why: static text where the action differs from the policy's, or NULL.
 * Returns 0 (the state is NOTICE or CUTTING, later CUT or LINGERING), -EALREADY (one is running), -ENOMEM, or what
 * plan_make() says. */
int teardown_start(struct volume *v, enum action action, enum lease_cause cause, const char *why);

/* DETACHING, its mapping was removed, and something is left of it or nobody knows: LINGERING until it is clean, then CLOSED and forgotten.
 * Nobody is killed for that. Where there is no memory to try again, that is said; "cmkctl cut" does. */
void teardown_linger(struct volume *v);

/* Ends a notice: the volume stays open. why: static text for people. Nothing happens in any other state. */
void teardown_call_off(struct volume *v, const char *why);

/* While a notice runs: when it is over at the latest, by the wall clock, and what follows; else USEC_INFINITY. */
uint64_t teardown_due(const struct volume *v, enum action *ret);

/* A notice is over now, for the sake of another volume of its stack. Nothing happens in any other state. */
void teardown_hurry(struct volume *v);

/* Its step CUT meets those of others (common/batch.h) whose descriptor that is too; it stays the caller's. */
void teardown_meet(struct volume *v, int fd);

/* True while a teardown runs that cuts before it shuts down. */
bool teardown_cuts_first(const struct volume *v);

/* Facts for a plan, without asking the disk: as if the volume were in use. */
void teardown_facts(const struct volume *v, enum action action, struct plan_facts *ret);

/* Called when a teardown is over (CUT or LINGERING). One waiter; NULL: none any more. */
typedef void (*teardown_done)(struct volume *v, void *user);
void teardown_notify(struct volume *v, teardown_done done, void *user);

/* The result of each step so far, for people; NULL: it has not run. */
const char *teardown_result(const struct volume *v, size_t i);
const struct plan *teardown_plan(const struct volume *v);

/* True while a teardown runs whose error table is verified. */
bool teardown_is_cut(const struct volume *v);

/* Children that run are killed. Accepts NULL. Returns NULL. */
struct teardown *teardown_free(struct teardown *t);
