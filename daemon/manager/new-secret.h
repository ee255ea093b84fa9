/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* W of a new volume, or of one more key of one, where only the vault can wrap: symmetric keys (common/algorithm.h).
 *
 *   WRAP_NEW: the worker makes W, the vault wraps it ─► UNWRAP with deliver: W in a pipe, as at any attach ─► record "release",
 *   durable ─► done
 *
 * Where the vault is to keep the wrapped key (common/stored-key.h) the same way is gone for any key: the worker leaves it there at
 * once, and the manager sees its digest alone. What was left there and then not used, since something failed, opens nothing, and stays
 * until the vault's owner takes it away.
 *
 * The manager sees what was wrapped, never W. */

#include "key-proof.h"

struct new_secret_request {
        const struct proven_key *key;
        const char *verb, *name, *uuid, *device, *use_id;
        const struct requester *who;
};

struct new_secret {
        bool stored;
        uint8_t wrapped[DISK_WRAPPED_MAX];       /* stored: its digest */
        size_t wrapped_size;
        int fd;                          /* of the pipe with W: closed after the callback, unless it took it over */
};

/* Whether W of that key is made so; else cmkd-disk makes and wraps it. */
bool new_secret_is_needed(const struct proven_key *k);

/* o: done, or why not. Both are valid during the call only. */
typedef void (*new_secret_done)(const struct outcome *o, struct new_secret *s, void *user);

/* The texts of q and the key are copied. done is called exactly once, never from inside this call. Returns 0 or -ENOMEM. */
int new_secret_start(struct manager *m, const struct new_secret_request *q, new_secret_done done, void *user);

/* Fills in what a request to cmkd-disk says of it. */
void new_secret_fill(const struct new_secret *s, struct disk_request *q);

/* For records: formats the name of the vault's secret into buf and returns it, also if a later step failed; NULL: there is none. */
const char *new_secret_name(const struct new_secret *s, const char uuid[static 37], char buf[static STORED_NAME_SIZE]);
