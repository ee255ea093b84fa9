/* SPDX-License-Identifier: Apache-2.0 */
#include "policy-values.h"

static const char *const roles[_ROLE_MAX] = { "data", "os", "scratch" };
static const char *const actions[_ACTION_MAX] = { "report", "hold", "cut", "poweroff", "reboot" };
static const char *const reenables[_REENABLE_MAX] = { "nothing", "attach" };
static const char *const recoveries[_RECOVERY_MAX] = { "allow", "never" };
static const char *const foreigns[_FOREIGN_MAX] = { "refuse", "report" };
static const char *const key_expiries[_KEY_EXPIRY_MAX] = { "report", "revoke" };
static const char *const revokes[_REVOKE_MAX] = { "any", "all" };
static const char *const trail_failures[_TRAIL_FAILURE_MAX] = { "deny-new", "stop", "continue" };
static const char *const privacy_modes[_PRIVACY_MODE_MAX] = { "off", "strict" };
static const char *const guard_modes[_GUARD_MODE_MAX] = { "audit", "off", "enforce" };
static const char *const key_versions[_KEY_VERSION_MAX] = { "pinned", "latest" };

static const char *const trust_modes[_TRUST_MAX] = { "listed", "allowed-keys" };

static int lookup(const char *const *table, size_t n, const char *s) {
        for (size_t i = 0; i < n; i++)
                if (streq(table[i], s))
                        return (int) i;
        return -EINVAL;
}

#define DEFINE_WORDS(name, type, table)                                                                        \
        const char *name##_to_string(enum type v) { return (size_t) v < ELEMENTSOF(table) ? table[v] : "?"; } \
        int name##_from_string(const char *s) { return lookup(table, ELEMENTSOF(table), s); }

DEFINE_WORDS(role, role, roles)
DEFINE_WORDS(action, action, actions)
DEFINE_WORDS(reenable, reenable, reenables)
DEFINE_WORDS(recovery, recovery, recoveries)
DEFINE_WORDS(foreign_keyslot, foreign_keyslot, foreigns)
DEFINE_WORDS(key_expiry, key_expiry, key_expiries)
DEFINE_WORDS(revoke, revoke, revokes)
DEFINE_WORDS(trail_failure, trail_failure, trail_failures)
DEFINE_WORDS(key_version, key_version, key_versions)
DEFINE_WORDS(trust_mode, trust_mode, trust_modes)
DEFINE_WORDS(privacy_mode, privacy_mode, privacy_modes)
DEFINE_WORDS(guard_mode, guard_mode, guard_modes)
