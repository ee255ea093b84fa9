/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is wrong with wrapped keys that vaults keep (--store=vault): whether each volume's secret is there as it was enrolled, whether this
 * node may read it and, where that is needed for good (KeyVersion=latest), set another. Nothing is set and nothing unwrapped. */

#include "common/vault-proto.h"
#include "ctl/worker.h"
#include "findings.h"

struct json_object;

/* Pure. volume, secret: names; y: the reply to CHECK_STORED; deleted: that to CHECK_DELETED, NULL where it was not asked. */
void judge_secret(const struct vault_config *v, const char *volume, const char *secret, const struct vault_reply *y,
                  const struct vault_reply *deleted, struct findings *l);

/* Each of list (as of key_usage(): what "digest" says is kept by a vault), one after the other. Returns an exit code. */
int find_secret_faults(struct worker *w, const struct config *c, struct json_object *list, struct findings *l);
