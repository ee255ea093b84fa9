/* SPDX-License-Identifier: Apache-2.0 */
#include "bus-manager.h"

#include "bus.h"
#include "bus-call.h"
#include "common/log.h"
#include "common/uses.h"
#include "disk-child.h"
#include "fellows.h"
#include "manager.h"
#include "notice-file.h"
#include "teardown.h"
#include "unit-look.h"

/* What a cut of a volume would do, and to whom: asked for, told, nothing done. */

#define USES_TIMEOUT_USEC (30 * USEC_PER_SEC)
#define ANSWER_USEC (10 * USEC_PER_SEC)
#define NAME_SIZE 1024u

struct asked {
        struct manager *manager;
        sd_bus_message *message;
        struct plan_facts facts;
        struct plan plan;
        struct notice_times times;       /* all zero: no notice */
        enum action action;
        char mapping[129];
        struct uses uses;
        struct unit_set *set;
        const char *note;                /* why there are no units, or NULL */
        char along[512];                 /* who goes with it, or empty */
};

static void asked_free(struct asked *a) {
        uses_done(&a->uses);
        if (a->set)
                unit_set_done(a->set);
        free(a->set);
        sd_bus_message_unref(a->message);
        free(a);
}

static bool has_notice(const struct asked *a) {
        return a->times.notice_usec > 0;
}

static bool stops_units(const struct asked *a) {
        return has_notice(a) && a->facts.role != ROLE_OS;
}

/* ---- steps ---- */

static int add_step(sd_bus_message *m, const char *step, uint64_t budget, uint64_t by, const char *text) {
        return sd_bus_message_append(m, "(stts)", step, budget, by, text);
}

static int add_notice_steps(const struct asked *a, sd_bus_message *m) {
        const struct notice_times *t = &a->times;
        char hooks[192];
        int r;

        snprintf(hooks, sizeof(hooks), "the hooks of cmkd-notice@%s.target", a->facts.name);
        r = add_step(m, "hooks", t->hooks_usec, t->hooks_usec, hooks);
        if (r >= 0 && stops_units(a))
                r = add_step(m, "stop", t->stop_usec - t->hooks_usec, t->stop_usec, "units that use it, by systemd");
        if (r >= 0)
                r = add_step(m, "notice", t->notice_usec - t->stop_usec, t->notice_usec,
                             "SIGTERM to the processes that use it");
        if (r >= 0 && stops_units(a))
                r = add_step(m, "release", t->notice_usec - t->stop_usec, t->notice_usec,
                             "mounts and swap, by systemd, once nobody uses them");
        return r;
}

/* By when a step is over at the latest, from the beginning on: those before it may each take their time. */
static int add_steps(const struct asked *a, sd_bus_message *m) {
        uint64_t by = 0;
        char text[256];
        int r;

        r = sd_bus_message_open_container(m, 'a', "(stts)");
        for (size_t i = 0; r >= 0 && i < a->plan.n_steps; i++) {
                const struct plan_step *s = a->plan.steps + i;

                by += MAX_OF(s->wait_usec, s->op == DISK_OP_NOTICE ? 0 : s->budget_usec);
                plan_step_to_string(&a->facts, s, text, sizeof(text));
                if (s->op == DISK_OP_NOTICE)
                        r = add_notice_steps(a, m);
                else
                        r = add_step(m, disk_op_to_string(s->op), s->budget_usec, by, text);
        }
        if (r >= 0 && a->plan.then != ACTION_REPORT)
                r = add_step(m, action_to_string(a->plan.then), 0, by, "by the breaker: error table, then the machine");
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* ---- who and what ---- */

/* (step, kind, name, process, detail, why it is spared or empty). Texts of others are not always UTF-8. */
static int add_item(sd_bus_message *m, const char *step, const char *kind, const char *name, uint32_t pid, const char *detail,
                    const char *spared) {
        char clean[NAME_SIZE], clean_detail[NAME_SIZE];

        use_text_escape(name, clean, sizeof(clean));
        snprintf(clean_detail, sizeof(clean_detail), "%s", detail);
        replace_unprintable(clean_detail);
        return sd_bus_message_append(m, "(sssuss)", step, kind, clean, pid, clean_detail, spared);
}

static int add_wave(const struct asked *a, sd_bus_message *m, enum unit_wave wave, const char *step) {
        _cleanup_(freep) struct unit **units = NULL;
        size_t n = 0;
        int r;

        r = unit_set_order(a->set, wave, &units, &n);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = add_item(m, step, "unit", units[i]->name, 0, units[i]->can_start ? "started again on re-enable" : "", "");
        return r;
}

/* Those that have processes on it and are not stopped. */
static int add_spared(const struct asked *a, sd_bus_message *m) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < a->set->n; i++) {
                const struct unit *u = a->set->u + i;

                if (u->never && u->kind != UNIT_OTHER && u->kind != UNIT_TARGET)
                        r = add_item(m, "stop", "unit", u->name, 0, "", u->never);
        }
        return r;
}

static bool is_loop(const struct use *u) {
        return startswith(u->extra, "loop") != NULL;
}

static int add_use(const struct asked *a, sd_bus_message *m, const struct use *u) {
        bool machine = a->plan.then != ACTION_REPORT;
        const char *last = action_to_string(a->plan.then);
        char unit[UNIT_NAME_SIZE] = "";

        switch (u->kind) {
        case USE_PROCESS:
                (void) unit_name_from_cgroup(u->extra, unit);
                return add_item(m, has_notice(a) ? "notice" : machine ? last : "kill", "process", u->name, u->number, unit,
                                u->flags & USE_PROTECTED ? "process 1 or one of cmkd's: never signalled" : "");
        case USE_DEVICE:
                return add_item(m, machine ? last : is_loop(u) ? "unmount" : "remove", "device", u->name, 0, u->extra, "");
        default:
                return add_item(m, machine ? last : "unmount", use_kind_to_string(u->kind), u->name, u->number, u->extra, "");
        }
}

static int add_items(const struct asked *a, sd_bus_message *m) {
        static const enum use_kind order[] = { USE_PROCESS, USE_MOUNT, USE_SWAP, USE_DEVICE };
        int r;

        r = sd_bus_message_open_container(m, 'a', "(sssuss)");
        if (r >= 0 && a->set && stops_units(a))
                r = add_wave(a, m, WAVE_USERS, "stop");
        if (r >= 0 && a->set && stops_units(a))
                r = add_spared(a, m);
        for (size_t k = 0; k < ELEMENTSOF(order); k++) {
                if (k == 1 && r >= 0 && a->set && stops_units(a))
                        r = add_wave(a, m, WAVE_MOUNTS, "release");
                for (size_t i = 0; r >= 0 && i < a->uses.n; i++)
                        if (a->uses.u[i].kind == order[k])
                                r = add_use(a, m, a->uses.u + i);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int add_totals(const struct asked *a, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(st)");
        for (enum use_kind k = 0; r >= 0 && k < _USE_KIND_MAX; k++)
                r = sd_bus_message_append(m, "(st)", use_kind_to_string(k), a->uses.total[k]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int add_notes(const struct asked *a, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "s");
        if (r >= 0 && a->note)
                r = sd_bus_message_append(m, "s", a->note);
        if (r >= 0 && *a->along)
                r = sd_bus_message_append(m, "s", a->along);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static void reply(struct asked *a) {
        sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_return(a->message, &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", action_to_string(a->action));
        if (r >= 0)
                r = add_steps(a, m);
        if (r >= 0)
                r = add_items(a, m);
        if (r >= 0)
                r = add_totals(a, m);
        if (r >= 0)
                r = add_notes(a, m);
        if (r >= 0)
                r = sd_bus_message_send(m);
        if (r < 0)
                (void) reply_error(a->message, EXIT_CODE_FAILED, "%s: the plan cannot be told: %s", a->facts.name, strerror(-r));
        sd_bus_message_unref(m);
        asked_free(a);
}

/* ---- asking ---- */

static void on_units(int error, struct unit_set *set, void *user) {
        struct asked *a = user;

        a->set = set;
        if (error < 0)
                a->note = "systemd does not say which units use it";
        else if (set->truncated)
                a->note = "there are more units than are listed, and than would be stopped";
        reply(a);
}

static void on_uses(const struct disk_reply *y, int fd, void *user) {
        struct asked *a = user;
        sd_bus *sd = bus_system(a->manager->bus);
        struct unit_look *l;
        int r;

        r = y->error < 0 ? y->error : uses_read(fd, &a->uses);
        safe_close(fd);
        if (r < 0) {
                (void) reply_error(a->message, EXIT_CODE_FAILED, "%s: who uses it is not known: %s", a->facts.name,
                                   *y->message ? y->message : strerror(-r));
                asked_free(a);
                return;
        }
        if (stops_units(a) && sd && unit_look_start(sd, &a->uses, a->mapping, ANSWER_USEC, on_units, a, &l) >= 0)
                return;
        if (stops_units(a))
                a->note = "there is no system bus: no units are stopped";
        reply(a);
}

int bus_plan_start(struct volume *v, sd_bus_message *message) {
        struct asked *a = calloc(1, sizeof(*a));
        struct disk_request q;
        int r;

        if (!a)
                return -ENOMEM;
        a->manager = v->manager;
        a->action = policy_effective_action(&v->policy, ACTION_CUT, v->lease.hold_possible, NULL);
        snprintf(a->mapping, sizeof(a->mapping), "%s", v->mapping);
        teardown_facts(v, a->action, &a->facts);
        r = plan_make(&a->facts, &a->plan);
        if (r >= 0 && a->plan.n_steps > 0 && a->plan.steps[0].op == DISK_OP_NOTICE)
                a->times = notice_times(a->plan.steps[0].wait_usec, v->role);
        if (r >= 0) {
                fellows_describe(v, a->along, sizeof(a->along));
                volume_disk_request(v, DISK_OP_USES, &q);
                q.flags |= DISK_FLAG_DEEP;
                r = disk_child_start(v->manager->children, &q, -EBADF, -EBADF, USES_TIMEOUT_USEC, on_uses, a, NULL);
        }
        if (r < 0) {
                free(a);
                return r;
        }
        a->message = sd_bus_message_ref(message);
        return 0;
}
