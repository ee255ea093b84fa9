/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pure: what is known about one volume -> the ordered steps that make it unreadable. teardown.c runs them, one
 * disposable child a step; `cmkctl cut --dry-run` prints them.
 *
 *   in use:   [NOTICE] OPEN SHUT CUT THAW FLUSH KILL UNMOUNT REMOVE VERIFY
 *   held:     OPEN CUT SHUT THAW FLUSH KILL UNMOUNT REMOVE VERIFY      (ext4's shutdown hangs above a suspended device)
 *   idle:     CUT FLUSH KILL REMOVE VERIFY
 *   hold:     HOLD
 *   role os:  [NOTICE], then the breaker: error table, drop caches, power off or reboot
 *
 * OPEN comes before CUT in every plan with a file system, since after it the mount point cannot be opened to thaw. CUT
 * is in every plan that closes; it is the moment at which the volume is unreadable. Nothing before CUT may keep it from
 * running: those steps continue on failure. Budgets are deadlines and not sleeps: at the deadline the child is killed
 * and the next step starts. */

#include "common/disk-proto.h"
#include "common/policy-values.h"

#define PLAN_STEPS_MAX 12u

enum plan_failure {
        PLAN_CONTINUE,         /* note it and go on; what it leaves behind shows up in VERIFY */
        PLAN_ESCALATE,         /* CUT: let the breaker cut, then go on. HOLD: run the plan of a cut instead */
        PLAN_LINGER,           /* the volume is LINGERING: retried from this step later */
};

struct plan_step {
        enum disk_op op;
        uint64_t budget_usec;          /* SIGKILL to the child then */
        uint64_t wait_usec;            /* NOTICE: how long holders have to go, from the teardown's beginning on */
        enum plan_failure on_failure;
        bool gives_fd;                 /* OPEN: its reply brings the descriptor of a mount root, or none */
        bool needs_fd;                 /* hand that descriptor over; without one the step is skipped */
};

struct plan_facts {
        char name[65];
        char uuid[37];
        uint32_t dev_major, dev_minor;
        uint64_t sectors;
        uint32_t disk_flags;           /* of the last QUERY or ACTIVATE: MOUNTED, SWAP, SUSPENDED, ERROR_TABLE */
        bool in_use_unknown;           /* no QUERY could be had: plan as if it were in use */
        bool stacked;                  /* other block devices stand on it */
        enum role role;
        enum action action;            /* as policy_effective_action() left it */
        uint64_t notice_usec;          /* 0: no notice */
};

struct plan {
        struct plan_step steps[PLAN_STEPS_MAX];
        size_t n_steps;
        enum action then;              /* after the steps: POWEROFF or REBOOT, by the breaker; else REPORT, nothing */
};

/* Returns 0, -EINVAL (a name or UUID that is not valid, no sectors where there is something to cut) or -EOPNOTSUPP
 * (an action that the role cannot have: the caller did not ask policy_effective_action()). REPORT is a plan of no
 * steps. */
int plan_make(const struct plan_facts *f, struct plan *ret);

/* What is left to do for a volume that lingers: all from FLUSH on, and CUT before it where that was not verified. */
int plan_make_retry(const struct plan_facts *f, bool cut_done, struct plan *ret);

/* What is left of a volume that was detached, of whatever role: nobody uses it, and nobody is killed. As above. */
int plan_make_clean(const struct plan_facts *f, struct plan *ret);

/* One step for people: "cut      error table on data1 (253:4, 2048 sectors), at most 4.000 s; else by the breaker". */
void plan_step_to_string(const struct plan_facts *f, const struct plan_step *s, char *buf, size_t size);
