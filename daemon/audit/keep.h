/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where the key of the next record is while cmkd-audit runs, is restarted or is killed: a file in memory that has no name,
 * on a ramfs that nobody can reach, so that it is never swapped out and never on a disk. The service manager keeps its
 * descriptor (FileDescriptorStoreMax= in cmkd-audit.service) and hands it to the next cmkd-audit. It goes with the
 * machine, and when the unit is stopped.
 *
 *   slot 0  [begun 7 | sequence hash epoch key | done 7]     the newest slot of which "begun" and "done" agree is what holds;
 *   slot 1  [begun 0 | wiped                   | done 0]     the older one is wiped as soon as the newer is whole
 *
 * Invariant: a cmkd-audit that is killed at any place leaves one whole slot at least, once there was one. */

#include "seal.h"

#define KEEP_FD_NAME "cmkd-seal"

struct keep;

/* What stands beside the key. */
struct keep_state {
        uint64_t sequence;                 /* of the last record that is in the trail and was sealed */
        uint8_t hash[CHAIN_HASH_SIZE];     /* its hash */
        char epoch[SEAL_EPOCH_SIZE + 1];
        char digest[CHAIN_HEX_SIZE + 1];   /* of the public key that the epoch is wrapped to */
};

/* Maps the file, which is made large enough, and wipes in it what does not hold; fd becomes the keep's, also on failure. Returns 0, -ENOMEM or what
 * ftruncate(2), mmap(2) and madvise(2) say. */
int keep_new(int fd, struct keep **ret);
struct keep *keep_free(struct keep *k);
static inline void keep_freep(struct keep **k) { keep_free(*k); }

/* The file that the service manager kept, or, with create, a new one that it is given to keep. Called once, before anybody
 * clears what sd_listen_fds(3) reads. *ret_kept: it is kept; false without a service manager. Returns 0, -ENOENT (none was
 * kept), -ENOMEM, -EPERM or what the kernel says of the ramfs. */
int keep_open(bool create, struct keep **ret, bool *ret_kept);

/* A file as above. Returns it, or -errno: -EPERM without CAP_SYS_ADMIN, -ENODEV without ramfs. */
int keep_make_file(void);

/* What holds, but for the key. Returns false if nothing does. */
bool keep_peek(const struct keep *k, struct keep_state *ret);

/* Reads what holds into ret and key. Returns false if nothing does. */
bool keep_load(const struct keep *k, struct keep_state *ret, struct seal_key *key);

/* From now on this holds: key is that of the record after state->sequence. Nothing of the key before it is left. */
void keep_store(struct keep *k, const struct keep_state *state, struct seal_key *key);

/* Nothing holds any more. */
void keep_wipe(struct keep *k);
