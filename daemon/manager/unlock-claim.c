/* SPDX-License-Identifier: Apache-2.0 */

/* May it be unlocked, by whose key, and is nobody else about it? What unlock.c asks before the vault is. */

#include "drill.h"
#include "manager.h"
#include "unlock.h"

/* What the node's list says about the disk; with Trust=allowed-keys a disk may be unknown. Returns 0 with name and role,
 * or fills the outcome. */
int unlock_check_identity(struct unlock *u, struct outcome *o, const char **ret_name, enum role *ret_role) {
        const struct disk_reply *h = &u->header;
        const struct trust_entry *t = trust_find_uuid(u->manager->trust, h->uuid);

        if (!t) {
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
        if (h->generation < t->generation) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: its header is of generation %llu, this node has seen %llu: an old "
                            "header was put back", t->name, (unsigned long long) h->generation,
                            (unsigned long long) t->generation);
                return -EPERM;
        }
        if (h->spki_size != t->spki_size || memcmp(h->spki, t->spki, t->spki_size) != 0) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: the public key in its token is not the one that was pinned when it "
                            "was enrolled", t->name);
                return -EPERM;
        }
        *ret_name = t->name;
        *ret_role = t->role;
        return 0;
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

int unlock_check_key(struct unlock *u, struct key_uri *uri, struct outcome *o) {
        const char *why;

        if (key_uri_parse(u->header.key, uri, &why) < 0) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: its token does not name a key: %s", u->device, why);
                return -EINVAL;
        }
        u->vault = config_find_vault(u->manager->config, uri, &why);
        if (!u->vault) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: key %s is refused: %s. Allowed vaults are in /etc/cmkd/cmkd.conf, "
                            "[Vault NAME]", u->device, u->header.key, why);
                return -EPERM;
        }
        return 0;
}
