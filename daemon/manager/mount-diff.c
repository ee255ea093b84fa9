/* SPDX-License-Identifier: Apache-2.0 */
#include "mount-diff.h"

#include "common/mountinfo.h"

struct line {
        const char *text;
        size_t n;                      /* how much of it counts */
};

struct lines {
        struct line *l;
        size_t n;
};

static void lines_done(struct lines *s) {
        free(s->l);
}

/* What counts of a line is what comes before the first of those characters. */
static int split(const char *text, const char *ends, struct lines *ret) {
        struct lines s = {};
        size_t n = 1;

        for (const char *p = text; *p; p++)
                n += *p == '\n';
        s.l = calloc(n, sizeof(*s.l));
        if (!s.l)
                return -ENOMEM;
        for (const char *p = text; *p; p += *p == '\n') {
                s.l[s.n++] = (struct line) { p, strcspn(p, ends) };
                p += strcspn(p, "\n");
        }
        *ret = s;
        return 0;
}

static int compare(const void *a, const void *b) {
        const struct line *x = a, *y = b;
        int r = memcmp(x->text, y->text, MIN_OF(x->n, y->n));

        return r != 0 ? r : (x->n > y->n) - (x->n < y->n);
}

/* Little changes at a time: what is the same at both ends needs no sorting. Returns where the rest begins. */
static size_t trim(struct lines *a, struct lines *b) {
        size_t begin = 0;

        while (a->n > 0 && b->n > 0 && compare(&a->l[a->n - 1], &b->l[b->n - 1]) == 0) {
                a->n--;
                b->n--;
        }
        while (begin < a->n && begin < b->n && compare(&a->l[begin], &b->l[begin]) == 0)
                begin++;
        return begin;
}

typedef int (*changed_line)(struct mount_diff *d, const struct line *l);

static int merge(struct mount_diff *d, const struct lines *a, const struct lines *b, size_t begin,
                 changed_line changed) {
        int r = 0;

        for (size_t i = begin, k = begin; r >= 0 && !d->all && (i < a->n || k < b->n);) {
                int order = i == a->n ? 1 : k == b->n ? -1 : compare(&a->l[i], &b->l[k]);

                if (order == 0) {
                        i++;
                        k++;
                } else
                        r = changed(d, order < 0 ? &a->l[i++] : &b->l[k++]);
        }
        return r;
}

static int diff(struct mount_diff *d, const char *before, const char *after, const char *ends, changed_line changed) {
        _cleanup_(lines_done) struct lines a = {}, b = {};
        size_t begin;
        int r;

        r = split(before, ends, &a);
        if (r >= 0)
                r = split(after, ends, &b);
        if (r < 0)
                return r;
        begin = trim(&a, &b);
        qsort(a.l + begin, a.n - begin, sizeof(*a.l), compare);
        qsort(b.l + begin, b.n - begin, sizeof(*b.l), compare);
        return merge(d, &a, &b, begin, changed);
}

static bool covers_system(const char *point) {
        for (const char *const *place = system_places; *place; place++)
                if (path_is_below(*place, point))
                        return true;
        return false;
}

/* Users may mount through FUSE, under any source they like; the ladder finds no volume below those. */
static bool is_on_unknown_device(const struct mount_line *m) {
        return m->major == 0 && startswith(m->source, "/dev/") && !startswith(m->type, "fuse");
}

static int changed_mount(struct mount_diff *d, const struct line *l) {
        _cleanup_(freep) char *copy = strndup(l->text, l->n);
        struct mount_line m;

        if (!copy)
                return -ENOMEM;
        if (mount_line_parse(copy, &m) < 0 || is_on_unknown_device(&m) || covers_system(m.point))
                d->all = true;
        else if (m.major > 0)
                (void) stack_add(&d->devices, m.major, m.minor, 0);
        d->all |= d->devices.incomplete;
        return 0;
}

int mount_diff_mounts(struct mount_diff *d, const char *before, const char *after) {
        return diff(d, before, after, "\n", changed_mount);
}

static int changed_swap(struct mount_diff *d, const struct line *l _unused_) {
        d->all = true;
        return 0;
}

/* How much of it is in use changes all the time. */
int mount_diff_swaps(struct mount_diff *d, const char *before, const char *after) {
        return diff(d, before, after, " \t\n", changed_swap);
}
