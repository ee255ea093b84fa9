/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-set.h"

struct unit *unit_set_find(const struct unit_set *s, const char *name) {
        for (size_t i = 0; i < s->n; i++)
                if (streq(s->u[i].name, name))
                        return s->u + i;
        return NULL;
}

int unit_set_add(struct unit_set *s, const char *name) {
        struct unit *p;
        char *copy;

        if (!unit_name_is_valid(name))
                return -EINVAL;
        if (unit_set_find(s, name))
                return 0;
        if (s->n == UNITS_MAX) {
                s->truncated = true;
                return 0;
        }
        if (s->n == s->size) {
                size_t size = MAX_OF(s->size * 2, (size_t) 16);

                p = reallocarray(s->u, size, sizeof(*p));
                if (!p)
                        return -ENOMEM;
                s->u = p;
                s->size = size;
        }
        copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        s->u[s->n++] = (struct unit) { .name = copy, .kind = unit_kind_of(name), .never = unit_never_stopped(name) };
        return 1;
}

void unit_set_done(struct unit_set *s) {
        for (size_t i = 0; i < s->n; i++) {
                for (char **a = s->u[i].after; a && *a; a++)
                        free(*a);
                free(s->u[i].after);
                free(s->u[i].name);
        }
        free(s->u);
        *s = (struct unit_set) {};
}

enum unit_wave unit_wave_of(const struct unit *u) {
        return u->kind == UNIT_MOUNT || u->kind == UNIT_SWAP ? WAVE_MOUNTS : WAVE_USERS;
}

static int compare_names(const void *a, const void *b) {
        return strcmp((*(struct unit *const *) a)->name, (*(struct unit *const *) b)->name);
}

static int compare_name(const void *name, const void *member) {
        return strcmp(name, (*(struct unit *const *) member)->name);
}

/* Depth first along After=: what a unit comes after is written down before it. */
struct walk {
        struct unit **byname, **out;
        unsigned char *seen;
        size_t n, n_out;
};

static void visit(struct walk *w, size_t i) {
        struct unit *u = w->byname[i];

        if (w->seen[i])
                return;
        w->seen[i] = 1;
        for (char **a = u->after; a && *a; a++) {
                struct unit **found = bsearch(*a, w->byname, w->n, sizeof(*w->byname), compare_name);

                if (found)
                        visit(w, (size_t) (found - w->byname));
        }
        w->out[w->n_out++] = u;
}

int unit_set_order(const struct unit_set *s, enum unit_wave wave, struct unit ***ret, size_t *ret_n) {
        _cleanup_(freep) struct unit **byname = calloc(s->n + 1, sizeof(*byname)), **out = calloc(s->n + 1, sizeof(*out));
        _cleanup_(freep) unsigned char *seen = calloc(s->n + 1, 1);
        struct walk w = { .byname = byname, .out = out, .seen = seen };

        if (!byname || !out || !seen)
                return -ENOMEM;
        for (size_t i = 0; i < s->n; i++)
                if (!s->u[i].never && unit_wave_of(s->u + i) == wave)
                        byname[w.n++] = s->u + i;
        qsort(byname, w.n, sizeof(*byname), compare_names);
        for (size_t i = 0; i < w.n; i++)
                visit(&w, i);
        /* The order of starting, backwards. */
        for (size_t i = 0; i < w.n_out / 2; i++) {
                struct unit *u = out[i];

                out[i] = out[w.n_out - 1 - i];
                out[w.n_out - 1 - i] = u;
        }
        *ret_n = w.n_out;
        *ret = TAKE_PTR(out);
        return 0;
}
