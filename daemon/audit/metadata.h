/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Connections to the metadata service (bpf/connect.h): whose units may, and how many there were that are no events. */

#include "connect.h"
#include "event.h"
#include "writer.h"

/* Tells the kernel which units may: those of the cloud's own agents, and the names (not the paths) in words, which may be NULL.
 * Returns 0 or -errno: some may not. */
int metadata_allow(int units_fd, char *const *words);

/* Once a second: says of each process whose first connection was a minute ago how many more there were ("guard_metadata_more"),
 * and of each program and group how many more processes, after which its next one is an event again. A kill in between tells them twice, never not at all. record: room for one.
 * since_ns: boot time. Returns whether one came after that which Mode=enforce would have refused. */
bool metadata_tell(int metadata_fd, uint64_t since_ns, struct writer *writer, struct audit_message_record *record);

/* Before an orderly end: the same of all, however young, until then (CLOCK_BOOTTIME); and how many there was no time for ("lost"). */
void metadata_end(int metadata_fd, uint64_t until_usec, struct writer *writer, struct audit_message_record *record);
