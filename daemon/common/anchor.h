/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How the head of the trail leaves the node: the id that a poll carries to the vault is made of it, and stands in the vault's
 * own log, which whoever is root on the node cannot change. Pure.
 *
 *   cmkd-audit: hash of the last durable record ─► mark ─► ANCHOR_HEAD_FILE ─► cmkd: id of the next poll ─► the vault's log
 *   cmkctl: hash of each record of the trail ────► mark ──────────────────────────── is it there? ◄──────────────┘
 *
 * An id is a UUID of version 8 (RFC 9562): 80 bits of mark, 24 of the node's tag, 18 of a number, so that none comes twice.
 * The mark is SHA-256("cmkd anchor 1", hash): a trail with another history that has the same one costs 2^80 attempts. The
 * tag is of SHA-256("cmkd node 1", machine id): it says whose anchor it is to who knows the machine id, and not the id. */

#include "util.h"

#define ANCHOR_HEAD_FILE "/run/cmkd/audit.anchor"
#define ANCHOR_HEAD_MAX 64u            /* its text, with the 0 */
#define ANCHOR_HASH_SIZE 32u
#define ANCHOR_MARK_SIZE 10u
#define ANCHOR_TAG_SIZE 3u
#define ANCHOR_TAG_TEXT_SIZE 6u        /* in hex */
#define ANCHOR_NUMBERS (1u << 18)

struct anchor {
        uint8_t mark[ANCHOR_MARK_SIZE];
        uint8_t tag[ANCHOR_TAG_SIZE];
        uint32_t number;               /* less than ANCHOR_NUMBERS */
};

/* The mark of a record's hash. Returns 0 or -EIO (libcrypto has no SHA-256). */
int anchor_mark(const uint8_t hash[static ANCHOR_HASH_SIZE], uint8_t ret[static ANCHOR_MARK_SIZE]);

/* A node's tag from its machine id: 32 digits, also as a UUID, a newline may follow. Returns 0, -EINVAL (no machine id, or one
 * of zeros) or -EIO. */
int anchor_tag(const char *machine_id, uint8_t ret[static ANCHOR_TAG_SIZE]);

void anchor_tag_format(const uint8_t tag[static ANCHOR_TAG_SIZE], char ret[static ANCHOR_TAG_TEXT_SIZE + 1]);

/* Exactly six digits, lower case. Returns 0 or -EINVAL. */
int anchor_tag_parse(const char *text, uint8_t ret[static ANCHOR_TAG_SIZE]);

/* The id. */
void anchor_format(const struct anchor *a, char ret[static 37]);

/* The 16 bytes of an id. Returns true where it has the form of an anchor: whose it is says the tag, of what the mark. */
bool anchor_parse(const uint8_t id[static 16], struct anchor *ret);

/* What ANCHOR_HEAD_FILE holds: "v1 SEQUENCE MARK\n". Returns 0 or -EBADMSG. */
void anchor_head_format(uint64_t sequence, const uint8_t mark[static ANCHOR_MARK_SIZE], char ret[static ANCHOR_HEAD_MAX]);
int anchor_head_parse(const char *text, uint64_t *ret_sequence, uint8_t ret_mark[static ANCHOR_MARK_SIZE]);
