/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What format.c and encrypt.c have in common once the header of a volume that is to be has been made: the proof that the vault
 * unwraps what stands in it, and the volume's entry of the list. */

#include "disk-child.h"
#include "key-proof.h"
#include "trust.h"
#include "worker-link.h"

/* What the child made for that key: where an earlier run left another one, there are two. */
const struct disk_wrap *new_volume_wrap(const struct proven_key *k, const struct disk_reply *made);

/* Asks the vault to unwrap w, which is of that key, into fd. Returns 0 (callback will be called), -ENOMEM, or what worker_ask() says. */
int new_volume_unwrap(struct manager *m, const struct proven_key *k, const struct disk_wrap *w, const char *uuid, const char *use_id,
                      int fd, worker_callback callback, void *user);

/* made: of the child that made the header; device: for the disk's serial. */
void new_volume_entry(const struct proven_key *k, const struct disk_reply *made, const char *name, enum role role,
                      const char *device, struct trust_entry *ret);
