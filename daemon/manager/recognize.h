/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pure: what a mapping that stands is to us, from what the kernel, the header and our own marks say.
 *
 *   no table yet, or gone ─► NOT          error table, disk pulled, a cut that an operator began ─► CUT, go on with it
 *   released by cmkd, and as its header asks ─► ATTACHED or HELD
 *   the same, while it is being encrypted    ─► CUT, to finish what is half-way and be opened again
 *   released, and not as its header asks     ─► CUT (role os: RECOVERY, alarmed: a machine is not powered off for that)
 *   not released by cmkd ─► RECOVERY, or CUT where Recovery=never
 *
 * Invariants (tests/unit/test-recognize.c, all combinations): ATTACHED and HELD only for what cmkd released, by a mark, a
 * deadline in the breaker or a release that is waiting; RECOVERY=never never gives RECOVERY but for a table that is
 * unfit on role os and was released; nothing is done about what is not mapped. */

#include "common/disk-proto.h"
#include "lease.h"
#include "open-mark.h"

struct recognize_facts {
        bool at_start;                 /* the manager is new: marks and slots count */
        uint32_t flags;                /* enum disk_flags of RECOGNIZE */
        bool header_ok;                /* it was read, and its key can be asked about */
        bool encrypting;               /* the list says that it is being encrypted */
        bool header_changed;           /* it is not the one that was inspected for the release */
        bool taken_over;                   /* by enroll, while it was open: its key was used, and its table compared */
        bool released;                 /* a release waits for this mapping */
        bool overdue;                  /* ... and whoever makes it is dead, or had time enough */
        bool pulled;                   /* nothing is below it any more */
        bool has_slot;                 /* the breaker had a deadline */
        enum open_mark mark;
        enum lease_cause cut;          /* the cut mark */
        enum role role;
        enum recovery recovery;
};

enum recognized { RECOGNIZED_NOT, RECOGNIZED_ATTACHED, RECOGNIZED_HELD, RECOGNIZED_RECOVERY, RECOGNIZED_CUT };

/* *ret_cause: of RECOGNIZED_CUT, else CAUSE_NONE. *ret_why: static text for people, or NULL (attached, held, not). */
enum recognized recognize(const struct recognize_facts *f, enum lease_cause *ret_cause, const char **ret_why);
