/* SPDX-License-Identifier: Apache-2.0 */
#include "audit-events.h"

#include "util.h"

static const char *const events[] = {
        "adopted", "attached", "audit_start", "audit_stop", "blind", "blind_over", "breaker", "called_off", "clock_back", "clock_jump",
        "closed_elsewhere", "config_refused", "config_reloaded", "cut", "detached", "disk_removed", "dm_clear", "dm_create", "dm_load",
        "dm_message", "dm_remove", "dm_rename", "dm_resume", "dm_suspend", "dm_table_read", "drill_begun", "drill_ended", "early_joined",
        "encrypt_begun", "encrypt_interrupted", "encrypted", "epoch", "epoch_end", "failed", "foreign_keyslot", "foreign_mapping",
        "formatted", "gap", "guard_bpf", "guard_confirm", "guard_connect", "guard_metadata", "guard_metadata_more", "guard_mode",
        "guard_mount", "guard_open", "guard_pin", "guard_ptrace", "guard_release", "guard_signal", "guard_sysctl", "guard_table",
        "guard_umount", "guard_unpin", "header_accepted", "header_backed_up", "header_changed", "header_open", "header_restored", "held",
        "intent", "io", "io_unattributed", "key_asked", "key_enrolled", "key_expired", "key_expires_soon", "key_fetched", "key_freed",
        "key_outdated", "key_read", "key_removed", "key_replaced", "key_rotated", "key_set", "key_unsafe", "key_version_removed",
        "key_wiped", "keyslots_removed", "lingering", "login_alarm", "login_replaced", "lost", "module_free", "module_load", "owner_floors",
        "pause_ended", "paused", "personalize_begun", "personalized", "polls", "privacy", "probes", "recovery", "recovery_key_added",
        "recovery_key_escrowed", "recovery_key_removed", "recovery_key_rotated", "recovery_key_tested", "reencrypt_begun",
        "reencrypt_interrupted", "reencrypted", "refused", "release", "release_unused", "removed", "reported", "request", "restored",
        "resumed", "resumed_elsewhere", "scratch_begun", "scratch_created", "scratch_removed", "seal_failed", "second_mapping", "segment",
        "started", "step", "taken_over", "trail_refused", "units_started", "units_stopped", "unseen", "vault_sealed", "verdict", "volume_open",
};

bool audit_event_exists(const char *pattern, size_t n) {
        bool begins = n > 0 && pattern[n - 1] == '*';

        for (size_t i = 0; i < ELEMENTSOF(events); i++)
                if (strncmp(events[i], pattern, begins ? n - 1 : n) == 0 && (begins || !events[i][n]))
                        return true;
        return false;
}

const char *audit_event_nearest(const char *name) {
        const char *best = NULL;
        size_t least = SIZE_MAX;

        for (size_t i = 0; i < ELEMENTSOF(events); i++) {
                size_t d = word_distance(name, events[i]);

                if (d < least && words_are_near(name, events[i])) {
                        least = d;
                        best = events[i];
                }
        }
        return best;
}

void audit_events_all(char *buf, size_t size) {
        size_t used = 0;

        *buf = 0;
        for (size_t i = 0; i < ELEMENTSOF(events) && used < size; i++)
                used += (size_t) snprintf(buf + used, size - used, "%s%s", i > 0 ? ", " : "", events[i]);
}
