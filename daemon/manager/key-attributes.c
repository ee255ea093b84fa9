/* SPDX-License-Identifier: Apache-2.0 */
#include "key-attributes.h"

#include <inttypes.h>
#include <syslog.h>

#include "attributes-mark.h"
#include "budget.h"
#include "common/config-azure.h"
#include "common/log.h"
#include "key.h"
#include "manager.h"

static void record(struct key *k, const char *event, uint8_t priority, const char *field, const char *value) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        audit_record_start(r, event, priority, false);
        audit_record_add(r, "key", k->uri_text);
        audit_record_add(r, field, value);
        audit_record_add(r, "ignored", k->attributes.text.ignored);
        manager_record(k->manager, r);
}

static void floors_changed(struct key *k) {
        const struct floors_text *t = &k->attributes.text;
        const char *floors = *t->floors ? t->floors : "none";
        struct wrap *w;

        log_notice("Key %s: its owner's floors: %s", k->uri_text, floors);
        if (*t->ignored)
                log_warning("Key %s: tags of its owner that do not count: %s", k->uri_text, t->ignored);
        record(k, "owner_floors", LOG_NOTICE, "floors", floors);
        LIST_FOREACH(w, &k->wraps, of_key) {
                manager_volume_policy(k->manager, w->volume);
                for (unsigned i = 0; i < w->volume->n_wraps; i++)
                        if (w->volume->wraps[i]->key && w->volume->wraps[i]->key != k)
                                key_policy_changed(w->volume->wraps[i]->key);
        }
        key_policy_changed(k);
}

/* Each once, until it is extended. */
static void look_at_expiry(struct key *k) {
        bool expired = attributes_expired(&k->attributes, instant_now()), soon;
        char text[32];

        soon = attributes_expire_soon(&k->attributes, instant_now(), text);
        if (soon && !k->attributes.soon_said) {
                log_warning("Key %s: volumes need it, and it expires at %s", k->uri_text, text);
                snprintf(text, sizeof(text), "%" PRIu64, k->attributes.expires);
                record(k, "key_expires_soon", LOG_WARNING, "expires", text);
        }
        k->attributes.soon_said = soon;

        if (expired && !k->attributes.expiry_said) {
                log_warning("Key %s: it is past its expiry date (%" PRIu64 " s since 1970)", k->uri_text,
                            k->attributes.expires);
                snprintf(text, sizeof(text), "%" PRIu64, k->attributes.expires);
                record(k, "key_expired", LOG_WARNING, "expires", text);
        }
        k->attributes.expiry_said = expired;
}

bool key_is_over_budget(const struct key *k, char *buf, size_t size) {
        const struct vault_config *vault = config_vault_by_name(k->manager->config, k->vault);
        uint64_t nodes = vault ? vault->fleet_size : 0, shortest;
        double weights = 0;
        const struct key *other;

        if (k->attributes.bits == 0 || (vault && config_azure_is_managed_hsm(vault)))     /* not throttled */
                return false;
        LIST_FOREACH(other, &k->manager->keys, keys)
                if (other->attributes.bits > 0 && streq(other->vault, k->vault))
                        weights += budget_weight(other->attributes.bits, other->attributes.hsm, follow_wants(other), other->stored);
        shortest = budget_shortest_poll_usec(nodes, weights);
        if (shortest <= k->timing.poll_usec)
                return false;
        snprintf(buf, size, "%" PRIu64 " nodes that poll every %" PRIu64 " s take %u %% of the vault's limit, a quarter is the "
                 "most: PollSec=%" PRIu64 " or more", nodes, k->timing.poll_usec / USEC_PER_SEC,
                 budget_percent(nodes, weights, k->timing.poll_usec), (shortest + USEC_PER_SEC - 1) / USEC_PER_SEC);
        return true;
}

/* Once, until it fits. */
static void look_at_budget(struct key *k) {
        char text[160];
        bool over = key_is_over_budget(k, text, sizeof(text));

        if (over && !k->attributes.budget_said)
                log_warning("Key %s: %s", k->uri_text, text);
        k->attributes.budget_said = over;
}

/* Refused at enrolment, as long as nobody accepts it; what the owner allows later is said once, until it is as it was. Nothing is
 * done about it: that the key works is what the volume was opened for. */
static void look_at_safety(struct key *k, const struct vault_reply *y) {
        const struct vault_config *vault = config_vault_by_name(k->manager->config, k->vault);
        bool unsafe = !(y->key_flags & VAULT_KEY_PURGE_PROTECTED) && vault && !vault->accept_unsafe;

        if (unsafe && !k->attributes.unsafe_said) {
                log_warning("Key %s: it may be destroyed for good, or taken out of its vault: %s", k->uri_text, y->recovery_level);
                record(k, "key_unsafe", LOG_WARNING, "recovery_level", y->recovery_level);
        }
        k->attributes.unsafe_said = unsafe;
}

static void write_marks(const struct key *k) {
        const struct wrap *w;

        LIST_FOREACH(w, &k->wraps, of_key)
                attributes_mark_write(w->volume->uuid, w->uri, &k->attributes);
}

void key_attributes_take(struct key *k, const struct vault_reply *y) {
        struct attributes *a = &k->attributes;
        bool failed = y->verdict != VERDICT_GRANTED, changed;
        uint64_t expires = a->expires;

        if (failed && !a->failing)
                log_warning("Key %s: its attributes cannot be read, what was read before holds: %s (%s: %s)",
                            k->uri_text, verdict_to_string(y->verdict), y->code, y->text);
        a->failing = failed;
        changed = attributes_take(a, y);
        look_at_expiry(k);
        look_at_budget(k);
        if (!failed)
                look_at_safety(k, y);
        if (changed || a->expires != expires)
                write_marks(k);
        if (changed)
                floors_changed(k);
}

static void on_attributes(const struct vault_reply *y, void *user) {
        struct key *k = (struct key *) ((uint8_t *) user - offsetof(struct key, attributes));
        struct instant asked = k->attributes.asked;
        struct vault_reply judged = *y;

        key_attributes_take(k, y);
        attributes_judge(&judged, k->timing.expiry_revokes, instant_now());
        if (judged.verdict == VERDICT_REVOKED)
                key_attributes_revoke(k, &judged, asked);
}

void key_attributes_look(struct key *k) {
        _cleanup_(freep) struct vault_request *q = NULL;
        struct instant now = instant_now();

        if (!attributes_due(&k->attributes, k->track.n_polls, now))
                return;
        q = malloc(sizeof(*q));
        if (!q)
                return;
        key_fill_request(k, VAULT_OP_GET_KEY, q);
        attributes_asked(&k->attributes, k->track.n_polls, now);
        if (worker_ask(k->manager->worker, q, -EBADF, on_attributes, &k->attributes) < 0)
                log_warning("Key %s: its attributes are not asked for: out of memory", k->uri_text);
}

bool key_is_expired(const struct key *k) {
        return k->timing.expiry_revokes && attributes_expired(&k->attributes, instant_now());
}
