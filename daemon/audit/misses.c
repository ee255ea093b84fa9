/* SPDX-License-Identifier: Apache-2.0 */
#include "misses.h"

#include <bpf/bpf.h>

static int program_of(int link_fd, struct cmkd_missed *ret) {
        _cleanup_(closep) int fd = -EBADF;
        struct bpf_prog_info info = {};
        struct bpf_link_info link = {};
        uint32_t size = sizeof(link);

        if (bpf_obj_get_info_by_fd(link_fd, &link, &size) < 0)
                return -errno;
        fd = bpf_prog_get_fd_by_id(link.prog_id);
        if (fd < 0)
                return -errno;
        size = sizeof(info);
        if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
                return -errno;
        *ret = (struct cmkd_missed) { .id = link.prog_id, .count = info.recursion_misses };
        return 0;
}

int misses_look(int map_fd, int link_fd, const char *program, struct misses *ret) {
        struct misses m = {};
        struct cmkd_missed before = {};
        int r;

        r = program_of(link_fd, &m.now);
        if (r < 0)
                return r;
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
