/* SPDX-License-Identifier: Apache-2.0 */
#include "wrap.h"

#include "common/config-azure.h"
#include "common/log.h"
#include "key.h"
#include "lease-keys.h"
#include "manager.h"
#include "wrap-mark.h"

static struct wrap *wrap_free(struct wrap *w) {
        if (!w)
                return NULL;
        key_unbind(w);
        free(w);
        return NULL;
}

static struct wrap *find_bound(struct volume *v, const char *uri) {
        for (unsigned i = 0; i < v->n_wraps; i++)
                if (v->wraps[i] && streq(v->wraps[i]->uri, uri))
                        return v->wraps[i];
        return NULL;
}

static int bind_one(struct wrap *w, const struct disk_wrap *h, bool strict, char why[static 600]) {
        const struct vault_config *vault;
        struct key_uri u;
        const char *reason;
        int r;

        if (key_uri_parse(h->key, &u, &reason) < 0) {
                snprintf(why, 600, "its token does not name a key: %s", reason);
                return -EINVAL;
        }
        vault = config_find_vault_for(w->volume->manager->config, &u, h->algorithm, &reason);
        if (!vault) {
                snprintf(why, 600, "key %s is refused: %s", h->key, reason);
                return strict ? -EPERM : 0;
        }
        r = key_bind(w, h, &u, vault);
        if (r == -EINVAL)
                snprintf(why, 600, "the public key of %s is of no use", h->key);
        else if (r < 0)
                snprintf(why, 600, "out of memory");
        return r;
}

/* A new one that stands for a token, bound or not. */
static int wrap_new(struct volume *v, const struct disk_wrap *h, bool strict, struct wrap **ret, char why[static 600]) {
        struct wrap *w = calloc(1, sizeof(*w));
        int r;

        if (!w) {
                snprintf(why, 600, "out of memory");
                return -ENOMEM;
        }
        w->volume = v;
        snprintf(w->uri, sizeof(w->uri), "%s", h->key);
        r = bind_one(w, h, strict, why);
        if (r < 0) {
                free(w);
                return r;
        }
        *ret = w;
        return 0;
}

int wraps_bind(struct volume *v, const struct wrap_choice *c, bool strict, char why[static 600]) {
        struct wrap *wraps[DISK_WRAPS_MAX] = {}, *fresh[DISK_WRAPS_MAX] = {};
        int r;

        for (unsigned i = 0; i < c->n; i++) {
                const struct disk_wrap *h = v->header.wraps + c->at[i];
                struct wrap *known = find_bound(v, h->key);

                /* one whose vault was not allowed may be by now, and a pinned key that changed is another key */
                if (known && known->key && key_has_token(known->key, h)) {
                        wraps[i] = known;
                        continue;
                }
                r = wrap_new(v, h, strict, &fresh[i], why);
                if (r < 0) {
                        for (unsigned k = 0; k < i; k++)
                                wrap_free(fresh[k]);
                        return r;
                }
                fresh[i]->begun = known ? known->begun : (struct instant) {};
                fresh[i]->adopted = known ? known->adopted : (struct instant) {};
                wraps[i] = fresh[i];
        }
        for (unsigned i = 0; i < v->n_wraps; i++) {
                bool stays = false;

                for (unsigned k = 0; k < c->n; k++)
                        stays |= wraps[k] == v->wraps[i];
                if (!stays)
                        wrap_free(v->wraps[i]);
        }
        memcpy(v->wraps, wraps, sizeof(v->wraps));
        v->n_wraps = c->n;
        wrap_mark_apply(v);
        manager_volume_policy(v->manager, v);              /* the owners' floors hold for it too */
        for (unsigned i = 0; i < v->n_wraps; i++)
                if (v->wraps[i]->key)
                        key_bound(v->wraps[i]);
        return 0;
}

void wraps_unbind(struct volume *v) {
        for (unsigned i = 0; i < v->n_wraps; i++)
                v->wraps[i] = wrap_free(v->wraps[i]);
        v->n_wraps = 0;
}

void wraps_tighten(const struct volume *v, struct policy *p) {
        for (unsigned i = 0; i < v->n_wraps; i++)
                if (v->wraps[i]->key)
                        policy_tighten(p, &v->wraps[i]->key->attributes.floors);
}

bool wraps_have_heard(const struct volume *v) {
        for (unsigned i = 0; i < v->n_wraps; i++)
                if (v->wraps[i]->key && v->wraps[i]->key->track.n_granted > 0)
                        return true;
        return false;
}

struct lease_key wrap_lease_key(const struct wrap *w) {
        return (struct lease_key) { .track = w->key ? &w->key->track : NULL, .begun = w->begun, .adopted = w->adopted };
}

void wraps_lease_keys(const struct volume *v, struct lease_keys *ret) {
        *ret = (struct lease_keys) { .n = v->n_wraps };
        for (unsigned i = 0; i < v->n_wraps; i++)
                ret->keys[i] = wrap_lease_key(v->wraps[i]);
}

struct instant wraps_lease_begin(const struct volume *v) {
        struct instant now = instant_now();
        struct lease_keys k;
        struct lease_sum s;

        wraps_lease_keys(v, &k);
        if (k.n == 0)
                return (struct instant) {};
        lease_keys_add_up(&k, now, &v->policy, now, &s);
        return s.has_lease ? s.lease : (struct instant) {};
}

bool wraps_are_granted(const struct volume *v) {
        const struct key *worst = wraps_telling_key(v);
        bool one = false;

        for (unsigned i = 0; i < v->n_wraps; i++)
                one |= v->wraps[i]->key && v->wraps[i]->key->track.state == KEY_GRANTED;
        return one && (v->policy.revoke == REVOKE_ALL || !(worst->track.revoked_seen || worst->track.denied_seen));
}

struct key *wraps_telling_key(const struct volume *v) {
        struct lease_keys k;

        if (!volume_has_key(v))
                return NULL;
        wraps_lease_keys(v, &k);
        return v->wraps[lease_keys_telling(&k, &v->policy)]->key;
}

void wraps_schedule(struct volume *v) {
        for (unsigned i = 0; i < v->n_wraps; i++)
                if (v->wraps[i]->key)
                        key_schedule(v->wraps[i]->key);
}
