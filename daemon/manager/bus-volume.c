/* SPDX-License-Identifier: Apache-2.0 */
#include "bus-volume.h"

#include "backup-mark.h"
#include "common/log.h"
#include "encrypt-run.h"
#include "fellows.h"
#include "key-attributes.h"
#include "key.h"
#include "manager.h"
#include "lease-keys.h"
#include "pause.h"
#include "teardown.h"
#include "stored.h"
#include "wrap.h"

int bus_volume_find(sd_bus *sd _unused_, const char *path, const char *interface _unused_, void *user, void **ret_found,
                    sd_bus_error *e _unused_) {
        _cleanup_(freep) char *name = NULL;
        struct volume *v;
        int r;

        r = sd_bus_path_decode(path, BUS_VOLUMES, &name);
        if (r <= 0)
                return r;
        v = manager_volume_by_name(user, name);
        if (!v)
                return 0;
        *ret_found = v;
        return 1;
}

int bus_volume_enumerate(sd_bus *sd _unused_, const char *prefix _unused_, void *user, char ***ret_nodes,
                         sd_bus_error *e _unused_) {
        struct manager *m = user;
        struct volume *v;
        char **nodes;
        size_t n = 0;

        LIST_FOREACH(v, &m->volumes, volumes)
                n++;
        nodes = calloc(n + 1, sizeof(*nodes));
        if (!nodes)
                return -ENOMEM;
        n = 0;
        LIST_FOREACH(v, &m->volumes, volumes)
                if (sd_bus_path_encode(BUS_VOLUMES, v->name, &nodes[n]) >= 0)
                        n++;
        *ret_nodes = nodes;
        return 1;
}

/* A property that is a text kept in the volume itself; its offset is in the vtable. */
static int get_text(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_,
                    const char *property _unused_, sd_bus_message *reply, void *user, sd_bus_error *e _unused_) {
        return sd_bus_message_append(reply, "s", (const char *) user);
}

static const char *state_text(const struct volume *v) {
        return volume_state_to_string(v->state);
}

static const char *role_text(const struct volume *v) {
        return role_to_string(v->role);
}

static const char *verdict_text(const struct volume *v) {
        const struct key *k = wraps_telling_key(v);

        return k && k->track.heard ? verdict_to_string(k->track.last) : "";
}

static const char *code_text(const struct volume *v) {
        const struct key *k = wraps_telling_key(v);

        return k ? k->answer.code : "";
}

static const char *cause_text(const struct volume *v) {
        return v->cause == CAUSE_NONE ? "" : lease_cause_to_string(v->cause);
}

static const char *hold_text(const struct volume *v) {
        return v->hold_not_possible ? v->hold_not_possible : "yes";
}

static const char *recovery_text(const struct volume *v) {
        return v->header.flags & DISK_FLAG_RECOVERY_KEY ? "yes" : "no";
}

/* What the notice that runs ends with. */
static const char *action_text(const struct volume *v) {
        enum action a;

        return teardown_due(v, &a) == USEC_INFINITY ? "" : action_to_string(a);
}

static const char *encryption_text(const struct volume *v) {
        struct encryption_state s;

        return !encrypt_state(v, &s) ? "" : s.running ? "running" : "waiting";
}

static const char *encryption_kind_text(const struct volume *v) {
        struct encryption_state s;

        return !encrypt_state(v, &s) ? "" : s.rekeys ? "reencrypt" : "encrypt";
}

static const struct {
        const char *property;
        const char *(*text)(const struct volume *v);
} texts[] = {
        { "State", state_text }, { "Role", role_text }, { "LastVerdict", verdict_text },
        { "LastCode", code_text }, { "HoldPossible", hold_text }, { "Cause", cause_text },
        { "RecoveryKey", recovery_text }, { "Action", action_text }, { "Key", volume_key_text }, { "Encryption", encryption_text },
        { "EncryptionKind", encryption_kind_text },
};

static int get_derived_text(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_,
                            const char *property, sd_bus_message *reply, void *user, sd_bus_error *e _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (streq(texts[i].property, property))
                        return sd_bus_message_append(reply, "s", texts[i].text(user));
        return -ENOENT;
}

static int get_backup(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_,
                      const char *property _unused_, sd_bus_message *reply, void *user, sd_bus_error *e _unused_) {
        const struct volume *v = user;
        struct backup_mark b;
        char text[400] = "none";

        if (backup_mark_read(v->uuid, &b) >= 0)
                backup_mark_describe(&b, v->header.n_wraps > 0 ? v->header.header_digest : NULL, text, sizeof(text));
        return sd_bus_message_append(reply, "s", text);
}

static int get_node(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_,
                    const char *property _unused_, sd_bus_message *reply, void *user, sd_bus_error *e _unused_) {
        const struct volume *v = user;
        char node[sizeof("/dev/mapper/") + 128] = "";

        if (volume_is_open(v))
                snprintf(node, sizeof(node), "/dev/mapper/%s", v->mapping);
        return sd_bus_message_append(reply, "s", node);
}

static uint64_t seconds_until(uint64_t at, uint64_t now) {
        return at > now ? (at - now) / USEC_PER_SEC : 0;
}

/* What is left of a span that began then, by the clock that is further on. */
static uint64_t left_sec(struct instant begin, uint64_t span_usec) {
        struct instant now = instant_now();

        if (begin.boottime_usec == 0)
                return 0;
        return MIN_OF(seconds_until(begin.boottime_usec + span_usec, now.boottime_usec),
                      seconds_until(begin.realtime_usec + span_usec, now.realtime_usec));
}

/* With several keys of the one that the volume's lease depends on; one that was never granted has no proof. */
static uint64_t since_proof_sec(const struct volume *v, struct instant begin) {
        for (unsigned i = 0; i < v->n_wraps; i++) {
                const struct lease_key k = wrap_lease_key(v->wraps[i]);
                struct instant granted;

                if (lease_key_granted(&k, &granted) && granted.boottime_usec == begin.boottime_usec)
                        return (now_boottime_usec() - begin.boottime_usec) / USEC_PER_SEC;
        }
        return UINT64_MAX;
}

static int get_number(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_,
                      const char *property, sd_bus_message *reply, void *user, sd_bus_error *e _unused_) {
        const struct volume *v = user;
        struct instant begin = wraps_lease_begin(v);
        struct encryption_state s = {};
        uint64_t value = 0;

        (void) encrypt_state(v, &s);
        if (streq(property, "EncryptionSize"))
                value = s.size;
        else if (streq(property, "EncryptionDone"))
                value = s.done;
        else if (streq(property, "EncryptionRate"))
                value = s.rate;
        else if (streq(property, "Generation"))
                value = v->opener < v->header.n_wraps ? v->header.wraps[v->opener].generation : 0;
        else if (streq(property, "SecondsSinceProof"))
                value = since_proof_sec(v, begin);
        else if (streq(property, "LeaseLeftSec"))
                value = left_sec(begin, v->policy.lease_usec);
        else if (streq(property, "GraceLeftSec"))
                value = left_sec(begin, v->policy.lease_usec + v->policy.grace_usec);
        else if (streq(property, "PausedUntilUsec"))
                value = pause_until(v);
        else if (streq(property, "ActionAtUsec")) {
                enum action a;

                value = teardown_due(v, &a);
        }
        return sd_bus_message_append(reply, "t", value);
}

/* Empty: its wrapped key is in the header. */
static const char *secret_text(const struct key *k, char buf[static STORED_NAME_SIZE]) {
        if (!k || !k->stored)
                return "";
        stored_key_name(k->stored_volume, k->stored_digest, buf);
        return buf;
}

static int append_wrap(sd_bus_message *m, const struct wrap *w, const struct policy *p) {
        char secret[STORED_NAME_SIZE];
        const struct key *k = w->key;
        const struct lease_key l = wrap_lease_key(w);
        /* with Revoke=all who was never granted has no lease */
        struct instant begin = p->revoke == REVOKE_ANY ? w->begun : (struct instant) {};
        bool granted = lease_key_granted(&l, &begin);
        uint64_t since = granted ? (now_boottime_usec() - begin.boottime_usec) / USEC_PER_SEC : UINT64_MAX;

        return sd_bus_message_append(m, "a{sv}", 8, "Key", "s", w->uri, "Vault", "s", k ? k->vault : "",
                                     "State", "s", k ? key_state_to_string(k->track.state) : "not allowed on this node",
                                     "LastVerdict", "s", k && k->track.heard ? verdict_to_string(k->track.last) : "",
                                     "LastCode", "s", k ? k->answer.code : "", "SecondsSinceProof", "t", since,
                                     "GraceLeftSec", "t", left_sec(begin, p->lease_usec + p->grace_usec),
                                     "Secret", "s", secret_text(k, secret));
}

static int get_wraps(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_,
                     const char *property _unused_, sd_bus_message *reply, void *user, sd_bus_error *e _unused_) {
        const struct volume *v = user;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (unsigned i = 0; r >= 0 && i < v->n_wraps; i++)
                r = append_wrap(reply, v->wraps[i], &v->policy);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static bool has_other_version(const struct volume *v, const char *uri) {
        struct key_uri a, b;

        for (unsigned i = 0; i < v->n_wraps; i++)
                if (key_uri_parse(v->wraps[i]->uri, &a, NULL) >= 0 && key_uri_parse(uri, &b, NULL) >= 0 && key_uri_same_key(&a, &b))
                        return true;
        return false;
}

/* An enrolment or a rotation that was interrupted, an old header, or a stranger's. */
static int append_unlisted(sd_bus_message *reply, const struct volume *v) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < v->header.n_wraps; i++) {
                char text[KEY_URI_MAX + 160];
                bool known = false;

                for (unsigned k = 0; k < v->n_wraps; k++)
                        known |= streq(v->wraps[k]->uri, v->header.wraps[i].key);
                if (known)
                        continue;
                snprintf(text, sizeof(text), has_other_version(v, v->header.wraps[i].key)
                         ? "its header has another version of its key, %s, not asked, not used: of a rotation that did not end "
                           "(\"cmkctl rotate\"), or of an old header"
                         : "its header has key %s, which is not on this node's list: not asked, not used (\"cmkctl enroll --remove\" takes it out)", v->header.wraps[i].key);
                r = sd_bus_message_append(reply, "s", text);
        }
        return r;
}

/* Whoever has another copy of its image has its volume key. */
static int append_origin(sd_bus_message *reply, const struct volume *v) {
        const struct trust_entry *t = trust_find_uuid(v->manager->trust, v->uuid);
        char text[240];

        if (!t || trust_origin(t) != ORIGIN_IMAGE)
                return 0;
        snprintf(text, sizeof(text), "it has the volume key of the image that it was copied with, as every other copy: \"cmkctl personalize %s\" "
                 "goes on", v->name);
        return sd_bus_message_append(reply, "s", text);
}

/* What became of wrapped keys that the vault keeps. */
static int append_stored(sd_bus_message *reply, const struct volume *v) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < v->n_wraps; i++) {
                const struct key *k = v->wraps[i]->key;
                char text[200];

                if (k && k->stored && stored_text(&k->answer, instant_now().realtime_usec / USEC_PER_SEC, text, sizeof(text)))
                        r = sd_bus_message_append(reply, "s", text);
        }
        return r;
}

/* What its owner should know before the version that it needs goes. */
static int append_version(sd_bus_message *reply, const struct volume *v, const struct key *k) {
        char text[2 * KEY_URI_MAX + 160], date[32];
        int r = 0;

        if (attributes_expired(&k->attributes, instant_now()))
                r = sd_bus_message_append(reply, "s", "its key is past its expiry date");
        if (r >= 0 && attributes_expire_soon(&k->attributes, instant_now(), date)) {
                snprintf(text, sizeof(text), "the version of its key that it needs expires at %s", date);
                r = sd_bus_message_append(reply, "s", text);
        }
        if (r >= 0 && *k->follow.newest) {
                snprintf(text, sizeof(text), "its key has a newer version, %s: \"cmkctl rotate %s\" goes over to it; until then it needs %s",
                         k->follow.newest, v->name, k->uri_text);
                r = sd_bus_message_append(reply, "s", text);
        }
        return r;
}

static int get_findings(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_,
                        const char *property _unused_, sd_bus_message *reply, void *user, sd_bus_error *e _unused_) {
        const struct volume *v = user;
        char budget[160];
        const char *missing;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        if (r >= 0 && v->state == VOLUME_RECOVERY)
                r = sd_bus_message_append(reply, "s", strempty(v->recovery_why));
        else if (r >= 0 && v->unseen)
                r = sd_bus_message_append(reply, "s", "it is mapped, and nobody could look at it yet, which is tried again: until then the vault "
                                          "is not asked, and only a deadline that the breaker had stands");
        else if (r >= 0 && volume_is_open(v) && !v->breaker_set)
                r = sd_bus_message_append(reply, "s", "no deadline is set in the breaker");
        if (r >= 0 && v->state == VOLUME_LINGERING)
                r = sd_bus_message_append(reply, "s", v->lease.cut_done ? "closed, but not clean" : "NOT CUT");
        if (r >= 0)
                r = append_origin(reply, v);
        missing = v->state == VOLUME_CUT && lease_cause_is_undone(v->cause) ? fellows_missing(v) : NULL;
        if (r >= 0 && missing) {
                char text[192];

                snprintf(text, sizeof(text), "waits for %s, which it had a stack in common with", missing);
                r = sd_bus_message_append(reply, "s", text);
        }
        if (r >= 0 && *v->second_mapping) {
                char text[192];

                snprintf(text, sizeof(text), "also mapped as %s, not by cmkd", v->second_mapping);
                r = sd_bus_message_append(reply, "s", text);
        }
        for (unsigned i = 0; r >= 0 && i < v->n_wraps; i++)
                if (v->wraps[i]->key)
                        r = append_version(reply, v, v->wraps[i]->key);
        if (r >= 0)
                r = append_stored(reply, v);
        for (unsigned i = 0; r >= 0 && i < v->n_wraps; i++)
                if (v->wraps[i]->key && key_is_over_budget(v->wraps[i]->key, budget, sizeof(budget)))
                        r = sd_bus_message_append(reply, "s", budget);
        if (r >= 0 && v->n_wraps > 1 && v->policy.revoke == REVOKE_ALL)
                r = sd_bus_message_append(reply, "s", "Revoke=all: one of its owners alone cannot revoke it");
        if (r >= 0 && v->n_wraps > 0)
                r = append_unlisted(reply, v);
        if (r >= 0 && volume_is_open(v) && *v->foreign) {
                char text[256];

                snprintf(text, sizeof(text), "its header has what nobody enrolled: %s", v->foreign);
                r = sd_bus_message_append(reply, "s", text);
        }
        if (r >= 0 && volume_is_open(v) && v->header_changed)
                r = sd_bus_message_append(reply, "s", "its header was changed by others since it was attached: \"cmkctl header accept\" says how");
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_policy(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_,
                      const char *property _unused_, sd_bus_message *reply, void *user, sd_bus_error *e _unused_) {
        const struct volume *v = user;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{ss}");
        for (unsigned k = 0; r >= 0 && k < _POLICY_KEY_MAX; k++) {
                char value[64], text[96];

                policy_value_to_string(&v->policy, (enum policy_key) k, value, sizeof(value));
                snprintf(text, sizeof(text), "%s (%s)", value, policy_source_to_string(v->policy.source[k]));
                r = sd_bus_message_append(reply, "{ss}", policy_key_to_string((enum policy_key) k), text);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

#define TEXT(name, field, flags) SD_BUS_PROPERTY(name, "s", get_text, offsetof(struct volume, field), flags)
#define DERIVED(name) SD_BUS_PROPERTY(name, "s", get_derived_text, 0, 0)
#define NUMBER(name) SD_BUS_PROPERTY(name, "t", get_number, 0, 0)

const sd_bus_vtable bus_volume_vtable[] = {
        SD_BUS_VTABLE_START(0),
        TEXT("Name", name, SD_BUS_VTABLE_PROPERTY_CONST),
        TEXT("UUID", uuid, SD_BUS_VTABLE_PROPERTY_CONST),
        TEXT("Device", device, 0),
        DERIVED("Key"),
        SD_BUS_PROPERTY("Wraps", "aa{sv}", get_wraps, 0, 0),
        TEXT("Use", use_id, 0),
        SD_BUS_PROPERTY("State", "s", get_derived_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        DERIVED("Cause"),
        SD_BUS_PROPERTY("Node", "s", get_node, 0, 0),
        DERIVED("Role"),
        DERIVED("LastVerdict"),
        DERIVED("LastCode"),
        DERIVED("HoldPossible"),
        DERIVED("RecoveryKey"),
        TEXT("Flags", activation, 0),
        SD_BUS_PROPERTY("HeaderBackup", "s", get_backup, 0, 0),
        NUMBER("SecondsSinceProof"),
        NUMBER("LeaseLeftSec"),
        NUMBER("GraceLeftSec"),
        NUMBER("Generation"),
        NUMBER("PausedUntilUsec"),
        DERIVED("Action"),
        NUMBER("ActionAtUsec"),
        DERIVED("Encryption"),
        DERIVED("EncryptionKind"),
        NUMBER("EncryptionSize"),
        NUMBER("EncryptionDone"),
        NUMBER("EncryptionRate"),
        SD_BUS_PROPERTY("Findings", "as", get_findings, 0, 0),
        SD_BUS_PROPERTY("Policy", "a{ss}", get_policy, 0, 0),
        SD_BUS_VTABLE_END
};
