/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a reply's code tells of the whole vault, whatever key was asked about:
 *
 *   login_alarm, login_replaced   of wrapped secret ids (SecretIdWrapped=), with whatever reply first follows a login: somebody else
 *                                 may be able to log in as this node; another secret id was taken into use
 *   vault_sealed                  its owner sealed it, or locked the namespace
 *
 * Each is said once for each vault, until a reply is granted that does not tell it.
 *
 *   worker-link ─ every reply ─► login_watch_look ─ 1 ─► a record (manager.c) */

#include "common/vault-proto.h"

#include <sys/queue.h>

struct login_watch_said;

/* All zero: nothing was said. */
struct login_watch {
        LIST_HEAD(, login_watch_said) said;
};

void login_watch_clear(struct login_watch *w);

/* The event that a reply's code stands for, static, where it was not said of that vault already; else NULL. */
const char *login_watch_look(struct login_watch *w, const char *vault, const struct vault_reply *y);
