/* SPDX-License-Identifier: Apache-2.0 */
#include "wrap-choice.h"

static bool is_chosen(const struct wrap_choice *c, unsigned at) {
        for (unsigned i = 0; i < c->n; i++)
                if (c->at[i] == at)
                        return true;
        return false;
}

static bool same_key(const struct disk_wrap *w, const struct key_uri *key) {
        struct key_uri u;

        return key_uri_parse(w->key, &u, NULL) >= 0 && key_uri_same_key(&u, key);
}

static bool same_public_key(const struct disk_wrap *w, const struct trust_key *t) {
        return w->spki_size == t->spki_size && memcmp(w->spki, t->spki, t->spki_size) == 0;
}

/* How well a token fits: two vaults may hold the same public key, and so may two versions of a key. */
static unsigned fit(const struct disk_wrap *w, const struct trust_key *t) {
        return !same_public_key(w, t) ? 0 : !same_key(w, &t->key) ? 1 : w->generation == t->generation ? 3 : 2;
}

/* By the public key. Returns the place in the header, or -1. */
static int find_listed(const struct disk_reply *h, const struct trust_key *t, const struct wrap_choice *taken) {
        unsigned best = 0;
        int found = -1;

        for (unsigned i = 0; i < h->n_wraps; i++) {
                unsigned f = is_chosen(taken, i) ? 0 : fit(h->wraps + i, t);

                if (f > best) {
                        best = f;
                        found = (int) i;
                }
        }
        return found;
}

/* A header from before the key was rotated: every token of that key is older. */
static int explain_older(const struct disk_reply *h, const struct trust_key *t, char why[static 600]) {
        uint64_t newest = 0;

        for (unsigned i = 0; i < h->n_wraps; i++)
                if (same_key(h->wraps + i, &t->key))
                        newest = MAX_OF(newest, h->wraps[i].generation);
        if (newest == 0 || newest >= t->generation)
                return 0;
        snprintf(why, 600, "its header is of generation %llu, this node has seen %llu: an old header was put back",
                 (unsigned long long) newest, (unsigned long long) t->generation);
        return -ESTALE;
}

static int explain_missing(const struct disk_reply *h, const struct trust_entry *t, unsigned n, char why[static 600]) {
        char uri[KEY_URI_MAX];
        int r = explain_older(h, t->keys + n, why);

        if (r < 0)
                return r;
        if (t->n_keys == 1) {
                snprintf(why, 600, "the public key in its token is not the one that was pinned when it was enrolled");
                return -EKEYREJECTED;
        }
        key_uri_format(&t->keys[n].key, uri, sizeof(uri));
        for (unsigned i = 0; i < h->n_wraps; i++)
                if (same_key(h->wraps + i, &t->keys[n].key)) {
                        snprintf(why, 600, "the public key in its token of key %s is not the one that was pinned when it was "
                                 "enrolled", uri);
                        return -EKEYREJECTED;
                }
        snprintf(why, 600, "its header has no token of key %s, which is on this node's list: an old header was put back, or the "
                 "key was taken out elsewhere (\"cmkctl enroll --remove\" takes it off the list too)", uri);
        return -ENOENT;
}

int wrap_choose(const struct disk_reply *h, const struct trust_entry *t, bool lenient, struct wrap_choice *ret,
                char why[static 600]) {
        struct wrap_choice c = {};
        int missing = -1;

        for (unsigned i = 0; !t && i < h->n_wraps; i++)
                c.at[c.n++] = i;
        for (unsigned i = 0; t && i < t->n_keys; i++) {
                int at = find_listed(h, t->keys + i, &c);

                if (at < 0) {
                        missing = (int) i;
                        if (lenient)
                                continue;
                        return explain_missing(h, t, i, why);
                }
                if (h->wraps[at].generation < t->keys[i].generation) {
                        snprintf(why, 600, "its header is of generation %llu, this node has seen %llu: an old header was put back",
                                 (unsigned long long) h->wraps[at].generation, (unsigned long long) t->keys[i].generation);
                        return -ESTALE;
                }
                c.at[c.n++] = (unsigned) at;
        }
        if (c.n == 0)
                return explain_missing(h, t, (unsigned) MAX_OF(missing, 0), why);
        *ret = c;
        return 0;
}
