/* SPDX-License-Identifier: Apache-2.0 */
#include "attributes.h"

#include <time.h>

void attributes_init(struct attributes *a) {
        *a = (struct attributes) {};
        policy_floors_init(&a->floors);
}

bool attributes_due(const struct attributes *a, uint64_t n_polls, struct instant now) {
        if (a->asked.boottime_usec == 0)
                return true;
        return n_polls >= a->polls + ATTRIBUTES_POLLS &&
               now.boottime_usec >= a->asked.boottime_usec + ATTRIBUTES_MIN_USEC;
}

void attributes_asked(struct attributes *a, uint64_t n_polls, struct instant now) {
        a->asked = now;
        a->polls = n_polls;
}

bool attributes_take(struct attributes *a, const struct vault_reply *y) {
        struct policy_floors floors;
        struct floors_text text;
        bool changed;

        if (y->verdict != VERDICT_GRANTED)
                return false;
        floors_from_tags(y->tags, y->n_tags, y->key_flags & VAULT_KEY_TAGS_LEFT_OUT, &floors, &text);
        changed = !floors_equal(&floors, &a->floors) || !streq(text.ignored, a->text.ignored);
        a->expires = y->expires;
        if (y->key_bits > 0) {
                a->bits = y->key_bits;
                a->hsm = y->key_flags & VAULT_KEY_HSM;
        }
        memcpy(a->tags, y->tags, sizeof(a->tags));
        a->n_tags = y->n_tags;
        a->floors = floors;
        a->text = text;
        return changed;
}

static bool is_past(uint64_t expires, struct instant now) {
        return expires > 0 && now.realtime_usec / USEC_PER_SEC >= expires;
}

bool attributes_expired(const struct attributes *a, struct instant now) {
        return is_past(a->expires, now);
}

static void format_date(uint64_t seconds, char buf[static 32]) {
        time_t t = (time_t) seconds;
        struct tm tm;

        *buf = 0;
        if (gmtime_r(&t, &tm))
                strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

bool attributes_expire_soon(const struct attributes *a, struct instant now, char buf[static 32]) {
        uint64_t seconds = now.realtime_usec / USEC_PER_SEC;

        if (a->expires <= seconds || a->expires - seconds > ATTRIBUTES_SOON_SEC)
                return false;
        format_date(a->expires, buf);
        return true;
}

void attributes_judge(struct vault_reply *y, bool expiry_revokes, struct instant now) {
        char date[32];

        if (y->verdict != VERDICT_GRANTED)
                return;
        if (!(y->key_flags & VAULT_KEY_ENABLED)) {
                y->verdict = VERDICT_REVOKED;
                snprintf(y->code, sizeof(y->code), "attributes: disabled");
                snprintf(y->text, sizeof(y->text), "the vault says that the key is not enabled");
        } else if (expiry_revokes && is_past(y->expires, now)) {
                format_date(y->expires, date);
                y->verdict = VERDICT_REVOKED;
                snprintf(y->code, sizeof(y->code), "attributes: expired");
                snprintf(y->text, sizeof(y->text), "the key expired at %s, and OnKeyExpiry=revoke", date);
        }
}
