/* SPDX-License-Identifier: Apache-2.0 */
#include "volume.h"

#include <unistd.h>

#include "common/config.h"
#include "common/key-uri.h"
#include "worker.h"

/* What a key's owner may not have meant to allow: asked before a volume gets the key. */

/* Whoever does not answer to this does not answer to the verb either, which says so. */
static void note(struct worker *w, const struct vault_config *v, const struct key_uri *key) {
        _cleanup_(freep) struct vault_reply *y = calloc(1, sizeof(*y));
        struct vault_request q = { .op = VAULT_OP_GET_KEY, .key = *key };

        if (!y || worker_ask(w, v, &q, y, NULL) < 0 || y->verdict != VERDICT_GRANTED || key_uri_parse(y->kid, &q.key, NULL) < 0)
                return;
        q.op = VAULT_OP_CHECK_EXCESS;
        if (worker_ask(w, v, &q, y, NULL) >= 0 && y->verdict == VERDICT_GRANTED)
                (void) fprintf(stderr, "note: with key %s of the vault %s this node may more than it needs: %s; whoever takes over this node "
                               "can do that too\n", key->name, v->name, y->text);
}

void note_excess(const struct invocation *in, const char *first) {
        _cleanup_(worker_close) struct worker w = { .fd = -EBADF };
        _cleanup_(config_freep) struct config *c = NULL;
        _cleanup_(freep) char *why = NULL;

        /* Only root may ask the worker; others are given leave by the bus. */
        if (geteuid() != 0 || config_load("", &c, &why) < 0 || worker_open("", &w) != EXIT_CODE_DONE)
                return;
        for (size_t i = 0; i < MAX_OF(in->n_keys, (size_t) 1); i++) {
                const struct vault_config *v;
                const char *not_allowed;
                struct key_uri u;

                if (key_uri_parse(i == 0 ? first : in->keys[i], &u, NULL) < 0)
                        continue;
                v = config_find_vault(c, &u, &not_allowed);
                if (v)
                        note(&w, v, &u);
        }
}
