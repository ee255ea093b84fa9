/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A key from the manager, over its private socket, for those who make the mapping themselves: the token plugin and the
 * keyscript. Nothing here starts a program or touches the network.
 *
 *   client_release ─ Release(device, what) ─► cmkd      again after a pause, where that may help (retry.h)
 *                  ◄─ read end of a pipe ───                │
 *   the caller reads CLIENT_KEY_SIZE bytes ◄── cmkd-disk ◄──┘ */

#include "common/util.h"

#define CLIENT_KEY_SIZE 64u

/* A line for the console, without newline: what failed, on which volume and key, what to do. */
typedef void (*client_say)(void *user, const char *text);

struct client_request {
        const char *device;      /* a path below /dev; empty: where the UUID is */
        const char *what;        /* UUID or name of the volume */
        bool one_token;          /* only the key of that token is of use */
        uint32_t token;
        uint64_t limit_usec;     /* how long to go on trying (retry_limit()) */
        client_say say;          /* each failure once, and that there are more tries */
        void *user;
};

/* Asks until there is an answer that counts. The caller owns *ret_fd and reads CLIENT_KEY_SIZE bytes from it. Returns 0,
 * or, said already: -EACCES (revoked or denied by the vault), -EAGAIN (the vault or cmkd was not to be reached in time),
 * -EPERM (refused by policy), -EBUSY, -EINTR (a signal came while waiting), -ENOMEM, -EIO (anything else). */
int client_release(const struct client_request *q, int *ret_fd);
