/* SPDX-License-Identifier: Apache-2.0 */

/* May it be unlocked, by whose key, and is nobody else about it? What unlock.c asks before the vault is. */

#include "common/config-azure.h"
#include "drill.h"
#include "manager.h"
#include "personalize.h"
#include "unlock.h"

/* What the node's list says about the disk; with Trust=allowed-keys a disk may be unknown. Returns 0 with name and role,
 * or fills the outcome. */
static int check_identity(struct unlock *u, struct outcome *o, const char **ret_name, enum role *ret_role) {
        const struct disk_reply *h = &u->header;
        const struct trust_entry *t = trust_find_uuid(u->manager->trust, h->uuid);

        if (!t) {
                const struct trust_entry *copy = trust_find_made_from(u->manager->trust, h->uuid);

                if (copy && !copy->pending) {
                        outcome_set(o, EXIT_CODE_POLICY, "%s: UUID %s is that of an image which volume %s of this node was copied with: it is "
                                    "another copy, or the image's header was put back", u->device, h->uuid, copy->name);
                        return -EPERM;
                }
                if (*u->name_wanted && !streq(u->name_wanted, h->name) && !streq(u->name_wanted, h->uuid)) {
                        outcome_set(o, EXIT_CODE_POLICY, "%s holds volume %s (%s), not %s", u->device, h->name, h->uuid,
                                    u->name_wanted);
                        return -EPERM;
                }
                const char *node = trust_find_elsewhere(u->manager->trust, h->uuid);

                if (node) {
                        outcome_set(o, EXIT_CODE_POLICY, "%s: volume %s was made for another node: a signed list has it for %s",
                                    u->device, h->uuid, node);
                        return -EPERM;
                }
                if (u->manager->config->trust != TRUST_ALLOWED_KEYS) {
                        outcome_set(o, EXIT_CODE_POLICY, "%s: volume %s is not on this node's list; it was not made or "
                                    "enrolled here, and Trust=listed", u->device, h->uuid);
                        return -EPERM;
                }
                if (trust_find_name(u->manager->trust, h->name)) {
                        outcome_set(o, EXIT_CODE_POLICY, "%s: it calls itself %s, which is the name of another volume on "
                                    "this node's list", u->device, h->name);
                        return -EPERM;
                }
                *ret_name = h->name;
                *ret_role = (enum role) h->role;
                return 0;
        }
        if (*u->name_wanted && !streq(u->name_wanted, t->name) && !streq(u->name_wanted, t->uuid)) {
                outcome_set(o, EXIT_CODE_POLICY, "%s holds volume %s (%s), not %s", u->device, t->name, t->uuid, u->name_wanted);
                return -EPERM;
        }
        if (t->drill != drill_owns(u->manager, u->device)) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: %s", u->device,
                            t->drill ? "it says that it is the volume of a drill, and is not the device of one"
                                     : "it is the device of a drill, and not its volume");
                return -EPERM;
        }
        *ret_name = t->name;
        *ret_role = t->role;
        return 0;
}

static bool is_key(const struct disk_wrap *w, const struct key_uri *key) {
        struct key_uri u;

        return key_uri_parse(w->key, &u, NULL) >= 0 && key_uri_same_key(&u, key);
}

static bool is_version(const struct disk_wrap *w, const struct key_uri *key) {
        char uri[KEY_URI_MAX];

        key_uri_format(key, uri, sizeof(uri));
        return streq(w->key, uri);
}

static bool is_picked(const struct unlock *u, const struct disk_wrap *w) {
        switch (u->pick) {
        case PICK_TOKEN:
                return w->token == u->pick_token;
        case PICK_KEY:
                return is_key(w, &u->pick_key);
        case PICK_VERSION:
                return is_version(w, &u->pick_key);
        case PICK_OTHERS:
                return !is_key(w, &u->pick_key);
        default:
                return true;
        }
}

/* A key that is not on the list yet: its own enrolment asks for it. */
static void choose_unlisted(struct unlock *u) {
        for (unsigned i = 0; i < u->header.n_wraps; i++)
                if (is_picked(u, u->header.wraps + i)) {
                        u->choice.at[0] = i;
                        u->choice.n = 1;
                }
}

static int choose_keys(struct unlock *u, const char *name, struct outcome *o) {
        const struct trust_entry *t = trust_find_uuid(u->manager->trust, u->header.uuid);
        char why[600] = "";
        int r;

        /* In early boot the list is a copy, which a key that was taken out since may still be on. */
        r = wrap_choose(&u->header, t, u->verb->lenient || u->manager->trust_early, &u->choice, why);
        if (r < 0 && u->verb->older)
                r = wrap_choose(&u->header, NULL, true, &u->choice, why);
        if (r < 0) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: %s", name, why);
                return -EPERM;
        }
        if (u->pick == PICK_KEY || u->pick == PICK_VERSION)
                choose_unlisted(u);
        for (unsigned i = 0; i < u->choice.n; i++)
                if (is_picked(u, u->header.wraps + u->choice.at[i]))
                        u->tries.at[u->tries.n++] = u->choice.at[i];
        if (u->tries.n > 0)
                return 0;
        outcome_set(o, EXIT_CODE_POLICY, u->pick == PICK_TOKEN ? "%s: token %u is of no key that this node knows of it"
                    : u->pick == PICK_KEY || u->pick == PICK_VERSION ? "%s: its header has no token of that key" : "%s: it would be left without a key",
                    name, u->pick_token);
        return -EPERM;
}

/* What a header says of an encryption counts where the list says so too: it could make plain what is written. */
static int check_encryption(const struct unlock *u, const char *name, struct outcome *o) {
        const struct trust_entry *t = trust_find_uuid(u->manager->trust, u->header.uuid);
        bool rekeying = u->header.flags & DISK_FLAG_REKEYING;
        uint64_t left = t && !*t->list ? trust_left(t, u->header.flags) : 0;

        if (!(u->header.flags & DISK_FLAG_ENCRYPTING))
                return 0;
        if (left == 0)
                outcome_set(o, EXIT_CODE_POLICY, "%s: the header of %s says that %s, and this node's list does not: it is an older header, or "
                            "forged", name, u->device, rekeying ? "its volume key is being changed" : "it is being encrypted in place");
        else if (u->header.plain > left)
                outcome_set(o, EXIT_CODE_POLICY, "%s: the header of %s says that %llu bytes are not encrypted %s, where %llu were left: it "
                            "is an older header, or forged", name, u->device, (unsigned long long) u->header.plain,
                            rekeying ? "by the new key yet" : "yet", (unsigned long long) left);
        else if (!u->verb->while_encrypted)
                outcome_set(o, EXIT_CODE_BUSY, "%s: it is being encrypted: %s is possible when that has ended (\"cmkctl status %s\")",
                            name, u->verb->name, name);
        return o->code == EXIT_CODE_DONE ? 0 : -EPERM;
}

int unlock_check_identity(struct unlock *u, struct outcome *o, const char **ret_name, enum role *ret_role) {
        int r;

        if (!u->verb->look)
                personalize_seen(u->manager, u->header.uuid);
        r = check_identity(u, o, ret_name, ret_role);
        if (r >= 0)
                r = check_encryption(u, *ret_name, o);
        return r < 0 ? r : choose_keys(u, *ret_name, o);
}

int unlock_may_own(const struct volume *v, const char **ret_why) {
        if (!v->owner)
                return 0;
        *ret_why = "an unlock of it is under way, which a cut has overtaken";
        return -EBUSY;
}

int unlock_claim_volume(struct unlock *u, const char *name, enum role role, struct outcome *o) {
        struct manager *m = u->manager;
        struct volume *v = manager_volume_by_uuid(m, u->header.uuid);
        const char *why;
        int r;

        if (v) {
                bool same = u->verb->open_is_done && streq(v->device, u->device);

                if (same && volume_is_attaching(v))
                        return -EINPROGRESS;
                r = unlock_may_own(v, &why);
                if (r >= 0)
                        r = volume_may_attach(v, &why);
                if (u->automatic && volume_is_open(v))
                        r = -EALREADY;           /* in whatever condition: that is not udev's to change */
                if (r == -EALREADY && same) {
                        o->volume = v;
                        return r;
                }
                if (r < 0) {
                        bool second = !streq(v->device, u->device);

                        outcome_set(o, second ? EXIT_CODE_POLICY : EXIT_CODE_BUSY,
                                    second ? "%s: volume %s is in use from %s: a second disk with its UUID is refused"
                                           : "%s: volume %s: %s", u->device, v->name, second ? v->device : why);
                        return -EBUSY;
                }
        } else {
                r = manager_volume_add(m, u->header.uuid, name, role, &v);
                if (r < 0) {
                        outcome_set(o, r == -EEXIST ? EXIT_CODE_POLICY : EXIT_CODE_FAILED, "%s: %s", u->device,
                                    r == -EEXIST ? "a volume of this name is known already" : strerror(-r));
                        return r;
                }
        }
        u->before = v->state;
        u->volume = v;
        v->owner = u;
        snprintf(v->device, sizeof(v->device), "%s", u->device);
        return volume_set_state(v, VOLUME_ATTACHING);
}

/* A volume that is in nobody's list, for records and requests: the real one may be closed or cut while this goes on. */
int unlock_claim_header(struct unlock *u, const char *name, enum role role, struct outcome *o) {
        const struct volume *v = manager_volume_by_uuid(u->manager, u->header.uuid);

        if (v && volume_is_open(v) && !streq(v->device, u->device)) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: volume %s is in use from %s: a second disk with its UUID is refused",
                            u->device, v->name, v->device);
                return -EBUSY;
        }
        u->volume = volume_new(u->manager, u->header.uuid, name, role);
        if (!u->volume) {
                outcome_set(o, EXIT_CODE_FAILED, "%s: out of memory", u->device);
                return -ENOMEM;
        }
        snprintf(u->volume->device, sizeof(u->volume->device), "%s", u->device);
        u->volume->header = u->header;
        if (v && volume_is_open(v))
                memcpy(u->volume->use_id, v->use_id, sizeof(v->use_id));
        else
                random_uuid(u->volume->use_id);
        return 0;
}

static const struct disk_wrap *wrap_of(const struct unlock *u, unsigned i) {
        return u->header.wraps + u->tries.at[i];
}

/* Returns NULL with the outcome filled in. */
static const struct vault_config *find_vault(struct unlock *u, const struct disk_wrap *w, struct key_uri *uri,
                                             struct outcome *o) {
        const struct vault_config *vault = NULL;
        const char *why;

        if (key_uri_parse(w->key, uri, &why) < 0)
                outcome_set(o, EXIT_CODE_POLICY, "%s: its token does not name a key: %s", u->device, why);
        else {
                vault = config_find_vault_for(u->manager->config, uri, w->algorithm, &why);
                if (!vault)
                        outcome_set(o, EXIT_CODE_POLICY, "%s: key %s is refused: %s. Allowed vaults are in /etc/cmkd/cmkd.conf, "
                                    "[Vault NAME]", u->device, w->key, why);
        }
        return vault;
}

int unlock_check_key(struct unlock *u, struct key_uri *uri, struct outcome *o) {
        u->vault = find_vault(u, wrap_of(u, u->at), uri, o);
        return u->vault ? 0 : -EPERM;
}

/* As the configuration has it; an owner who says otherwise is heard before anything is opened. */
static enum revoke configured_revoke(const struct unlock *u, const char *name, enum role role) {
        struct policy p;

        return policy_make(u->manager->config, role, name, NULL, &p, NULL) >= 0 ? p.revoke : REVOKE_ANY;
}

int unlock_check_keys(struct unlock *u, const char *name, enum role role, struct outcome *o) {
        struct wrap_choice allowed = {};
        struct key_uri uri;
        bool all_count;

        u->revoke = configured_revoke(u, name, role);
        all_count = !u->verb->header_only && u->revoke == REVOKE_ANY;
        for (unsigned i = 0; i < u->choice.n && all_count; i++)
                if (!find_vault(u, u->header.wraps + u->choice.at[i], &uri, o)) {
                        if (u->choice.n > 1)
                                outcome_add(o, ". An owner who is never asked could not revoke the volume: allow the vault, take the key out "
                                            "(\"cmkctl enroll --remove\"), or say Revoke=all");
                        return -EPERM;
                }
        for (unsigned i = 0; i < u->tries.n; i++)
                if (find_vault(u, wrap_of(u, i), &uri, o))
                        allowed.at[allowed.n++] = u->tries.at[i];
        if (allowed.n == 0)
                return -EPERM;
        u->tries = allowed;
        return unlock_check_key(u, &uri, o);
}
