/* SPDX-License-Identifier: Apache-2.0 */
#include "recognize.h"

static enum recognized cut(enum lease_cause cause, const char *why, enum lease_cause *ret_cause, const char **ret_why) {
        *ret_cause = cause;
        *ret_why = why;
        return RECOGNIZED_CUT;
}

static enum recognized others(const struct recognize_facts *f, enum lease_cause *ret_cause, const char **ret_why) {
        if (f->recovery == RECOVERY_NEVER)
                return cut(CAUSE_REFUSED, "it was opened without cmkd, and Recovery=never", ret_cause, ret_why);
        *ret_why = "it was opened without cmkd";
        return RECOGNIZED_RECOVERY;
}

/* Held mappings have no key to compare; what cannot be compared for want of a header is not refused for it. */
static bool is_unfit(const struct recognize_facts *f) {
        if (f->flags & DISK_FLAG_SUSPENDED)
                return false;
        return f->header_ok ? !(f->flags & DISK_FLAG_TABLE_OK) : f->released;
}

enum recognized recognize(const struct recognize_facts *f, enum lease_cause *ret_cause, const char **ret_why) {
        bool ours = f->released || (f->taken_over && !is_unfit(f));

        *ret_cause = CAUSE_NONE;
        *ret_why = NULL;
        if (!(f->flags & DISK_FLAG_MAPPED) || !(f->flags & DISK_FLAG_OURS) || (f->flags & DISK_FLAG_NO_TABLE && !f->overdue))
                return RECOGNIZED_NOT;
        if (f->flags & DISK_FLAG_NO_TABLE)
                return cut(CAUSE_REFUSED, "whoever made its mapping did not end that", ret_cause, ret_why);
        if (f->at_start && f->mark != OPEN_MARK_RECOVERY)
                ours |= f->has_slot || f->mark == OPEN_MARK_ATTACHED || f->mark == OPEN_MARK_RELEASED;
        if (f->flags & DISK_FLAG_ERROR_TABLE)
                return f->at_start || f->released ?
                       cut(f->cut != CAUSE_NONE ? f->cut : CAUSE_EXPIRED, f->at_start ? "it was cut before this start" :
                           "it was cut while it was being mapped", ret_cause, ret_why) : RECOGNIZED_NOT;
        if (f->pulled && f->role != ROLE_OS)
                return cut(CAUSE_DISK_REMOVED, "the disk below it is gone", ret_cause, ret_why);
        if (f->at_start && f->cut != CAUSE_NONE && !lease_cause_is_undone(f->cut))
                return cut(f->cut, "its cut had begun before this start", ret_cause, ret_why);
        if (!ours)
                return others(f, ret_cause, ret_why);
        if (is_unfit(f) || f->header_changed) {
                /* its lease goes on; whoever encrypts it may not have ended yet, and where he died the next one says so */
                if (f->encrypting && f->at_start && !f->header_changed && f->role == ROLE_OS)
                        return RECOGNIZED_ATTACHED;
                if (f->encrypting && f->at_start && !f->header_changed)
                        return cut(CAUSE_INTERRUPTED, "its encryption was stopped half-way", ret_cause, ret_why);
                if (f->role != ROLE_OS)
                        return cut(CAUSE_REFUSED, "its live table is not what its header asks for", ret_cause, ret_why);
                *ret_why = "its live table is not what its header asks for";
                return RECOGNIZED_RECOVERY;
        }
        return f->flags & DISK_FLAG_SUSPENDED ? RECOGNIZED_HELD : RECOGNIZED_ATTACHED;
}
