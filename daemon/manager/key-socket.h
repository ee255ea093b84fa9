/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The key-file socket of crypttab: "data1 /dev/disk/by-uuid/... /run/cmkd/key.sock _netdev", where data1 is the volume's
 * name on this node's list.
 *
 *   systemd-cryptsetup@data1.service ── connects, reads until the end ──► key-socket ─► release_start ─► cmkd-disk
 *                                    ◄──────────────── 64 bytes, by cmkd-disk itself ───────────────────┘
 *
 * Answered is uid 0 (SO_PEERCRED) in the control group of that very unit (key-peer.h), once for each time that the volume
 * is opened. Whoever else connects gets nothing, and a record. A vault that does not answer is asked again for as long as
 * retry.h says; then the connection ends empty, and systemd-cryptsetup asks for the recovery key. */

#include <systemd/sd-event.h>

#define KEY_SOCKET "/run/cmkd/key.sock"

struct key_socket;
struct manager;

/* Returns 0, -ENOMEM, or what opening the socket said. */
int key_socket_new(struct manager *m, sd_event *event, struct key_socket **ret);
struct key_socket *key_socket_free(struct key_socket *s);
