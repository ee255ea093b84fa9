/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-look.h"

#include "common/log.h"

#define LISTED_MAX 20000u

/* A unit that systemd has loaded. */
struct listed {
        const char *name, *following, *path;     /* into the reply */
        bool active;
};

struct ask {
        struct unit_look *look;
        size_t unit;                             /* index in the set */
        sd_bus_slot *slot;
};

struct unit_look {
        sd_bus *sd;
        uint64_t answer_usec;
        sd_bus_slot *list_slot;
        sd_bus_message *list;
        struct listed *listed;
        size_t n_listed;
        char **wanted;                           /* names to begin with */
        size_t n_wanted;
        struct unit_set *set;
        struct ask asks[UNITS_MAX];
        size_t n_asks, pending;
        sd_event_source *timer;
        int error;
        unit_look_done done;
        void *user;
};

static struct unit_look *look_free(struct unit_look *l) {
        if (!l)
                return NULL;
        sd_event_source_disable_unref(l->timer);
        for (size_t i = 0; i < l->n_asks; i++)
                sd_bus_slot_unref(l->asks[i].slot);
        sd_bus_slot_unref(l->list_slot);
        sd_bus_message_unref(l->list);
        for (size_t i = 0; i < l->n_wanted; i++)
                free(l->wanted[i]);
        free(l->wanted);
        free(l->listed);
        if (l->set)
                unit_set_done(l->set);
        free(l->set);
        sd_bus_unref(l->sd);
        free(l);
        return NULL;
}

struct unit_look *unit_look_cancel(struct unit_look *l) {
        return look_free(l);
}

static void finish(struct unit_look *l, int error) {
        struct unit_set *set = error < 0 ? NULL : TAKE_PTR(l->set);
        unit_look_done done = l->done;
        void *user = l->user;

        look_free(l);
        done(error, set, user);
}

static int on_late(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct unit_look *l = user;

        finish(l, l->error < 0 ? l->error : -ETIMEDOUT);
        return 0;
}

/* ---- the list ---- */

static int compare_listed(const void *a, const void *b) {
        return strcmp(((const struct listed *) a)->name, ((const struct listed *) b)->name);
}

static const struct listed *find_listed(const struct unit_look *l, const char *name) {
        const struct listed key = { .name = name };

        return l->n_listed > 0 ? bsearch(&key, l->listed, l->n_listed, sizeof(*l->listed), compare_listed) : NULL;
}

static int read_list(struct unit_look *l, sd_bus_message *m) {
        const char *description, *load, *active, *sub, *job_type, *job_path;
        size_t size = 0;
        struct listed x;
        uint32_t job;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
        while (r >= 0 && l->n_listed < LISTED_MAX &&
               (r = sd_bus_message_read(m, "(ssssssouso)", &x.name, &description, &load, &active, &sub, &x.following, &x.path,
                                        &job, &job_type, &job_path)) > 0) {
                if (l->n_listed == size) {
                        struct listed *p = reallocarray(l->listed, MAX_OF(size * 2, (size_t) 256), sizeof(*p));

                        if (!p)
                                return -ENOMEM;
                        l->listed = p;
                        size = MAX_OF(size * 2, (size_t) 256);
                }
                x.active = !streq(active, "inactive") && !streq(active, "failed");
                l->listed[l->n_listed++] = x;
        }
        l->list = sd_bus_message_ref(m);
        if (l->n_listed > 0)
                qsort(l->listed, l->n_listed, sizeof(*l->listed), compare_listed);
        return r;
}

static int add(struct unit_look *l, const char *name) {
        const struct listed *x = find_listed(l, name);
        int r;

        if (!x || !x->active)
                return 0;
        r = unit_set_add(l->set, name);
        return r == -EINVAL ? 0 : r;
}

/* A device or a swap area is one unit under several names, all of which follow one. */
static int add_with_followers(struct unit_look *l, const char *name) {
        const struct listed *x = find_listed(l, name);
        const char *leader;
        int r;

        if (!x)
                return 0;
        leader = *x->following ? x->following : x->name;
        r = add(l, leader);
        for (size_t i = 0; r >= 0 && i < l->n_listed; i++)
                if (streq(l->listed[i].following, leader))
                        r = add(l, l->listed[i].name);
        return r;
}

/* ---- one after the other ---- */

static int ask_all(struct unit_look *l);

static int add_names(struct unit_look *l, const struct unit_set *names) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < names->n; i++)
                r = add(l, names->u[i].name);
        return r;
}

static int take_facts(struct unit_look *l, size_t index, struct unit_facts *f) {
        struct unit *u = l->set->u + index;
        int r = 0;

        if (f->refuses_stop && !u->never)
                u->never = "it refuses to be stopped by hand";
        u->after = TAKE_PTR(f->after);
        memcpy(u->invocation, f->invocation, sizeof(u->invocation));
        memcpy(u->file_state, f->file_state, sizeof(u->file_state));
        u->can_start = f->can_start;
        u->known = true;
        /* A device is not stopped, but goes; of all else only what is stopped takes others with it. u is gone by then. */
        if (!u->never || streq(strrchr(u->name, '.'), ".device")) {
                bool stops = !u->never;

                r = add_names(l, &f->dependants);
                if (r >= 0 && stops)
                        r = add_names(l, &f->triggers);
        }
        return r;
}

static int on_facts(sd_bus_message *m, void *user, sd_bus_error *e _unused_) {
        struct ask *a = user;
        struct unit_look *l = a->look;
        struct unit_facts f = {};
        int r = 0;

        a->slot = sd_bus_slot_unref(a->slot);
        l->pending--;
        /* One that is gone meanwhile, or says nothing, is stopped all the same: without an order, and for good. */
        if (!sd_bus_message_is_method_error(m, NULL) && unit_facts_read(m, &f) >= 0)
                r = take_facts(l, a->unit, &f);
        unit_facts_done(&f);
        if (r >= 0)
                r = ask_all(l);
        if (r < 0 || l->pending == 0)
                finish(l, r < 0 ? r : 0);
        return 0;
}

static int ask_all(struct unit_look *l) {
        for (size_t i = l->n_asks; i < l->set->n; i++) {
                struct unit *u = l->set->u + i;
                const struct listed *x = find_listed(l, u->name);
                struct ask *a = l->asks + l->n_asks++;
                int r;

                *a = (struct ask) { l, i, NULL };
                r = unit_facts_ask(l->sd, x->path, l->answer_usec, on_facts, a, &a->slot);
                if (r < 0)
                        return r;
                l->pending++;
        }
        return 0;
}

static int on_list(sd_bus_message *m, void *user, sd_bus_error *e _unused_) {
        struct unit_look *l = user;
        int r;

        l->list_slot = sd_bus_slot_unref(l->list_slot);
        r = sd_bus_message_is_method_error(m, NULL) ? -sd_bus_message_get_errno(m) : read_list(l, m);
        for (size_t i = 0; r >= 0 && i < l->n_wanted; i++)
                r = add_with_followers(l, l->wanted[i]);
        if (r >= 0)
                r = ask_all(l);
        if (r < 0 || l->pending == 0)
                finish(l, r < 0 ? r : 0);
        return 0;
}

/* ---- names to begin with ---- */

static int want(struct unit_look *l, const char *name) {
        char *copy = strdup(name);

        if (!copy)
                return -ENOMEM;
        l->wanted[l->n_wanted++] = copy;
        return 0;
}

static int want_uses(struct unit_look *l, const struct uses *uses, const char *mapping) {
        char name[UNIT_NAME_SIZE], node[sizeof("/dev/mapper/") + 128];
        int r = 0;

        l->wanted = calloc(uses->n + 1, sizeof(*l->wanted));
        if (!l->wanted)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < uses->n; i++) {
                const struct use *u = uses->u + i;
                int named = -ENOENT;

                /* In another namespace a mount is none of systemd's; its processes are. */
                if (u->kind == USE_MOUNT && u->number == 0)
                        named = unit_name_from_path(u->name, ".mount", name);
                else if (u->kind == USE_SWAP)
                        named = unit_name_from_path(u->name, ".swap", name);
                else if (u->kind == USE_PROCESS)
                        named = unit_name_from_cgroup(u->extra, name);
                if (named >= 0)
                        r = want(l, name);
        }
        snprintf(node, sizeof(node), "/dev/mapper/%s", mapping);
        if (r >= 0 && unit_name_from_path(node, ".device", name) >= 0)
                r = want(l, name);
        return r;
}

int unit_look_start(sd_bus *sd, const struct uses *uses, const char *mapping, uint64_t answer_usec, unit_look_done done,
                    void *user, struct unit_look **ret) {
        struct unit_look *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        *l = (struct unit_look) { .sd = sd_bus_ref(sd), .answer_usec = answer_usec, .done = done, .user = user,
                                  .set = calloc(1, sizeof(*l->set)) };
        r = l->set ? want_uses(l, uses, mapping) : -ENOMEM;
        if (r >= 0)
                r = sd_event_add_time_relative(sd_bus_get_event(sd), &l->timer, CLOCK_BOOTTIME, 2 * answer_usec, 0, on_late, l);
        if (r >= 0)
                r = unit_manager_call(sd, "ListUnits", answer_usec, on_list, l, &l->list_slot, "");
        if (r < 0)
                look_free(l);
        else
                *ret = l;
        return r < 0 ? r : 0;
}
