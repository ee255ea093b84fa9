/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A kernel event as a record: names for numbers, pure. The fields, where they have a value:
 *
 *   volume dm_uuid uuid dev target flags         the mapping; uuid is the LUKS one
 *   result                                       "ok" or the error's name
 *   key ("keyring", "inline") key_size key_serial key_description
 *   mode ("read", "write") new_name new_uuid message signal refused ("yes"; "would": Mode=enforce had)
 *   to ("PROGRAM[PID]") socket pin map program point module foreign seconds need
 *   pid tid ppid parent uid loginuid session comm exe exe_from ("proc", "kernel") cgroup cgroup_id
 *   pid_ns mnt_ns user_ns by ("cmkd", "other") ring */

#include "event.h"
#include "who.h"
#include "common/audit-proto.h"

/* now: the two clocks at one moment, since an event carries the boot's only. ring: where it stood, for the field.
 * Returns 0 or -EBADMSG (another version, or a kind that is not known). */
int describe_event(const struct cmkd_event *e, size_t size, const struct who_names *names, const struct instant *now,
                   const char *ring, struct audit_message_record *ret);

/* The record's event name of a kind, or NULL. */
const char *describe_kind(unsigned kind);

/* True for our own echo (see CMKD_HEARTBEAT). */
bool describe_is_heartbeat(const struct cmkd_event *e) _pure_;
