/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"

static uint64_t number(const struct record *r, const char *name) {
        uint64_t n = 0;

        (void) parse_u64(strempty(record_field(r, name)), UINT64_MAX - 1, &n);
        return n;
}

/* What came since; less than before: it was counted anew. */
static uint64_t since(uint64_t now, uint64_t before) {
        return now >= before ? now - before : now;
}

static void sum(uint64_t *to, uint64_t n) {
        if (__builtin_add_overflow(*to, n, to))
                *to = UINT64_MAX;
}

/* Returns 1 (*ret: the place of the row of that name), 0 (there are too many others) or -ENOMEM. */
static int find_row(struct workloads_sum *s, const char *name, size_t *ret) {
        struct workload *bigger;

        for (*ret = 0; *ret < s->n; ++*ret)
                if (streq(s->w[*ret].cgroup, name))
                        return 1;
        if (s->n >= WORKLOADS_MAX)
                return 0;
        bigger = reallocarray(s->w, s->n + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        s->w = bigger;
        s->w[s->n] = (struct workload) {};
        snprintf(s->w[s->n++].cgroup, sizeof(bigger->cgroup), "%s", name);
        return 1;
}

/* The group; one that was not there begins with nothing, in the place of the oldest where there are too many. NULL: no memory. */
static struct workload_group *find_group(struct workloads_sum *s, uint64_t id, size_t workload) {
        struct workload_group *g;

        for (size_t i = 0; i < s->n_groups; i++)
                if (s->groups[i].id == id && s->groups[i].workload == workload)
                        return s->groups + i;
        if (s->n_groups < WORKLOAD_GROUPS_MAX) {
                g = reallocarray(s->groups, s->n_groups + 1, sizeof(*g));
                if (!g)
                        return NULL;
                s->groups = g;
                g += s->n_groups++;
        } else {
                g = s->groups + s->next_group;
                s->next_group = (s->next_group + 1) % WORKLOAD_GROUPS_MAX;
        }
        *g = (struct workload_group) { .id = id, .workload = workload };
        return g;
}

int workloads_add(struct workloads_sum *s, const struct record *r) {
        const char *use = strempty(record_field(r, "use")), *cgroup = record_field(r, "cgroup") ? record_field(r, "cgroup") :
                          strempty(record_field(r, "cgroup_id"));
        uint64_t read = number(r, "read_bytes"), written = number(r, "written_bytes");
        char name[sizeof(s->w->cgroup)];
        struct workload_group *g;
        size_t row;
        int found;

        snprintf(name, sizeof(name), "%s", cgroup);
        found = find_row(s, name, &row);
        if (found == 0)
                s->more++;
        if (found <= 0)
                return found;
        g = find_group(s, number(r, "cgroup_id"), row);
        if (!g)
                return -ENOMEM;
        if (!streq(g->use, use))
                g->read = g->written = 0;
        snprintf(g->use, sizeof(g->use), "%s", use);
        sum(&s->w[row].read, since(read, g->read));
        sum(&s->w[row].written, since(written, g->written));
        g->read = read;
        g->written = written;
        return 0;
}

void workloads_free(struct workloads_sum *s) {
        free(s->w);
        free(s->groups);
        *s = (struct workloads_sum) {};
}

static int by_bytes(const void *a, const void *b) {
        const struct workload *x = a, *y = b;
        uint64_t p = x->read / 2 + x->written / 2, q = y->read / 2 + y->written / 2;

        return p != q ? (p < q ? 1 : -1) : strcmp(x->cgroup, y->cgroup);
}

void workloads_sort(struct workloads_sum *s) {
        if (s->n > 0)
                qsort(s->w, s->n, sizeof(*s->w), by_bytes);
}

void format_bytes(uint64_t n, char *buf, size_t size) {
        static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
        double v = (double) n / 1024;
        size_t i = 0;

        if (n < 1024) {
                snprintf(buf, size, "%u B", (unsigned) n);
                return;
        }
        for (; v >= 1024 && i < ELEMENTSOF(units) - 1; i++)
                v /= 1024;
        snprintf(buf, size, v < 10 ? "%.1f %s" : "%.0f %s", v, units[i]);
}
