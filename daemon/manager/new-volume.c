/* SPDX-License-Identifier: Apache-2.0 */
#include "new-volume.h"

#include "device-facts.h"
#include "manager.h"
#include "stored.h"

const struct disk_wrap *new_volume_wrap(const struct proven_key *k, const struct disk_reply *made) {
        char uri[KEY_URI_MAX];

        key_uri_format(&k->uri, uri, sizeof(uri));
        for (unsigned i = 0; i < made->n_wraps; i++)
                if (streq(made->wraps[i].key, uri))
                        return made->wraps + i;
        return made->wraps;
}

int new_volume_unwrap(struct manager *m, const struct proven_key *k, const struct disk_wrap *w, const char *uuid, const char *use_id,
                      int fd, worker_callback callback, void *user) {
        _cleanup_(freep) struct vault_request *q = calloc(1, sizeof(*q));

        if (!q)
                return -ENOMEM;
        q->op = VAULT_OP_UNWRAP;
        q->flags = VAULT_FLAG_DELIVER;
        q->key = k->uri;
        q->timeout_ms = (uint32_t) (k->timeout_usec / USEC_PER_MSEC);
        snprintf(q->vault, sizeof(q->vault), "%s", k->vault);
        snprintf(q->client_request_id, sizeof(q->client_request_id), "%s", use_id);
        wrap_fill_request(w, uuid, q);
        return worker_ask(m->worker, q, fd, callback, user);
}

void new_volume_entry(const struct proven_key *k, const struct disk_reply *made, const char *name, enum role role,
                      const char *device, struct trust_entry *t) {
        const struct disk_wrap *w = new_volume_wrap(k, made);
        struct device_facts facts;

        *t = (struct trust_entry) {
                .role = role, .n_keys = 1,
                .keys = { { .key = k->uri, .generation = w->generation, .proof_time = k->time, .spki_size = k->spki_size } },
        };
        *t->keys[0].key.version = 0;
        memcpy(t->uuid, made->uuid, sizeof(t->uuid));
        snprintf(t->name, sizeof(t->name), "%s", name);
        memcpy(t->digest, made->trust_digest, sizeof(t->digest));
        memcpy(t->keys[0].spki, k->spki, k->spki_size);
        memcpy(t->keys[0].proof_request_id, w->proof_request_id, sizeof(w->proof_request_id));
        if (device_facts_read(device, &facts) >= 0)
                memcpy(t->serial, facts.serial, sizeof(t->serial));
}
