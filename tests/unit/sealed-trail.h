/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A trail in a directory of its own, sealed for a key pair of its own, as cmkd-audit writes it: what several tests begin
 * with. The sealer's file is one in memory; a "crash" closes the trail and keeps that file. */

#include "audit/trail.h"
#include "audit/verify.h"

struct sealed_trail {
        char dir[64], path[96], head[96], public[96], private[96];
        int keep_fd;                       /* what the service manager would have */
        struct trail *trail;
        struct trail_recovery recovery;
        struct audit_message_record message;
};

/* Makes directory, keys (RSA 2048) and trail. Fails the test if anything does. */
void sealed_trail_begin(struct sealed_trail *s);
void sealed_trail_end(struct sealed_trail *s);

/* Writes another key pair to public and private. */
void sealed_trail_new_keys(struct sealed_trail *s);

/* Closes the trail without a word, and opens it as the next cmkd-audit does; sealed: PublicKey= is configured. */
void sealed_trail_close(struct sealed_trail *s);
void sealed_trail_open(struct sealed_trail *s, bool sealed);

/* The machine went down: the key is gone. */
void sealed_trail_lose_key(struct sealed_trail *s);

/* Appends n records, their epoch before them if one is due, and commits. Returns what trail_commit() says. */
int sealed_trail_write(struct sealed_trail *s, unsigned n, const char *event);

/* Verifies: with the private key, or without any. */
void sealed_trail_verify(struct sealed_trail *s, bool with_key, struct trail_report *ret);

/* Root's attack: from line on (0 is the first) of that file, prev and hash of each line are computed anew, and then the same
 * for the head. Seals stay as they are. The lines' sizes do not change. */
void forge_chain(const char *file, unsigned line, const char *head);
