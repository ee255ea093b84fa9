/* SPDX-License-Identifier: Apache-2.0 */
#include "floors.h"

#include <stdarg.h>

/* A row a tag: words NULL is a time span. */
static const struct row {
        const char *tag;
        size_t field;
        int (*words)(const char *s);
        const char *allowed;
} rows[] = {
#define ACTIONS "report, hold, cut, poweroff or reboot"
#define SPAN "a time span such as 30, 500ms or 1h 30min"
#define WORD(tag, field, parse, allowed) \
        { VAULT_TAG_PREFIX tag, offsetof(struct policy_floors, settings.field), parse, allowed }
#define TIME(tag, field) { VAULT_TAG_PREFIX tag, offsetof(struct policy_floors, field), NULL, SPAN }
        WORD("on-revoked", on_revoked, action_from_string, ACTIONS),
        WORD("on-denied", on_denied, action_from_string, ACTIONS),
        WORD("on-unreachable", on_unreachable, action_from_string, ACTIONS),
        WORD("on-reenable", on_reenable, reenable_from_string, "nothing or attach"),
        WORD("on-key-expiry", on_key_expiry, key_expiry_from_string, "report or revoke"),
        WORD("recovery", recovery, recovery_from_string, "allow or never"),
        WORD("revoke", revoke, revoke_from_string, "any or all"),
        TIME("notice-sec", settings.notice_usec),
        TIME("poll-sec", settings.poll_usec),
        TIME("lease-sec", settings.lease_usec),
        TIME("grace-sec", settings.grace_usec),
        TIME("hold-sec", settings.hold_usec),
        TIME("pause-max-sec", pause_max_usec),
};

static void _printf_(4, 5) append(char *buf, size_t size, const char *separator, const char *format, ...) {
        size_t n = strlen(buf);
        va_list ap;

        n += (size_t) snprintf(buf + n, size - n, "%s", n > 0 ? separator : "");
        if (n >= size)
                return;
        va_start(ap, format);
        vsnprintf(buf + n, size - n, format, ap);
        va_end(ap);
}

static const struct row *find_row(const char *tag) {
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (streq(rows[i].tag, tag))
                        return rows + i;
        return NULL;
}

static const char *nearest_tag(const char *tag) {
        const char *best = "";
        size_t least = SIZE_MAX;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                size_t d = word_distance(tag, rows[i].tag);

                if (d < least) {
                        least = d;
                        best = rows[i].tag;
                }
        }
        return best;
}

static bool take(const struct row *row, const char *value, struct policy_floors *f) {
        uint8_t *to = (uint8_t *) f + row->field;
        int word;

        if (!row->words)
                return parse_span(value, (uint64_t *) to) >= 0;
        word = row->words(value);
        if (word >= 0)
                *(int *) to = word;
        return word >= 0;
}

void floors_from_tags(const struct vault_tag *tags, size_t n, bool left_out, struct policy_floors *ret,
                      struct floors_text *ret_text) {
        *ret_text = (struct floors_text) {};
        policy_floors_init(ret);
        for (size_t i = 0; i < n; i++) {
                const struct row *row = find_row(tags[i].name);

                if (!row)
                        append(ret_text->ignored, sizeof(ret_text->ignored), "; ",
                               "there is no tag %s; is %s meant?", tags[i].name, nearest_tag(tags[i].name));
                else if (!take(row, tags[i].value, ret))
                        append(ret_text->ignored, sizeof(ret_text->ignored), "; ", "%s=%s: allowed is %s",
                               tags[i].name, tags[i].value, row->allowed);
                else
                        append(ret_text->floors, sizeof(ret_text->floors), " ", "%s=%s", tags[i].name, tags[i].value);
        }
        if (left_out)
                append(ret_text->ignored, sizeof(ret_text->ignored), "; ", "tags beyond the first %u, or with names or "
                       "values that are too long or no printable ASCII", VAULT_TAGS_MAX);
}

bool floors_equal(const struct policy_floors *a, const struct policy_floors *b) {
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const uint8_t *x = (const uint8_t *) a + rows[i].field, *y = (const uint8_t *) b + rows[i].field;

                if (memcmp(x, y, rows[i].words ? sizeof(int) : sizeof(uint64_t)) != 0)
                        return false;
        }
        return true;
}
