/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "common/algorithm.h"
#include "edit.h"
#include "unlock-key.h"

int op_check_new_key(const struct disk_request *q, struct disk_reply *y) {
        struct key_uri uri;
        const char *why;

        if (key_uri_parse(q->key, &uri, &why) < 0)
                return op_fail(y, -EINVAL, EXIT_CODE_USAGE, "%s is not the identifier of a key: %s", q->key, why);
        if (!uri.version[0])
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "%s names no version of the key", q->key);
        if (q->flags & DISK_FLAG_STORED && (algorithm_is_symmetric(q->algorithm) || q->wrapped_size != DISK_DIGEST_SIZE))
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "What the vault keeps for %s is not said as it should be", q->key);
        if (algorithm_is_symmetric(q->algorithm)) {
                if (!canary_is_valid(q->algorithm, q->spki, q->spki_size) ||
                    q->wrapped_size != DISK_W_SIZE + algorithm_overhead(q->algorithm))
                        return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "The vault did not wrap as keys like %s do", q->key);
                return 0;
        }
        if (!algorithm_is_rsa(q->algorithm))
                return op_fail(y, -EOPNOTSUPP, EXIT_CODE_FAILED, "Wrapping with %s is not known here", q->algorithm);
        if (public_key_check(q->spki, q->spki_size, &why) < 0)
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "The public key of %s is not usable: %s", q->key, why);
        return 0;
}

bool op_is_given_secret(const struct disk_request *q) {
        return q->flags & DISK_FLAG_STORED || algorithm_is_symmetric(q->algorithm);
}

int op_fill_token(const struct disk_request *q, const char *uuid, const struct secret *w, struct token *t) {
        *t = (struct token) {
                .role = (enum role) q->role, .generation = MAX_OF(q->generation, 1u), .spki_size = q->spki_size, .proof_time = q->proof_time,
                .stored = q->flags & DISK_FLAG_STORED,
        };
        strcpy(t->uuid, uuid);
        strcpy(t->name, q->name);
        strcpy(t->key, q->key);
        strcpy(t->algorithm, q->algorithm);
        strcpy(t->proof_request_id, q->proof_request_id);
        memcpy(t->spki, q->spki, q->spki_size);
        random_bytes(t->salt, sizeof(t->salt));
        if (op_is_given_secret(q)) {
                memcpy(t->wrapped, q->wrapped, q->wrapped_size);
                t->wrapped_size = q->wrapped_size;
                return 0;
        }
        return wrap_secret(q->algorithm, q->spki, q->spki_size, w, t->wrapped, &t->wrapped_size);
}

/* The new key's keyslot opens too, with what its own W gives. */
static int opens_with_new(const struct edit *e, struct luks *l, const struct header *h) {
        const struct header_wrap *w = header_find_wrap(&h->layout, e->request->key);
        _cleanup_(secret_freep) struct secret *key = NULL;
        int r;

        if (!w || h->layout.n_wraps != e->volume.header->layout.n_wraps + 1)
                return -EUCLEAN;
        r = luks_unlock(l, w->token.keyslot, e->also_secret, &key);
        return r < 0 ? r : secret_equal(key, e->volume.volume_key) ? 0 : -EUCLEAN;
}

int op_new_wrap(const struct disk_request *q, const char *uuid, int fd, struct token *ret, struct secret **ret_unlock_key) {
        _cleanup_(secret_freep) struct secret *w = NULL;
        int r;

        if (!op_is_given_secret(q))
                r = secret_random(DISK_W_SIZE, &w);
        else
                r = fd < 0 ? -EBADF : secret_read(fd, DISK_W_SIZE, &w);
        if (r >= 0)
                r = op_fill_token(q, uuid, w, ret);
        return r < 0 ? r : unlock_key_derive(w, ret->salt, uuid, ret->role, ret->generation, ret_unlock_key);
}

static int add(struct edit *e, const struct disk_request *q, int in_fd, struct disk_reply *y) {
        _cleanup_(secret_freep) struct secret *unlock_key = NULL;
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        struct token t;
        int r;

        r = op_new_wrap(q, q->uuid, in_fd, &t, &unlock_key);
        if (r >= 0)
                r = luks_wrap_add(&l, e->volume.header, e->volume.device.path, e->volume.volume_key, unlock_key, &t, &image);
        if (r == -ENOSPC)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s has %u keys, and no room for one more", q->name,
                               e->volume.header->layout.n_wraps);
        if (r < 0)
                return edit_fail(r, q, l.said, y);
        e->also = opens_with_new;
        e->also_secret = unlock_key;
        r = edit_commit(e, image, y);
        if (r >= 0)
                y->count = 1;
        return r;
}

/* A key that is there already is what was asked for: an earlier run wrote it, and was not there to say so. */
int op_wrap_add(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(edit_done) struct edit e = EDIT_NONE;
        struct key_uri key;
        int r;

        r = op_check_new_key(q, y);
        if (r >= 0)
                r = edit_begin(&e, q, y);
        if (r < 0)
                return r;
        if (key_uri_parse(q->key, &key, NULL) >= 0 && header_find_same_key(&e.volume.header->layout, &key))
                return 0;
        return add(&e, q, in_fd, y);
}

/* Exactly that token is gone; while a key is rotated there may be another one of it. */
static int is_gone(const struct edit *e, struct luks *l _unused_, const struct header *h) {
        return h->layout.n_wraps + 1 != e->volume.header->layout.n_wraps || header_find_wrap(&h->layout, e->also_key) ? -EUCLEAN : 0;
}

/* Takes one token and its keyslot out. Fills y. */
static int take_out(struct edit *e, const struct header_wrap *w, struct disk_reply *y) {
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        int r;

        r = luks_wrap_remove(&l, e->volume.header, e->volume.device.path, e->volume.volume_key, w, &image);
        if (r < 0)
                return edit_fail(r, e->request, l.said, y);
        e->also = is_gone;
        e->also_key = w->token.key;
        r = edit_commit(e, image, y);
        if (r >= 0)
                y->count = 1;
        return r;
}

/* A run that was killed after the new header counted left the keyslot's bytes: they go in the next one. */
int op_wrap_remove(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(edit_done) struct edit e = EDIT_NONE;
        const struct header_wrap *w;
        struct key_uri key;
        int r;

        if (key_uri_parse(q->key, &key, NULL) < 0)
                return op_fail(y, -EINVAL, EXIT_CODE_USAGE, "%s is not the identifier of a key", q->key);
        r = edit_begin(&e, q, y);
        if (r < 0)
                return r;
        w = header_find_same_key(&e.volume.header->layout, &key);
        if (w && w == e.volume.wrap)
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "%s is taken out by another of its keys, not by itself", q->key);
        r = w ? take_out(&e, w, y) : header_open_writable(&e.volume.device, q->device, y);
        if (r < 0)
                return r;
        r = header_wipe_free(&e.volume.device, w ? e.new : e.volume.header);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "Key %s is taken out of %s, but its keyslot could not be overwritten: %s",
                               q->key, q->name, strerror(-r));
        return 0;
}

/* ---- rotation ---- */

/* Something of that key opens it already, and what comes is newer. */
static int check_successor(const struct header_layout *l, const struct disk_request *q, const struct key_uri *key,
                           struct disk_reply *y) {
        const struct header_wrap *w = header_find_same_key(l, key);

        if (!w)
                return op_fail(y, -ENOENT, EXIT_CODE_FAILED, "The header of %s has no version of key %s", q->device, q->key);
        for (unsigned i = 0; i < l->n_wraps; i++) {
                const struct token *t = &l->wraps[i].token;
                struct key_uri u;

                if (key_uri_parse(t->key, &u, NULL) >= 0 && key_uri_same_key(&u, key) && t->generation >= q->generation)
                        return op_fail(y, -ESTALE, EXIT_CODE_POLICY, "The header of %s is of generation %llu already", q->device,
                                       (unsigned long long) t->generation);
        }
        return 0;
}

/* That version being there already is what was asked for, as above. */
int op_wrap_rotate(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(edit_done) struct edit e = EDIT_NONE;
        struct key_uri key;
        int r;

        r = op_check_new_key(q, y);
        if (r >= 0)
                r = edit_begin(&e, q, y);
        if (r < 0)
                return r;
        if (header_find_wrap(&e.volume.header->layout, q->key))
                return 0;
        if (key_uri_parse(q->key, &key, NULL) < 0)
                return -EINVAL;
        r = check_successor(&e.volume.header->layout, q, &key, y);
        return r < 0 ? r : add(&e, q, in_fd, y);
}

/* The keyslot goes before the token does: killed in between, the token that is left says that there is something to do. */
int op_wrap_drop(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(edit_done) struct edit e = EDIT_NONE;
        const struct header_wrap *w;
        int r;

        if (!*q->key)
                return op_fail(y, -EINVAL, EXIT_CODE_USAGE, "No version is named");
        r = edit_begin(&e, q, y);
        if (r < 0)
                return r;
        w = header_find_wrap(&e.volume.header->layout, q->key);
        if (!w)
                return 0;
        if (w == e.volume.wrap)
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "%s is taken out by another of its keys, not by itself", q->key);
        r = header_open_writable(&e.volume.device, q->device, y);
        if (r < 0)
                return r;
        r = header_wipe_keyslot(&e.volume.device, e.volume.header, w->token.keyslot);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The keyslot of %s on %s could not be overwritten: %s", q->key, q->name,
                               strerror(-r));
        return take_out(&e, w, y);
}
