/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One CMK version in use: the volumes that it opens, its schedule of challenges, what the vault's answers mean (lease.h decides), and
 * the carrying out of what was decided for each of its volumes.
 *
 *   timer ─► challenge (wrapped here) ─► worker ─► answer checked here ─► key_track ─► for each volume: lease_decide ─►
 *   breaker told ─► report | hold | cut | resume | attach
 *
 * There is one poll for a key however many volumes it opens, but for a volume whose wrapped key is a secret of the vault: it has a
 * struct key of its own, as the answer to its polls is about that secret too. A key is polled as long as it has a volume, also one that
 * was cut: that is how an owner's change of mind is noticed. Its attributes are read now and then (key-attributes.h):
 * a key that is expired, where that revokes it, is not granted by a challenge alone. */

#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "attributes.h"
#include "challenge.h"
#include "common/vault-proto.h"
#include "follow.h"
#include "lease.h"
#include "poll-log.h"
#include "volume.h"

/* Somebody who wants to know whether the owner says yes now. */
struct key_waiter {
        struct key_waiter *next;
        void (*done)(const struct vault_reply *y, void *user);
        void *user;
};

struct key {
        LIST_ENTRY(key) keys;
        LIST_HEAD(, wrap) wraps;           /* of volumes */
        struct key_waiter *waiters;        /* told by the next answer */
        struct key_waiter *told;           /* about to be told by this one */
        bool telling;
        struct manager *manager;
        struct key_uri uri;                /* with version */
        char uri_text[KEY_URI_MAX];
        char vault[65];                    /* section of the configuration */
        char algorithm[33];
        uint8_t spki[DISK_SPKI_MAX];       /* pinned */
        size_t spki_size;
        bool stored;                       /* of one volume's wrapped key in the vault, whose secret is polled along (common/stored-key.h) */
        char stored_volume[37];
        uint8_t stored_digest[STORED_DIGEST_SIZE];
        struct key_track track;
        struct key_timing timing;
        struct attributes attributes;
        struct follow follow;
        struct challenge *challenge;       /* of the poll under way */
        uint32_t poll_flags;               /* enum key_event_flags of it */
        struct poll_log polls;
        struct vault_reply answer;         /* the last one */
        sd_event_source *timer;
};

/* For wrap.c only. Ties a volume's wrap, which has none, to its key, found or made; h: its token. Returns 0, -ENOMEM, or
 * -EINVAL (its public key is none). */
int key_bind(struct wrap *w, const struct disk_wrap *h, const struct key_uri *u, const struct vault_config *vault);

/* The volume's wraps are bound and its policy is worked out: takes it into the key's schedule. */
void key_bound(struct wrap *w);

/* Takes a wrap from its key; a key without any is freed, once nobody waits for its answer. A wrap without a key: nothing
 * happens. */
void key_unbind(struct wrap *w);

/* Whether the token has the public key that its challenges are wrapped with and, where the vault keeps the wrapped key, that one. */
bool key_has_token(const struct key *k, const struct disk_wrap *h);

/* Whether the last answer, whatever it was, is to a challenge of less than a poll ago. */
bool key_is_fresh(const struct key *k);

/* Before a secret that the vault unwrapped is used: a worker that kept it could answer that by itself, a challenge it cannot.
 * Returns true where the last challenge was granted less than a poll ago. Else the key is asked at once, and w->done hears
 * the answer, never from inside this call; w stays the caller's until then. */
bool key_prove(struct key *k, struct key_waiter *w);

/* w does not want to hear of it any more. */
void key_forget_waiter(struct key *k, struct key_waiter *w);

/* A key of the volume is about to be used; it was asked for then. From here on the breaker holds the volume's deadline, until
 * the volume enters another state. */
void key_used(struct volume *v, struct instant issued);

/* It was not, or to no effect: the volume is where it was before. Decides nothing, the breaker is told. */
void key_not_used(struct volume *v);

/* A reading of the key's attributes that was asked for then says that it is revoked: it is polled soon. */
void key_attributes_revoke(struct key *k, const struct vault_reply *y, struct instant asked);

/* A request about the key, without flags and blob. */
void key_fill_request(const struct key *k, enum vault_op op, struct vault_request *ret);

/* decide.c: decides about one volume now, and carries it out. */
void key_evaluate_volume(struct volume *v);

/* The same for all volumes of the key. */
void key_evaluate(struct key *k);

/* Whether it would have the volume, which is closed, attached now. */
bool key_wants_attach(const struct volume *v);

/* Does what is due now: a poll, or only a look at the volumes whose time has come. Call when a clock may have jumped. */
void key_look(struct key *k);

/* The machine goes on from a snapshot: a lease of before proves nothing about now. Polls at once, on a new connection. */
void key_restored(struct key *k);

/* Sets the timer for whatever comes next. Call after anything that may change a decision. */
void key_schedule(struct key *k);

/* Call after the policies of its volumes were worked out anew: schedule, deadlines and decisions follow. */
void key_policy_changed(struct key *k);

struct key *key_free(struct key *k);
