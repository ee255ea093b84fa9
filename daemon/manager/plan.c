/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <inttypes.h>

#define MS USEC_PER_MSEC
#define NOTICE_MIN_USEC (1000 * MS)
#define NOTICE_MAX_USEC (10000 * MS)

enum fd_use { FD_NONE, FD_GIVES, FD_NEEDS };

/* What each step may cost and what its failure means. Two to four times what was measured on real kernels: a machine
 * under load or emulation is slow, and a step that is done ends at once. */
static const struct trait {
        enum disk_op op;
        uint64_t budget_usec;
        enum plan_failure on_failure;
        enum fd_use fd;
        const char *what;
} traits[] = {
        { DISK_OP_NOTICE, NOTICE_MIN_USEC, PLAN_CONTINUE, FD_NONE, "SIGTERM to the processes that use it" },
        { DISK_OP_STEP_OPEN, 750 * MS, PLAN_CONTINUE, FD_GIVES, "open the roots of its file systems" },
        { DISK_OP_STEP_SHUT, 1000 * MS, PLAN_CONTINUE, FD_NEEDS, "shut the file systems down" },
        { DISK_OP_STEP_CUT, 4000 * MS, PLAN_ESCALATE, FD_NONE, "error table" },
        { DISK_OP_STEP_THAW, 1000 * MS, PLAN_CONTINUE, FD_NEEDS, "thaw the file systems" },
        { DISK_OP_STEP_FLUSH, 3000 * MS, PLAN_CONTINUE, FD_NONE, "drop what is cached of the mapping" },
        { DISK_OP_STEP_KILL, 6000 * MS, PLAN_CONTINUE, FD_NONE, "SIGKILL to the processes that use it" },
        { DISK_OP_STEP_UNMOUNT, 8000 * MS, PLAN_CONTINUE, FD_NONE, "unmount in every namespace, swapoff" },
        { DISK_OP_STEP_REMOVE, 6000 * MS, PLAN_LINGER, FD_NONE, "remove the mapping" },
        { DISK_OP_STEP_VERIFY, 2000 * MS, PLAN_LINGER, FD_NONE, "verify: no mapping, no key in a keyring" },
        { DISK_OP_HOLD, 4000 * MS, PLAN_ESCALATE, FD_NONE, "suspend, wipe the volume key" },
};

static const struct trait *find_trait(enum disk_op op) {
        for (size_t i = 0; i < ELEMENTSOF(traits); i++)
                if (traits[i].op == op)
                        return traits + i;
        return NULL;
}

static void add(struct plan *p, enum disk_op op) {
        const struct trait *t = find_trait(op);

        p->steps[p->n_steps++] = (struct plan_step) {
                .op = op,
                .budget_usec = t->budget_usec,
                .on_failure = t->on_failure,
                .gives_fd = t->fd == FD_GIVES,
                .needs_fd = t->fd == FD_NEEDS,
        };
}

/* Finding the users takes as long as it may: the notice is the time that they have. */
static uint64_t notice_budget(uint64_t notice) {
        uint64_t budget = MAX_OF(notice, NOTICE_MIN_USEC);

        return MIN_OF(budget, NOTICE_MAX_USEC);
}

static void add_notice(struct plan *p, const struct plan_facts *f) {
        if (f->notice_usec == 0)
                return;
        add(p, DISK_OP_NOTICE);
        p->steps[p->n_steps - 1].budget_usec = notice_budget(f->notice_usec);
        p->steps[p->n_steps - 1].wait_usec = f->notice_usec;
}

static bool is_in_use(const struct plan_facts *f) {
        return f->in_use_unknown || f->stacked || (f->disk_flags & (DISK_FLAG_MOUNTED|DISK_FLAG_SWAP));
}

/* From the error table to the end, for a volume whose users are known to be none. Whoever opened the bare device since
 * then is found by KILL. */
static void add_idle(struct plan *p) {
        add(p, DISK_OP_STEP_CUT);
        add(p, DISK_OP_STEP_FLUSH);
        add(p, DISK_OP_STEP_KILL);
        add(p, DISK_OP_STEP_REMOVE);
        add(p, DISK_OP_STEP_VERIFY);
}

static void add_busy(struct plan *p, bool suspended) {
        add(p, DISK_OP_STEP_OPEN);
        add(p, suspended ? DISK_OP_STEP_CUT : DISK_OP_STEP_SHUT);
        add(p, suspended ? DISK_OP_STEP_SHUT : DISK_OP_STEP_CUT);
        add(p, DISK_OP_STEP_THAW);
        add(p, DISK_OP_STEP_FLUSH);
        add(p, DISK_OP_STEP_KILL);
        add(p, DISK_OP_STEP_UNMOUNT);
        add(p, DISK_OP_STEP_REMOVE);
        add(p, DISK_OP_STEP_VERIFY);
}

static bool is_named(const struct plan_facts *f) {
        return volume_name_is_valid(f->name) && uuid_is_valid(f->uuid) && f->sectors > 0;
}

static int check(const struct plan_facts *f) {
        if (!is_named(f))
                return -EINVAL;
        switch (f->action) {
        case ACTION_REPORT:
                return 0;
        case ACTION_HOLD:
                return f->role == ROLE_DATA ? 0 : -EOPNOTSUPP;
        case ACTION_CUT:
                return f->role != ROLE_OS ? 0 : -EOPNOTSUPP;
        case ACTION_POWEROFF:
        case ACTION_REBOOT:
                return f->role == ROLE_OS ? 0 : -EOPNOTSUPP;
        default:
                return -EINVAL;
        }
}

int plan_make(const struct plan_facts *f, struct plan *ret) {
        struct plan p = { .then = ACTION_REPORT };
        bool suspended = f->disk_flags & DISK_FLAG_SUSPENDED;
        int r;

        r = check(f);
        if (r < 0)
                return r;
        if (f->action == ACTION_HOLD)
                add(&p, DISK_OP_HOLD);
        else if (f->action == ACTION_CUT) {
                /* nobody can stop in order on a device that answers nothing */
                if (is_in_use(f) && !suspended)
                        add_notice(&p, f);
                if (is_in_use(f))
                        add_busy(&p, suspended);
                else
                        add_idle(&p);
        } else if (f->action != ACTION_REPORT) {
                add_notice(&p, f);
                p.then = f->action;
        }
        *ret = p;
        return 0;
}

int plan_make_retry(const struct plan_facts *f, bool cut_done, struct plan *ret) {
        struct plan p = { .then = ACTION_REPORT };
        int r;

        r = check(f);
        if (r < 0)
                return r;
        if (!cut_done)
                add(&p, DISK_OP_STEP_CUT);
        add(&p, DISK_OP_STEP_FLUSH);
        add(&p, DISK_OP_STEP_KILL);
        add(&p, DISK_OP_STEP_UNMOUNT);
        add(&p, DISK_OP_STEP_REMOVE);
        add(&p, DISK_OP_STEP_VERIFY);
        *ret = p;
        return 0;
}

int plan_make_clean(const struct plan_facts *f, struct plan *ret) {
        struct plan p = { .then = ACTION_REPORT };

        if (!is_named(f))
                return -EINVAL;
        add(&p, DISK_OP_STEP_REMOVE);
        add(&p, DISK_OP_STEP_VERIFY);
        *ret = p;
        return 0;
}

static const char *failure_to_string(const struct plan_step *s) {
        if (s->on_failure == PLAN_LINGER)
                return "; else it lingers and is tried again";
        if (s->on_failure == PLAN_CONTINUE)
                return "";
        return s->op == DISK_OP_HOLD ? "; else it is cut" : "; else by the breaker";
}

static void seconds(uint64_t usec, char *buf, size_t size) {
        snprintf(buf, size, "%" PRIu64 ".%03" PRIu64 " s", usec / USEC_PER_SEC, usec % USEC_PER_SEC / USEC_PER_MSEC);
}

void plan_step_to_string(const struct plan_facts *f, const struct plan_step *s, char *buf, size_t size) {
        const struct trait *t = find_trait(s->op);
        char budget[32], wait[64] = "", where[160] = "";

        seconds(s->budget_usec, budget, sizeof(budget));
        if (s->wait_usec > 0) {
                snprintf(wait, sizeof(wait), "; up to ");
                seconds(s->wait_usec, wait + strlen(wait), sizeof(wait) - strlen(wait));
                snprintf(wait + strlen(wait), sizeof(wait) - strlen(wait), " in all for them to stop");
        }
        if (s->op == DISK_OP_STEP_CUT)
                snprintf(where, sizeof(where), " on %s (%" PRIu32 ":%" PRIu32 ", %" PRIu64 " sectors)", f->name,
                         f->dev_major, f->dev_minor, f->sectors);
        snprintf(buf, size, "%-8s %s%s, at most %s%s%s", disk_op_to_string(s->op), t ? t->what : "?", where, budget,
                 wait, failure_to_string(s));
}
