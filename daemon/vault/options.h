/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmkd-vault's command line, and the socket it is given one way or the other:
 *
 *   LISTEN_FDS from systemd (descriptor 3) · --socket-fd N (listening, or connected: from cmkd) · --listen PATH */

#include "common/util.h"

struct options {
        const char *listen, *user, *root;
        int socket_fd;
        bool check_config, debug;
};

/* Returns 1: go on; 0: done (--help); -EINVAL: usage, which is said. */
int options_parse(int argc, char *argv[], struct options *ret);

/* The socket, non-blocking and close-on-exec. Returns a descriptor; -ENOTCONN: none was given; -ESTALE: LISTEN_FDS is
 * for another process, or is not one socket; or what makes a socket unusable. */
int options_socket(const struct options *o);
