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

int workloads_add(struct workloads_sum *s, const struct record *r) {
        const char *use = strempty(record_field(r, "use")), *cgroup = record_field(r, "cgroup") ? record_field(r, "cgroup") :
                          strempty(record_field(r, "cgroup_id"));
        uint64_t read = number(r, "read_bytes"), written = number(r, "written_bytes");
        struct workload *w = NULL, *bigger;
        char name[sizeof(w->cgroup)];

        snprintf(name, sizeof(name), "%s", cgroup);
        for (size_t i = 0; i < s->n && !w; i++)
                if (streq(s->w[i].cgroup, name))
                        w = s->w + i;
        if (!w && s->n >= WORKLOADS_MAX) {
                s->more++;
                return 0;
        }
        if (!w) {
                bigger = reallocarray(s->w, s->n + 1, sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                s->w = bigger;
                w = s->w + s->n++;
                *w = (struct workload) {};
                memcpy(w->cgroup, name, sizeof(w->cgroup));
        }
        if (!streq(w->use, use))
                w->use_read = w->use_written = 0;
        snprintf(w->use, sizeof(w->use), "%s", use);
        sum(&w->read, since(read, w->use_read));
        sum(&w->written, since(written, w->use_written));
        w->use_read = read;
        w->use_written = written;
        return 0;
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
