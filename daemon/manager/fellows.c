/* SPDX-License-Identifier: Apache-2.0 */
#include "fellows.h"

#include "common/batch.h"
#include "common/log.h"
#include "common/stack.h"
#include "cut-mark.h"
#include "key.h"
#include "manager.h"
#include "teardown.h"

/* From the beginning of the first cut on. Later than that nobody's cut waits for another's: what is promised is time. */
#define BATCH_USEC (1500 * USEC_PER_MSEC)

struct group {
        struct volume *member[FELLOWS_MAX + 1];
        size_t n;
        struct stack stack;
};

static bool may_go_along(const struct volume *v) {
        return v->role != ROLE_OS && v->state != VOLUME_RECOVERY && volume_is_open(v);
}

static bool has(const struct group *g, const struct volume *v) {
        for (size_t i = 0; i < g->n; i++)
                if (g->member[i] == v)
                        return true;
        return false;
}

static void add(struct group *g, struct volume *v) {
        struct stack above = {};

        if (g->n == ELEMENTSOF(g->member)) {
                log_warning("%s: its stack stands on more volumes than are looked after", v->name);
                return;
        }
        stack_add_above(&above, v->dev_major, v->dev_minor, 0);
        stack_merge(&g->stack, &above);
        g->member[g->n++] = v;
}

static bool belongs(const struct group *g, const struct volume *v) {
        struct stack above = {};

        stack_add_above(&above, v->dev_major, v->dev_minor, 0);
        return stack_touches(&g->stack, &above, "/sys");
}

/* Of three of which the first and the last have nothing in common, the one between them has. */
static void find(struct group *g, struct volume *v) {
        struct volume *w;
        size_t before;

        add(g, v);
        /* Most stand alone: a look at every other volume for each of many would take longer than their cuts. */
        if (g->stack.n == 1 && !stack_shares_btrfs(&g->stack, "/sys", v->dev_major, v->dev_minor))
                return;
        do {
                before = g->n;
                LIST_FOREACH(w, &v->manager->volumes, volumes)
                        if (!has(g, w) && may_go_along(w) && belongs(g, w))
                                add(g, w);
        } while (g->n > before && g->n < ELEMENTSOF(g->member));
}

static void remember(struct group *g) {
        for (size_t i = 0; i < g->n; i++) {
                struct volume *v = g->member[i];

                v->n_fellows = 0;
                for (size_t k = 0; k < g->n; k++)
                        if (k != i)
                                memcpy(v->fellows[v->n_fellows++], g->member[k]->uuid, sizeof(v->fellows[0]));
        }
}

/* It may have a reason of its own: that is the one to be written down, and to be undone. */
static void take(struct volume *w, const struct volume *v) {
        char why[128];
        int r;

        if (w->state != VOLUME_CUTTING && w->state != VOLUME_LINGERING && w->state != VOLUME_NOTICE)
                key_evaluate_volume(w);
        if (w->state == VOLUME_NOTICE)
                teardown_hurry(w);
        if (w->state == VOLUME_CUTTING || w->state == VOLUME_LINGERING)
                return;
        snprintf(why, sizeof(why), "it has a stack in common with %s, which is cut", v->name);
        r = teardown_start(w, ACTION_CUT, CAUSE_STACK, why);
        if (r < 0)
                log_alert("%s: it could not be cut together with %s: %s", w->name, v->name, strerror(-r));
}

static void meet(const struct group *g) {
        _cleanup_(closep) int fd = -EBADF;
        unsigned n = 0;

        for (size_t i = 0; i < g->n; i++)
                n += g->member[i]->state == VOLUME_CUTTING && !teardown_is_cut(g->member[i]);
        fd = n < 2 ? -EBADF : batch_new(n, now_boottime_usec() + BATCH_USEC);
        if (n < 2 || fd < 0)
                return;
        for (size_t i = 0; i < g->n; i++)
                teardown_meet(g->member[i], fd);
}

void fellows_take_along(struct volume *v) {
        struct group g = {};

        if (v->n_fellows > 0 || v->cause == CAUSE_DISK_REMOVED || !may_go_along(v))
                return;
        find(&g, v);
        if (g.n < 2)
                return;
        remember(&g);
        for (size_t i = 1; i < g.n; i++)
                take(g.member[i], v);
        meet(&g);
        /* some marks were written before they were known */
        for (size_t i = 0; i < g.n; i++)
                cut_mark_update(g.member[i]);
}

void fellows_describe(struct volume *v, char *buf, size_t size) {
        static const char end[] = ": they are cut together";
        struct group g = {};
        size_t n;

        *buf = 0;
        if (may_go_along(v))
                find(&g, v);
        if (g.n < 2)
                return;
        n = (size_t) snprintf(buf, size, "a stack stands on it and on ");
        for (size_t i = 1; i < g.n && n + strlen(g.member[i]->name) + 2 + sizeof(end) < size; i++)
                n += (size_t) snprintf(buf + n, size - n, "%s%s", i > 1 ? ", " : "", g.member[i]->name);
        (void) snprintf(buf + n, size - n, "%s", end);
}

static struct volume *fellow(const struct volume *v, size_t i) {
        return manager_volume_by_uuid(v->manager, v->fellows[i]);
}

bool fellows_are_held(const struct volume *v) {
        for (size_t i = 0; i < v->n_fellows; i++) {
                const struct volume *w = fellow(v, i);

                if (w && (w->state == VOLUME_HELD || teardown_cuts_first(w)))
                        return true;
        }
        return false;
}

static bool is_there(const struct volume *v) {
        return v->state == VOLUME_ATTACHING ||
               (volume_is_open(v) && v->state != VOLUME_NOTICE && v->state != VOLUME_CUTTING && v->state != VOLUME_LINGERING);
}

const char *fellows_missing(const struct volume *v) {
        for (size_t i = 0; i < v->n_fellows; i++) {
                const struct volume *w = fellow(v, i);

                if (!w || !(is_there(w) || (w->state == VOLUME_CUT && key_wants_attach(w))))
                        return w ? w->name : v->fellows[i];
        }
        return NULL;
}

void fellows_look(const struct volume *v) {
        struct volume *w, *next;

        for (w = LIST_FIRST(&v->manager->volumes); w; w = next) {
                next = LIST_NEXT(w, volumes);
                for (size_t i = 0; w->state == VOLUME_CUT && i < w->n_fellows; i++)
                        if (streq(w->fellows[i], v->uuid)) {
                                key_evaluate_volume(w);
                                break;
                        }
        }
}
