/* SPDX-License-Identifier: Apache-2.0 */
#include "linked.h"

#include <bpf/bpf.h>

#include "common/util.h"

int linked_program(int link_fd, struct bpf_prog_info *info) {
        _cleanup_(closep) int fd = -EBADF;
        struct bpf_link_info link = {};
        uint32_t size = sizeof(link);

        if (bpf_obj_get_info_by_fd(link_fd, &link, &size) < 0)
                return -errno;
        fd = bpf_prog_get_fd_by_id(link.prog_id);
        if (fd < 0)
                return -errno;
        size = sizeof(*info);
        return bpf_obj_get_info_by_fd(fd, info, &size) < 0 ? -errno : 0;
}
