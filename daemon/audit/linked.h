/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a link attaches. */

#include <linux/bpf.h>

/* info: of the program behind link_fd, which is a link's for sure (pin_object_of()); whoever wants lists brings the room for them in it.
 * Returns 0 or -errno. */
int linked_program(int link_fd, struct bpf_prog_info *info);
