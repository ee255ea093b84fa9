/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Volumes below one stack are cut together: a page of memory in which the steps that cut them meet.
 *
 *   manager: batch_new(n) ── the page, with each request ─► step CUT of each: suspend ─► batch_meet() ─► error table
 *
 * As long as one of them may still be written to none may give an error: an array would write down on the others that this
 * one has failed, and would come back degraded. Suspended they say nothing. A meeting is waited for, never relied on. */

#include "util.h"

/* until_usec: of CLOCK_BOOTTIME; from then on nobody waits. Returns a descriptor, or what memfd_create(2) and mmap(2) say. */
int batch_new(unsigned n, uint64_t until_usec);

/* Says that we are there, and waits until all are, at most wait_usec. Returns 1 (all are), 0 (time is up), -EBADMSG (that is
 * no such page), or what mmap(2) says. */
int batch_meet(int fd, uint64_t wait_usec);
