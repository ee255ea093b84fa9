/* SPDX-License-Identifier: Apache-2.0 */

/* Pure: what a list has, and what an entry of it means. */

#include "trust.h"

const struct trust_entry *trust_find_uuid(const struct trust_list *l, const char *uuid) {
        for (size_t i = 0; i < l->n_entries; i++)
                if (streq(l->entries[i].uuid, uuid))
                        return l->entries + i;
        return NULL;
}

const struct trust_entry *trust_find_name(const struct trust_list *l, const char *name) {
        for (size_t i = 0; i < l->n_entries; i++)
                if (streq(l->entries[i].name, name))
                        return l->entries + i;
        return NULL;
}

void trust_key_take(struct trust_key *k, const struct disk_wrap *w) {
        k->generation = w->generation;
        k->proof_time = w->proof_time;
        k->spki_size = w->spki_size;
        memcpy(k->spki, w->spki, w->spki_size);
        memcpy(k->proof_request_id, w->proof_request_id, sizeof(k->proof_request_id));
}

uint64_t trust_left(const struct trust_entry *e, uint32_t header_flags) {
        if (!(header_flags & DISK_FLAG_REKEYING))
                return e->rekeying ? 0 : e->unencrypted;
        return e->has_next ? INT64_MAX : e->rekeying ? e->unencrypted : 0;
}

void trust_fill_request(const struct trust_entry *e, uint32_t header_flags, struct disk_request *q) {
        bool rekeying = header_flags & DISK_FLAG_REKEYING;

        q->plain_max = trust_left(e, header_flags);
        q->flags |= rekeying ? DISK_FLAG_REKEYING : 0;
        memcpy(q->trust_digest, rekeying && e->has_next ? e->next_digest : e->digest, sizeof(q->trust_digest));
}

const char *trust_find_elsewhere(const struct trust_list *l, const char *uuid) {
        for (size_t i = 0; i < l->n_elsewhere; i++)
                if (streq(l->elsewhere[i].uuid, uuid))
                        return l->elsewhere[i].node;
        return NULL;
}

const struct trust_entry *trust_find_made_from(const struct trust_list *l, const char *image) {
        for (size_t i = 0; i < l->n_entries; i++)
                if (streq(l->entries[i].image, image))
                        return l->entries + i;
        return NULL;
}
