/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <inttypes.h>
#include <stdarg.h>

#include "common/disk-proto.h"

#define MINUTE (60 * USEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

enum kind { KIND_ACTION, KIND_WORD, KIND_TIME };

/* One row a key: where it stands in settings and in the policy; for a time which values make sense, for a word that is no
 * action the stricter one (of two). */
static const struct row {
        const char *name;
        enum kind kind;
        size_t setting, field;
        uint64_t min, max;
        int strict;
} rows[_POLICY_KEY_MAX] = {
#define ACTION_ROW(key, word, f) \
        [key] = { word, KIND_ACTION, offsetof(struct policy_settings, f), offsetof(struct policy, f), 0, 0, 0 }
#define WORD_ROW(key, word, f, stricter) \
        [key] = { word, KIND_WORD, offsetof(struct policy_settings, f), offsetof(struct policy, f), 0, 0, stricter }
#define TIME_ROW(key, word, f, lo, hi) \
        [key] = { word, KIND_TIME, offsetof(struct policy_settings, f), offsetof(struct policy, f), lo, hi, 0 }
        ACTION_ROW(POLICY_ON_REVOKED, "OnRevoked", on_revoked),
        ACTION_ROW(POLICY_ON_DENIED, "OnDenied", on_denied),
        ACTION_ROW(POLICY_ON_UNREACHABLE, "OnUnreachable", on_unreachable),
        WORD_ROW(POLICY_ON_REENABLE, "OnReenable", on_reenable, REENABLE_NOTHING),
        WORD_ROW(POLICY_RECOVERY, "Recovery", recovery, RECOVERY_NEVER),
        WORD_ROW(POLICY_ON_FOREIGN, "OnForeignKeyslot", on_foreign, FOREIGN_REFUSE),
        WORD_ROW(POLICY_ON_KEY_EXPIRY, "OnKeyExpiry", on_key_expiry, KEY_EXPIRY_REVOKE),
        WORD_ROW(POLICY_REVOKE, "Revoke", revoke, REVOKE_ANY),
        TIME_ROW(POLICY_NOTICE, "NoticeSec", notice_usec, 0, DAY),
        TIME_ROW(POLICY_POLL, "PollSec", poll_usec, USEC_PER_SEC, HOUR),
        TIME_ROW(POLICY_LEASE, "LeaseSec", lease_usec, 3 * USEC_PER_SEC, DAY),
        TIME_ROW(POLICY_GRACE, "GraceSec", grace_usec, 0, 30 * DAY),
        TIME_ROW(POLICY_HOLD, "HoldSec", hold_usec, USEC_PER_SEC, 7 * DAY),
        TIME_ROW(POLICY_CONFIRM, "ConfirmSec", confirm_usec, 100 * USEC_PER_MSEC, MINUTE),
        TIME_ROW(POLICY_DENIED_CONFIRM, "DeniedConfirmSec", denied_confirm_usec, USEC_PER_SEC, HOUR),
};

static const char *const sources[_SOURCE_MAX] = { "default", "[Policy]", "[Volume]", "owner" };
static const int strength[_ACTION_MAX] = {
        [ACTION_REPORT] = 0, [ACTION_HOLD] = 1, [ACTION_CUT] = 2, [ACTION_REBOOT] = 3, [ACTION_POWEROFF] = 4,
};

static int setting_word(const struct policy_settings *s, enum policy_key k) {
        return *(const int *) ((const uint8_t *) s + rows[k].setting);
}

static uint64_t setting_time(const struct policy_settings *s, enum policy_key k) {
        return *(const uint64_t *) ((const uint8_t *) s + rows[k].setting);
}

static enum action *policy_action(struct policy *p, enum policy_key k) {
        return (enum action *) ((uint8_t *) p + rows[k].field);
}

static int *policy_word(struct policy *p, enum policy_key k) {
        return (int *) ((uint8_t *) p + rows[k].field);
}

static uint64_t *policy_time(struct policy *p, enum policy_key k) {
        return (uint64_t *) ((uint8_t *) p + rows[k].field);
}

void policy_floors_init(struct policy_floors *f) {
        policy_settings_init(&f->settings);
        f->pause_max_usec = USEC_INFINITY;
}

void policy_default(enum role role, struct policy *ret) {
        bool os = role == ROLE_OS;

        *ret = (struct policy) {
                .role = role,
                .on_revoked = os ? ACTION_POWEROFF : ACTION_CUT,
                .on_denied = os ? ACTION_REPORT : ACTION_HOLD,
                .on_unreachable = os ? ACTION_REPORT : ACTION_HOLD,
                .on_reenable = REENABLE_ATTACH,
                .on_foreign = os ? FOREIGN_REPORT : FOREIGN_REFUSE,
                .notice_usec = (os ? 300 : 10) * USEC_PER_SEC,
                .poll_usec = 30 * USEC_PER_SEC,
                .lease_usec = 90 * USEC_PER_SEC,
                .grace_usec = 3600 * USEC_PER_SEC,
                .hold_usec = 600 * USEC_PER_SEC,
                .confirm_usec = 2 * USEC_PER_SEC,
                .denied_confirm_usec = 30 * USEC_PER_SEC,
        };
}

enum action action_stronger(enum action a, enum action b) {
        return strength[b] > strength[a] ? b : a;
}

static bool role_has_action(enum role role, enum action a) {
        if (a == ACTION_REPORT)
                return true;
        return (role == ROLE_OS) == (a == ACTION_POWEROFF || a == ACTION_REBOOT);
}

/* The weakest action of the role that is not weaker than a, else its strongest. */
static enum action role_action(enum role role, enum action a) {
        if (role_has_action(role, a))
                return a;
        return role == ROLE_OS ? ACTION_POWEROFF : ACTION_CUT;
}

static void _printf_(2, 3) explain(char **ret_why, const char *format, ...) {
        va_list ap;

        if (!ret_why)
                return;
        va_start(ap, format);
        if (vasprintf(ret_why, format, ap) < 0)
                *ret_why = NULL;
        va_end(ap);
}

static int apply(struct policy *p, const struct policy_settings *s, enum policy_source from, char **ret_why) {
        for (enum policy_key k = 0; k < _POLICY_KEY_MAX; k++) {
                uint64_t time = 0;
                int word = -1;

                if (rows[k].kind == KIND_TIME)
                        time = setting_time(s, k);
                else
                        word = setting_word(s, k);
                if (rows[k].kind == KIND_TIME ? time == USEC_INFINITY : word < 0)
                        continue;
                if (rows[k].kind == KIND_ACTION && !role_has_action(p->role, (enum action) word)) {
                        if (from == SOURCE_POLICY)
                                continue;
                        explain(ret_why, "%s=%s is not possible for role %s, which has %s", rows[k].name,
                                action_to_string((enum action) word), role_to_string(p->role),
                                p->role == ROLE_OS ? "report, poweroff and reboot" : "report, hold and cut");
                        return -EINVAL;
                }
                if (rows[k].kind == KIND_ACTION)
                        *policy_action(p, k) = (enum action) word;
                else if (rows[k].kind == KIND_WORD)
                        *policy_word(p, k) = word;
                else
                        *policy_time(p, k) = time;
                p->source[k] = from;
        }
        return 0;
}

static int check(struct policy *p, char **ret_why) {
        char a[32], b[32];

        for (enum policy_key k = 0; k < _POLICY_KEY_MAX; k++) {
                if (rows[k].kind != KIND_TIME)
                        continue;
                if (*policy_time(p, k) >= rows[k].min && *policy_time(p, k) <= rows[k].max)
                        continue;
                policy_value_to_string(p, k, a, sizeof(a));
                explain(ret_why, "%s=%s is out of bounds: %" PRIu64 "ms to %" PRIu64 "s are possible", rows[k].name,
                        a, rows[k].min / USEC_PER_MSEC, rows[k].max / USEC_PER_SEC);
                return -EINVAL;
        }
        if (p->lease_usec <= p->poll_usec) {
                policy_value_to_string(p, POLICY_LEASE, a, sizeof(a));
                policy_value_to_string(p, POLICY_POLL, b, sizeof(b));
                explain(ret_why, "LeaseSec=%s (%s) must be longer than PollSec=%s (%s)", a,
                        policy_source_to_string(p->source[POLICY_LEASE]), b,
                        policy_source_to_string(p->source[POLICY_POLL]));
                return -EINVAL;
        }
        if (p->confirm_usec > p->poll_usec) {
                if (p->source[POLICY_CONFIRM] != SOURCE_DEFAULT) {
                        explain(ret_why, "ConfirmSec= must not be longer than PollSec=");
                        return -EINVAL;
                }
                p->confirm_usec = p->poll_usec;
        }
        return 0;
}

void policy_tighten(struct policy *p, const struct policy_floors *f) {
        const struct policy_settings *floors = &f->settings;

        for (enum policy_key k = 0; k < _POLICY_KEY_MAX; k++) {
                if (rows[k].kind == KIND_TIME) {
                        uint64_t limit = setting_time(floors, k);

                        if (limit >= *policy_time(p, k))
                                continue;
                        *policy_time(p, k) = MAX_OF(limit, rows[k].min);
                } else if (rows[k].kind == KIND_ACTION) {
                        int word = setting_word(floors, k);
                        enum action a;

                        if (word < 0)
                                continue;
                        a = action_stronger(*policy_action(p, k), role_action(p->role, (enum action) word));
                        if (a == *policy_action(p, k))
                                continue;
                        *policy_action(p, k) = a;
                } else {
                        if (setting_word(floors, k) != rows[k].strict || *policy_word(p, k) == rows[k].strict)
                                continue;
                        *policy_word(p, k) = rows[k].strict;
                }
                p->source[k] = SOURCE_OWNER;
        }
        if (p->poll_usec >= p->lease_usec) {
                p->poll_usec = MAX_OF(p->lease_usec / 3 / USEC_PER_MSEC * USEC_PER_MSEC, rows[POLICY_POLL].min);
                p->source[POLICY_POLL] = SOURCE_OWNER;
        }
        if (p->confirm_usec > p->poll_usec) {
                p->confirm_usec = p->poll_usec;
                p->source[POLICY_CONFIRM] = SOURCE_OWNER;
        }
}

int policy_make(const struct config *c, enum role role, const char *name, const struct policy_floors *floors,
                struct policy *ret, char **ret_why) {
        const struct volume_config *v = config_find_volume(c, name);
        struct policy p;
        int r;

        policy_default(role, &p);
        r = apply(&p, &c->policy, SOURCE_POLICY, ret_why);
        if (r >= 0 && v)
                r = apply(&p, &v->policy, SOURCE_VOLUME, ret_why);
        if (r >= 0)
                r = check(&p, ret_why);
        if (r < 0)
                return r;
        if (floors)
                policy_tighten(&p, floors);
        *ret = p;
        return 0;
}

bool policy_hold_possible(enum role role, uint32_t disk_flags, bool hung_task_panic, const char **ret_why) {
        const char *why = NULL;

        if (role != ROLE_DATA)
                why = "a hold is for role data only";
        else if (disk_flags & DISK_FLAG_SWAP)
                why = "swap is on the volume";
        else if (disk_flags & DISK_FLAG_SYSTEM)
                why = "the system, the trail or the state of cmkd or systemd is on the volume";
        else if (hung_task_panic)
                why = "kernel.hung_task_panic is on: processes that wait for the volume would bring the node down";
        if (ret_why)
                *ret_why = why;
        return !why;
}

enum action policy_effective_action(const struct policy *p, enum action action, bool hold_possible,
                                    const char **ret_why) {
        enum action a = role_action(p->role, action);
        const char *why = NULL;

        if (a == ACTION_HOLD && (p->role != ROLE_DATA || !hold_possible)) {
                a = ACTION_CUT;
                why = "hold: not possible, the volume is cut";
        } else if (a != action)
                why = p->role == ROLE_OS ? "role os: the machine is powered off" : "not role os: the volume is cut";
        if (ret_why)
                *ret_why = why;
        return a;
}

const char *policy_key_to_string(enum policy_key k) {
        return (unsigned) k < _POLICY_KEY_MAX ? rows[k].name : "unknown";
}

const char *policy_source_to_string(enum policy_source s) {
        return (unsigned) s < _SOURCE_MAX ? sources[s] : "unknown";
}

static const char *word_to_string(const struct policy *p, enum policy_key k) {
        switch (k) {
        case POLICY_ON_REENABLE:
                return reenable_to_string(p->on_reenable);
        case POLICY_RECOVERY:
                return recovery_to_string(p->recovery);
        case POLICY_ON_FOREIGN:
                return foreign_keyslot_to_string(p->on_foreign);
        case POLICY_ON_KEY_EXPIRY:
                return key_expiry_to_string(p->on_key_expiry);
        case POLICY_REVOKE:
                return revoke_to_string(p->revoke);
        default:
                return action_to_string(*(const enum action *) ((const uint8_t *) p + rows[k].field));
        }
}

void policy_value_to_string(const struct policy *p, enum policy_key k, char *buf, size_t size) {
        uint64_t t;

        if (rows[k].kind != KIND_TIME) {
                snprintf(buf, size, "%s", word_to_string(p, k));
                return;
        }
        t = *(const uint64_t *) ((const uint8_t *) p + rows[k].field);
        if (t % USEC_PER_SEC == 0)
                snprintf(buf, size, "%" PRIu64, t / USEC_PER_SEC);
        else
                snprintf(buf, size, "%" PRIu64 "ms", t / USEC_PER_MSEC);
}
