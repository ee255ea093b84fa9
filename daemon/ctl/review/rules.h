/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What in a trail needs an answer: pure, one record after the other, no I/O.
 *
 *   record ─► rules_judge() ─► enum rule ─► ledger (merged, counted) ─► list --unauthorised, stats, report
 *               └ remembers, volume by volume: was a key released, has the kernel got it, who made the mapping
 *
 * A key that reaches the kernel is authorised when a release of cmkd's precedes it that nothing has used yet: by cmkd-disk,
 * or by whoever cmkd gave the key to (token plugin, keyscript, key-file socket). Opening the decrypted device is what
 * udev, mount, fsck, LVM and the like do all day; those are known by the path of their program, and more can be named (Baseline=).
 * Paths are what the kernel saw. Another file mounted there is a finding, by the guard's event, which goes by files; one
 * that somebody with root put in its place is one of the package's checksums, not of this. */

#include "audit/record.h"

enum rule {
        RULE_NONE,
        /* a use that cmkd did not authorise */
        RULE_KEY_READ,
        RULE_KEY_INLINE,
        RULE_KEY_SET,
        RULE_KEY_ASKED,
        RULE_HEADER,
        RULE_MAPPING,
        RULE_RAW_OPEN,
        RULE_TABLE_READ,
        RULE_SECOND_MAPPING,
        RULE_IDENTITY,
        RULE_UNSEEN,
        RULE_RESUMED_ELSEWHERE,
        /* somebody works against the recording, or it has holes */
        RULE_GUARD,
        RULE_CLOCK,
        RULE_BLIND,
        RULE_LOST,
        RULE_TRAIL_REFUSED,
        RULE_UNSEALED,
        RULE_SEAL_LOST,
        RULE_SEQUENCE_GAP,
        RULE_TOO_MANY,
        /* a way round the customer's key, or their word not followed */
        RULE_RECOVERY,
        RULE_FOREIGN_KEYSLOT,
        RULE_RECOVERY_KEY,
        RULE_HEADER_ACCEPTED,
        RULE_HEADER_RESTORED,
        RULE_PAUSED,
        RULE_LINGERING,
        RULE_REPORTED,
        RULE_BREAKER,
        RULE_DRILL_FAILED,
        RULE_LOGIN_ALARM,
        RULE_VAULT_SEALED,
        /* worth a look */
        RULE_LOGIN_REPLACED,
        RULE_REFUSED,
        RULE_DISK_REMOVED,
        RULE_CLOSED_ELSEWHERE,
        RULE_KEY_EXPIRED,
        RULE_KEY_EXPIRES_SOON,
        RULE_KEY_UNSAFE,
        RULE_MODULE,
        _RULE_MAX,
};

enum gravity { GRAVITY_ALERT, GRAVITY_WARNING, GRAVITY_NOTE };

/* Static texts. id: a word for filters and JSON; what: a sentence; cure: what to do about it. */
const char *rule_id(enum rule r);
const char *rule_what(enum rule r);
const char *rule_cure(enum rule r);
enum gravity rule_gravity(enum rule r);

/* "alert", "warning", "note". */
const char *gravity_to_string(enum gravity g);

/* True for a use of a key or a volume that cmkd did not authorise. */
bool rule_is_unauthorised(enum rule r);

/* Volumes that are kept in mind; the first record of one more has a finding of its own. */
#define RULES_SEEN_MAX 65536u

struct rules;

/* What is normal here, beyond what is everywhere: paths of programs and names of units that may open a decrypted device or look at
 * its table. normal: NULL-terminated, or NULL; it has to outlive the rules. Returns 0 or -ENOMEM. */
int rules_new(char *const *normal, struct rules **ret);
struct rules *rules_free(struct rules *r);
static inline void rules_freep(struct rules **r) { rules_free(*r); }

/* Judges the next record of a trail, or of that node's where there are several ("": one). Returns 0 (*ret: RULE_NONE or what it is) or -ENOMEM. */
int rules_judge(struct rules *r, const char *node, const struct record *record, enum rule *ret);

/* How often two volumes were compared so far, for tests. */
uint64_t rules_compared(const struct rules *r);
