/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

/* The kernel stacks two overlays, and who makes loop devices is root: nothing real has as many layers. A text that pretends
 * to have must not keep us. */
#define ROUNDS_MAX 16u

static int compare_numbers(uint64_t a, uint64_t b) {
        return a < b ? -1 : a > b;
}

/* The mounts on the volume by namespace and mount point, without those that are below another of them. */
struct points {
        const struct mount **m;
        size_t n;
};

/* What is below a directory comes right after it: a slash is the least of all characters. */
static int compare_paths(const char *a, const char *b) {
        while (*a && *a == *b) {
                a++;
                b++;
        }
        if (*a == *b)
                return 0;
        if (!*a || !*b)
                return *a ? 1 : -1;
        return *a == '/' ? -1 : *b == '/' ? 1 : (unsigned char) *a < (unsigned char) *b ? -1 : 1;
}

static int compare_points(const void *a, const void *b) {
        const struct mount *x = *(const struct mount *const *) a, *y = *(const struct mount *const *) b;
        int r = compare_numbers(x->ns, y->ns);

        return r != 0 ? r : compare_paths(x->line.point, y->line.point);
}

/* The only one that path can be below: the last that is not after it. */
static bool points_cover(const struct points *p, uint64_t ns, const char *path) {
        const struct mount key = { .ns = ns, .line.point = path }, *k = &key;
        size_t low = 0;

        for (size_t high = p->n; low < high;) {
                size_t middle = low + (high - low) / 2;

                if (compare_points(&p->m[middle], &k) <= 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low > 0 && p->m[low - 1]->ns == ns && path_is_below(path, p->m[low - 1]->line.point);
}

static void points_fill(struct points *p, const struct mounts *s) {
        size_t n = 0;

        for (size_t i = 0; i < s->n; i++)
                if (s->m[i].on_volume)
                        p->m[n++] = &s->m[i];
        qsort(p->m, n, sizeof(*p->m), compare_points);
        p->n = 0;
        for (size_t i = 0; i < n; i++) {
                const struct mount *last = p->n > 0 ? p->m[p->n - 1] : NULL;

                if (!last || last->ns != p->m[i]->ns || !path_is_below(p->m[i]->line.point, last->line.point))
                        p->m[p->n++] = p->m[i];
        }
}

static bool has_layer_on_volume(const struct mounts *s, const struct points *p, const struct mount *overlay, const char *path,
                                size_t n) {
        char copy[4096];

        if (n == 0 || n >= sizeof(copy) || *path != '/')
                return false;
        memcpy(copy, path, n);
        copy[n] = 0;
        return points_cover(p, overlay->ns, copy) || points_cover(p, s->own_ns, copy);
}

/* The paths in the options are those of whoever mounted it: looked for in the overlay's namespace and in ours. */
static bool overlay_is_on_volume(const struct mounts *s, const struct points *points, const struct mount *m) {
        static const char *const keys[] = { "lowerdir=", "lowerdir+=", "datadir+=", "upperdir=", "workdir=" };
        const char *p = m->line.options;

        for (; *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ',')) {
                const char *value = NULL;
                size_t end = strcspn(p, ",");

                for (size_t k = 0; k < ELEMENTSOF(keys) && !value; k++)
                        value = startswith(p, keys[k]);
                while (value && value < p + end) {
                        size_t n = MIN_OF(strcspn(value, ":,"), (size_t) (p + end - value));

                        if (has_layer_on_volume(s, points, m, value, n))
                                return true;
                        value += n + 1;
                }
        }
        return false;
}

static bool source_is_on(const struct stack *d, const char *source) {
        struct stat st;

        return startswith(source, "/dev/") && stat(source, &st) >= 0 && S_ISBLK(st.st_mode) &&
               (stack_find(d, major(st.st_rdev), minor(st.st_rdev)) ||
                stack_shares_btrfs(d, "/sys", major(st.st_rdev), minor(st.st_rdev)));
}

/* elsewhere: file systems that were asked about in this round, in as many mounts as they may have. */
static bool mark_one(const struct mounts *s, const struct points *points, struct mount *m, struct stack *d,
                     struct stack *elsewhere) {
        bool on;

        if (m->on_volume)
                return false;
        if (stack_find(d, m->line.major, m->line.minor)) {
                m->on_volume = true;
                return true;
        }
        if (streq(m->line.type, "overlay"))
                on = overlay_is_on_volume(s, points, m);
        else
                on = streq(m->line.type, "btrfs") && stack_add(elsewhere, m->line.major, m->line.minor, 0) &&
                     source_is_on(d, m->line.source);
        if (!on)
                return false;
        m->on_volume = true;
        (void) stack_add(d, m->line.major, m->line.minor, 1);
        return true;
}

static int mark_on(struct mounts *s, struct stack *d) {
        _cleanup_(freep) const struct mount **room = calloc(s->n + 1, sizeof(*room));
        struct points points = { .m = room };
        bool changed = true;

        if (!room)
                return -ENOMEM;
        for (unsigned round = 0; changed && round < ROUNDS_MAX; round++) {
                struct stack elsewhere = {};

                changed = false;
                points_fill(&points, s);
                for (size_t i = 0; i < s->n; i++)
                        changed |= mark_one(s, &points, &s->m[i], d, &elsewhere);
                changed |= stack_add_loops(d);
        }
        return 0;
}

static int compare_parents(const void *a, const void *b) {
        const struct mount *x = *(const struct mount *const *) a, *y = *(const struct mount *const *) b;
        int r = compare_numbers(x->ns, y->ns);

        return r != 0 ? r : compare_numbers(x->line.parent, y->line.parent);
}

/* The first of those in order of parents that is not before the children of that mount. */
static size_t find_children(struct mount *const *order, size_t n, const struct mount *parent) {
        const struct mount key = { .ns = parent->ns, .line.parent = parent->line.id }, *k = &key;
        size_t low = 0;

        for (size_t high = n; low < high;) {
                size_t middle = low + (high - low) / 2;

                if (compare_parents(&order[middle], &k) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static int mark_below(struct mounts *s) {
        _cleanup_(freep) struct mount **order = calloc(s->n + 1, sizeof(*order)), **queue = calloc(s->n + 1, sizeof(*queue));
        size_t n = 0;

        if (!order || !queue)
                return -ENOMEM;
        for (size_t i = 0; i < s->n; i++) {
                order[i] = &s->m[i];
                if (s->m[i].on_volume)
                        queue[n++] = &s->m[i];
        }
        qsort(order, s->n, sizeof(*order), compare_parents);
        while (n > 0) {
                const struct mount *m = queue[--n];

                for (size_t i = find_children(order, s->n, m);
                     i < s->n && order[i]->ns == m->ns && order[i]->line.parent == m->line.id; i++) {
                        struct mount *c = order[i];

                        if (c->on_volume || c->below_volume)
                                continue;
                        c->below_volume = true;
                        queue[n++] = c;
                }
        }
        return 0;
}

static int compare_ids(const void *a, const void *b) {
        return compare_numbers(*(const uint64_t *) a, *(const uint64_t *) b);
}

static int list_ids(struct mounts *s) {
        _cleanup_(freep) uint64_t *ids = calloc(s->n + 1, sizeof(*ids)), *known = calloc(s->n + 1, sizeof(*known));
        size_t n = 0;

        if (!ids || !known)
                return -ENOMEM;
        for (size_t i = 0; i < s->n; i++) {
                known[i] = s->m[i].line.id;
                if (s->m[i].on_volume)
                        ids[n++] = s->m[i].line.id;
        }
        qsort(ids, n, sizeof(*ids), compare_ids);
        qsort(known, s->n, sizeof(*known), compare_ids);
        free(s->ids);
        free(s->known);
        s->ids = TAKE_PTR(ids);
        s->n_ids = n;
        s->known = TAKE_PTR(known);
        return 0;
}

int mounts_mark(struct mounts *s, struct stack *d) {
        int r;

        r = mark_on(s, d);
        if (r >= 0)
                r = mark_below(s);
        return r < 0 ? r : list_ids(s);
}

static bool has_number(const uint64_t *numbers, size_t n, uint64_t number) {
        return numbers && bsearch(&number, numbers, n, sizeof(*numbers), compare_ids);
}

bool mounts_have_id(const struct mounts *s, uint64_t id) {
        return has_number(s->ids, s->n_ids, id);
}

bool mounts_know_id(const struct mounts *s, uint64_t id) {
        return has_number(s->known, s->n, id);
}
