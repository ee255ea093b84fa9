/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether this machine goes on from a snapshot, or as a copy of another one. A hypervisor that has a generation id (vmgenid)
 * changes it then, and the kernel makes its random numbers anew (from Linux 5.18 on, add_vmfork_randomness() in
 * drivers/char/random.c). There is no uevent of that (looked for on 6.12: none comes). What there is, is a line in the
 * kernel's log, which no process can write: what comes from one has a facility other than 0. */

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

struct manager;

/* A record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg): "5,339,5140900,-;random: crng reseeded due to ...". Pure. */
bool restore_is_told(const char *record, size_t size) __attribute__((pure));

/* Calls manager_restored(). The source is event's, and lives as long. Returns 0, or what open(2) and sd_event_add_io(3) say:
 * then a copy asks with its next poll. */
int restore_watch_new(struct manager *m, sd_event *event);
