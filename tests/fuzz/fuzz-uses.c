/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/unit-mark.c daemon/manager/unit-set.c daemon/manager/unit-name.c daemon/manager/lease.c daemon/manager/key-track.c daemon/manager/lease-keys.c
// sources: daemon/manager/policy.c

/* What cmkd reads of who uses a volume: the list of a child, whose names are of whoever may mount and start processes; the
 * control groups and mount points in it as names of units; and the mark of what was stopped. What is taken can be written
 * again and is the same. */

#include "common/uses.h"
#include "manager/unit-mark.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_names(const struct use *u) {
        char name[UNIT_NAME_SIZE], clean[100];

        if (unit_name_from_cgroup(u->extra, name) >= 0 && (!unit_name_is_valid(name) || unit_kind_of(name) == UNIT_OTHER))
                abort();
        if (unit_name_from_path(u->name, ".mount", name) >= 0 && !unit_name_is_valid(name))
                abort();
        use_text_escape(u->name, clean, sizeof(clean));
        for (const char *p = clean; *p; p++)
                if (*p <= ' ' || *p >= 127)
                        abort();
}

static void list(const char *text) {
        _cleanup_(freep) char *again = malloc(2 * USES_TEXT_MAX);
        struct uses u, v;
        size_t n = 0;

        if (!again || uses_parse(strdup(text), &u) < 0)
                return;
        for (size_t i = 0; i < u.n; i++) {
                int k = use_line_format(u.u + i, again + n, 2 * USES_TEXT_MAX - n);

                if (k < 0)
                        abort();
                n += (size_t) k;
                check_names(u.u + i);
        }
        if (uses_total_format(u.total, again + n, 2 * USES_TEXT_MAX - n) < 0 || uses_parse(strdup(again), &v) < 0 || v.n != u.n)
                abort();
        uses_done(&v);
        uses_done(&u);
}

static void mark(const char *text) {
        _cleanup_(freep) char *copy = strdup(text), *again = NULL;
        struct unit_mark m;

        if (!copy || unit_mark_parse(copy, &m) < 0)
                return;
        again = unit_mark_format(&m);
        if (!again || !streq(again, text))
                abort();
        unit_mark_done(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = NULL;

        if (size < 1 || size > USES_TEXT_MAX)
                return 0;
        text = calloc(1, size);
        if (!text)
                return 0;
        memcpy(text, data + 1, size - 1);
        if (data[0] % 2 == 0)
                list(text);
        else
                mark(text);
        return 0;
}
