/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Wrapped secret ids (SecretIdWrapped=) as the worker tells of them, in the code of whatever reply first follows a login: whether
 * somebody else may be able to log in as this node, and that another secret id was taken into use. Said once for each vault, until
 * a reply is granted that has nothing to tell.
 *
 *   worker-link ─ every reply ─► login_watch_look ─ 1 ─► a record (manager.c) */

#include "common/vault-proto.h"

#include <sys/queue.h>

struct login_watch_vault;

/* All zero: nothing was said. */
struct login_watch {
        LIST_HEAD(, login_watch_vault) vaults;      /* of which something was said */
};

void login_watch_clear(struct login_watch *w);

/* The event that a reply's code stands for, static, where it was not said of that vault already; else NULL. */
const char *login_watch_look(struct login_watch *w, const char *vault, const struct vault_reply *y);
