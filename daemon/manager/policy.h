/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pure: what the node's configuration, the volume's role and the owner's floors make of the policy of one volume.
 *
 *   default of the role  <  [Policy]  <  [Volume NAME]  <  the owner's floors (only ever stricter)
 *
 * Invariants of a struct policy: confirm <= poll < lease; the actions are ones that the role may have (data, scratch:
 * report, hold, cut; os: report, poweroff, reboot); every value says where it is from. A word in [Policy] that the role
 * cannot have leaves the role's default alone, since [Policy] speaks to all roles; in [Volume NAME] it is an error. */

#include "common/config.h"
#include "common/policy-values.h"

enum policy_source { SOURCE_DEFAULT, SOURCE_POLICY, SOURCE_VOLUME, SOURCE_OWNER, _SOURCE_MAX };

enum policy_key {
        POLICY_ON_REVOKED,
        POLICY_ON_DENIED,
        POLICY_ON_UNREACHABLE,
        POLICY_ON_REENABLE,
        POLICY_RECOVERY,
        POLICY_ON_FOREIGN,
        POLICY_ON_KEY_EXPIRY,
        POLICY_REVOKE,
        POLICY_NOTICE,
        POLICY_POLL,
        POLICY_LEASE,
        POLICY_GRACE,
        POLICY_HOLD,
        POLICY_CONFIRM,
        POLICY_DENIED_CONFIRM,
        _POLICY_KEY_MAX,
};

/* A 404 for a key that is not listed as deleted is believed once it has been repeated this long after the first. */
#define POLICY_UNLISTED_USEC (30 * USEC_PER_SEC)

struct policy {
        enum role role;
        enum action on_revoked, on_denied, on_unreachable;
        enum reenable on_reenable;
        enum recovery recovery;
        enum foreign_keyslot on_foreign;
        enum key_expiry on_key_expiry;
        enum revoke revoke;
        uint64_t notice_usec;          /* between notice and cut: the executor's, lease.c does not wait for it */
        uint64_t poll_usec, lease_usec, grace_usec, hold_usec, confirm_usec, denied_confirm_usec;
        enum policy_source source[_POLICY_KEY_MAX];
};

/* What an owner asked for by tags on the key, in the form of settings: an action is the weakest one allowed, a time the
 * longest one allowed, of the other words the stricter one forbids the other (on_reenable=nothing, recovery=never, ...).
 * Fields that say nothing as policy_settings_init() leaves them. pause_max_usec: the longest pause of an operator (USEC_INFINITY: not said). */
struct policy_floors {
        struct policy_settings settings;
        uint64_t pause_max_usec;
};

/* No floors. */
void policy_floors_init(struct policy_floors *f);

/* The policy that holds with the role's defaults only. */
void policy_default(enum role role, struct policy *ret);

/* The effective policy of volume name in that role. floors may be NULL. Returns 0, or -EINVAL where the node's settings
 * contradict each other or are out of bounds; *ret_why (may be NULL) then is a sentence for people, which the caller
 * frees (it can be NULL for want of memory). The owner's floors never make an error: what they shorten takes the times
 * below it along (a lease of 20 s makes a poll of 30 s one of 6.7 s). */
int policy_make(const struct config *c, enum role role, const char *name, const struct policy_floors *floors,
                struct policy *ret, char **ret_why);

/* The floors of one more owner: only ever stricter, in whatever order. */
void policy_tighten(struct policy *p, const struct policy_floors *floors);

/* Rule 7: whether a hold can be had. disk_flags: enum disk_flags of QUERY or ACTIVATE; hung_task_panic: of the kernel.
 * Where it is false *ret_why (may be NULL) is a static text for status: "hold: not possible (WHY)". */
bool policy_hold_possible(enum role role, uint32_t disk_flags, bool hung_task_panic, const char **ret_why);

/* What is really done where the policy says action: a hold that is not possible is a cut, and a cut of role os a
 * poweroff. Never weaker than action. ret_why (may be NULL): static text when the result differs, else NULL. */
enum action policy_effective_action(const struct policy *p, enum action action, bool hold_possible,
                                    const char **ret_why);

/* Which of two actions leaves less: report < hold < cut < reboot < poweroff. */
enum action action_stronger(enum action a, enum action b);

/* Names as in cmkd.conf ("OnRevoked") and for status ("default", "[Policy]", "[Volume]", "owner"). */
const char *policy_key_to_string(enum policy_key k);
const char *policy_source_to_string(enum policy_source s);

/* The value of a key as it would be written in cmkd.conf ("cut", "90", "500ms"). */
void policy_value_to_string(const struct policy *p, enum policy_key k, char *buf, size_t size);
