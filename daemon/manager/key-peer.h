/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which volume systemd-cryptsetup asks for, read from what the kernel says of the one who asks. Pure: strings in, a name
 * out.
 *
 * The address that it bound its end to, "\0RANDOM/cryptsetup/VOLUME", is its own word: a hint. Its control group is
 * systemd's word: "0::/system.slice/system-systemd\x2dcryptsetup.slice/systemd-cryptsetup@VOLUME.service". Only names that
 * a volume may have come out. */

#include <sys/socket.h>

#include "common/util.h"

struct sockaddr_un;

/* size: as getpeername(2) gave it. Returns 0 or -EINVAL (unbound, or not of this form). */
int key_peer_hint(const struct sockaddr_un *sa, socklen_t size, char ret_name[static 65]);

/* text: /proc/PID/cgroup. Returns 0 or -EINVAL: not the unit itself, not below system.slice with nothing but slices in
 * between, or on a system without the unified hierarchy. */
int key_peer_unit(const char *text, char ret_name[static 65]);
