/* SPDX-License-Identifier: Apache-2.0 */
#include "misses.h"

#include <bpf/bpf.h>

#include "linked.h"

int misses_look(int map_fd, int link_fd, const char *program, struct misses *ret) {
        struct misses m = {};
        struct bpf_prog_info info = {};
        struct cmkd_missed before = {};
        int r;

        r = linked_program(link_fd, &info);
        if (r < 0)
                return r;
        m.now = (struct cmkd_missed) { .id = info.id, .count = info.recursion_misses };
        snprintf(m.program, sizeof(m.program), "%s", program);
        if (bpf_map_lookup_elem(map_fd, m.program, &before) < 0 && errno != ENOENT)
                return -errno;
        /* One that was loaded anew counts from nothing */
        m.n = before.id == m.now.id ? m.now.count - MIN_OF(before.count, m.now.count) : m.now.count;
        *ret = m;
        return 0;
}

int misses_reported(int map_fd, const struct misses *m) {
        return bpf_map_update_elem(map_fd, m->program, &m->now, BPF_ANY) < 0 ? -errno : 0;
}
