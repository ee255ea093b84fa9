/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The words of the policy table: what configuration, lists, wire and trail call roles and actions. */

#include "util.h"

enum role { ROLE_DATA, ROLE_OS, ROLE_SCRATCH, _ROLE_MAX };

enum action {
        ACTION_REPORT,      /* record and alarm, nothing else */
        ACTION_HOLD,        /* suspend, wipe the volume key; reversible */
        ACTION_CUT,
        ACTION_POWEROFF,
        ACTION_REBOOT,
        _ACTION_MAX,
};

enum reenable { REENABLE_NOTHING, REENABLE_ATTACH, _REENABLE_MAX };
enum recovery { RECOVERY_ALLOW, RECOVERY_NEVER, _RECOVERY_MAX };   /* opened without cmkd: alarmed, or cut */
enum foreign_keyslot { FOREIGN_REFUSE, FOREIGN_REPORT, _FOREIGN_MAX };    /* a keyslot or token that nobody enrolled */
enum key_expiry { KEY_EXPIRY_REPORT, KEY_EXPIRY_REVOKE, _KEY_EXPIRY_MAX };    /* the key is past its expiry date */
enum revoke { REVOKE_ANY, REVOKE_ALL, _REVOKE_MAX };    /* whose REVOKED counts where a volume has several keys */
enum trail_failure { TRAIL_DENY_NEW, TRAIL_STOP, TRAIL_CONTINUE, _TRAIL_FAILURE_MAX };
enum privacy_mode { PRIVACY_OFF, PRIVACY_STRICT, _PRIVACY_MODE_MAX };      /* names in the trail, or pseudonyms */
enum guard_mode { GUARD_AUDIT, GUARD_OFF, GUARD_ENFORCE, _GUARD_MODE_MAX };
enum key_version { KEY_VERSION_PINNED, KEY_VERSION_LATEST, _KEY_VERSION_MAX };

enum trust_mode { TRUST_LISTED, TRUST_ALLOWED_KEYS, _TRUST_MAX };

const char *role_to_string(enum role v);
const char *action_to_string(enum action v);
const char *reenable_to_string(enum reenable v);
const char *recovery_to_string(enum recovery v);
const char *foreign_keyslot_to_string(enum foreign_keyslot v);
const char *key_expiry_to_string(enum key_expiry v);
const char *revoke_to_string(enum revoke v);
const char *trail_failure_to_string(enum trail_failure v);
const char *key_version_to_string(enum key_version v);
const char *trust_mode_to_string(enum trust_mode v);
const char *guard_mode_to_string(enum guard_mode v);
const char *privacy_mode_to_string(enum privacy_mode v);

/* Each returns the value, or -EINVAL. */
int role_from_string(const char *s);
int action_from_string(const char *s);
int reenable_from_string(const char *s);
int recovery_from_string(const char *s);
int foreign_keyslot_from_string(const char *s);
int key_expiry_from_string(const char *s);
int revoke_from_string(const char *s);
int trail_failure_from_string(const char *s);
int key_version_from_string(const char *s);
int trust_mode_from_string(const char *s);
int guard_mode_from_string(const char *s);
int privacy_mode_from_string(const char *s);
