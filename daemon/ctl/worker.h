/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmkctl's own line to cmkd-vault, past cmkd, as root: for what is asked of a vault without a volume. Nothing that releases a key or
 * answers a challenge is asked here: of these cmkd keeps the records. */

#include "common/config.h"
#include "common/vault-proto.h"
#include "ctl.h"

struct worker {
        int fd;
        uint32_t id;            /* of the last request */
};

/* root: "" or that of --root; the socket is below it. Returns an exit code, what went wrong being said. */
int worker_open(const char *root, struct worker *ret);

/* Accepts one that was not opened (fd -EBADF). */
void worker_close(struct worker *w);

/* Fills in what each request has (that of RSA keys where no algorithm is said), asks, and waits. list: where vault_op_lists(), else NULL.
 * Returns 0, -ETIMEDOUT (the worker does not answer), -EPIPE (it has gone), -EBADMSG (no answer to this), or -errno. */
int worker_ask(struct worker *w, const struct vault_config *v, struct vault_request *q, struct vault_reply *ret, struct vault_list *ret_list);

/* Says what the vault said, where it did not do what it was asked. Returns an exit code. */
int worker_complain(const struct vault_config *v, int r, const struct vault_reply *y);
