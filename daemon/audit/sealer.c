/* SPDX-License-Identifier: Apache-2.0 */
#include "sealer.h"

#include "common/base64.h"

#include <syslog.h>

struct sealer {
        struct seal_public *public;
        struct keep *keep;
        struct seal_key *key;              /* of the next record, while open */
        struct seal_key *fresh;            /* of the epoch that begins, while beginning */
        bool open, beginning, lost;
        bool closed;                       /* by sealer_end(): no other epoch begins by itself */
        char epoch[SEAL_EPOCH_SIZE + 1], digest[CHAIN_HEX_SIZE + 1];
        char fresh_epoch[SEAL_EPOCH_SIZE + 1];
};

struct sealer *sealer_free(struct sealer *s) {
        if (!s)
                return NULL;
        seal_key_free(s->key);
        seal_key_free(s->fresh);
        keep_free(s->keep);
        seal_public_free(s->public);
        free(s);
        return NULL;
}

int sealer_new(struct seal_public *public, struct keep *keep, struct sealer **ret) {
        _cleanup_(sealer_freep) struct sealer *s = calloc(1, sizeof(*s));
        int r;

        if (!s) {
                seal_public_free(public);
                keep_free(keep);
                return -ENOMEM;
        }
        s->public = public;
        s->keep = keep;
        r = seal_key_new(&s->key);
        if (r >= 0)
                r = seal_key_new(&s->fresh);
        if (r < 0)
                return r;
        sealer_take_back(s);
        *ret = TAKE_PTR(s);
        return 0;
}

bool sealer_state(const struct sealer *s, struct keep_state *ret) {
        return keep_peek(s->keep, ret);
}

void sealer_forget(struct sealer *s, bool lost) {
        keep_wipe(s->keep);
        sealer_take_back(s);
        s->lost = lost;
}

bool sealer_is_open(const struct sealer *s) { return s->open; }
const char *sealer_epoch(const struct sealer *s) { return s->open ? s->epoch : ""; }

bool sealer_is_due(const struct sealer *s) {
        return s->public && !s->closed && (!s->open || !streq(s->digest, seal_public_digest(s->public)));
}

int sealer_begin(struct sealer *s, struct audit_message_record *ret) {
        char wrapped[SEAL_WRAPPED_MAX + 1];
        uint8_t id[SEAL_EPOCH_SIZE / 2];
        int r;

        seal_key_random(s->fresh);
        r = seal_public_wrap(s->public, s->fresh, wrapped);
        if (r < 0) {
                seal_key_wipe(s->fresh);
                return r;
        }
        random_bytes(id, sizeof(id));
        hex_encode(id, sizeof(id), s->fresh_epoch);
        audit_record_start(ret, EPOCH_EVENT, s->lost ? LOG_WARNING : LOG_NOTICE, true);
        audit_record_add(ret, "epoch", s->fresh_epoch);
        audit_record_add(ret, "reason", s->open ? "rotated" : s->lost ? "lost" : "first");
        audit_record_add(ret, "previous", s->open ? s->epoch : NULL);
        audit_record_add(ret, "digest", seal_public_digest(s->public));
        audit_record_add(ret, "algorithm", SEAL_ALGORITHM);
        audit_record_add(ret, "wrapped", wrapped);
        s->beginning = true;
        return 0;
}

struct seal_key *sealer_key(struct sealer *s) {
        if (s->open)
                return s->key;
        return s->beginning ? s->fresh : NULL;
}

int sealer_advance(struct sealer *s) {
        bool by_itself = !s->open;

        if (!s->beginning)
                return s->open ? seal_next(s->key, 1) : 0;
        seal_key_copy(s->key, s->fresh);
        seal_key_wipe(s->fresh);
        snprintf(s->epoch, sizeof(s->epoch), "%s", s->fresh_epoch);
        snprintf(s->digest, sizeof(s->digest), "%s", seal_public_digest(s->public));
        s->beginning = false;
        s->open = true;
        return by_itself ? seal_next(s->key, 1) : 0;
}

void sealer_end(struct sealer *s) {
        seal_key_wipe(s->key);
        s->open = false;
        s->closed = true;
}

void sealer_keep(struct sealer *s, uint64_t sequence, const uint8_t hash[static CHAIN_HASH_SIZE]) {
        struct keep_state state = { .sequence = sequence };

        if (!s->open) {
                keep_wipe(s->keep);
                return;
        }
        s->lost = false;
        memcpy(state.hash, hash, CHAIN_HASH_SIZE);
        snprintf(state.epoch, sizeof(state.epoch), "%s", s->epoch);
        snprintf(state.digest, sizeof(state.digest), "%s", s->digest);
        keep_store(s->keep, &state, s->key);
}

void sealer_take_back(struct sealer *s) {
        struct keep_state state;

        s->open = keep_load(s->keep, &state, s->key);
        s->beginning = s->closed = false;
        seal_key_wipe(s->fresh);
        if (!s->open) {
                seal_key_wipe(s->key);
                return;
        }
        snprintf(s->epoch, sizeof(s->epoch), "%s", state.epoch);
        snprintf(s->digest, sizeof(s->digest), "%s", state.digest);
}
