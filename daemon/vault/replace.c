/* SPDX-License-Identifier: Apache-2.0 */
#include "replace.h"

#include "kept.h"

static void name_of(const struct vault *v, char buf[static KEPT_NAME_MAX + 1]) {
        snprintf(buf, KEPT_NAME_MAX + 1, "replaced-%s", v->config->name);
}

/* When a worker was last given up for this vault; false: not that anybody knows. A time ahead of now is none. */
static bool last_time(const struct vault *v, uint64_t now_usec, uint64_t *ret) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        char name[KEPT_NAME_MAX + 1];
        uint64_t usec;

        name_of(v, name);
        if (kept_get(name, &s) < 0 || secret_size(s) != sizeof(usec))
                return false;
        memcpy(&usec, secret_cdata(s), sizeof(usec));
        *ret = usec;
        return usec <= now_usec;
}

void replace_worker(struct vault *v) {
        uint64_t now = now_boottime_usec(), last, copy = now;
        _cleanup_(secret_freep) struct secret *s = NULL;
        char name[KEPT_NAME_MAX + 1];

        if (v->is_over || (last_time(v, now, &last) && now - last < REPLACE_EVERY_USEC))
                return;
        name_of(v, name);
        if (secret_take(&copy, sizeof(copy), &s) >= 0)
                (void) kept_put(name, s);
        v->is_over = true;
}
