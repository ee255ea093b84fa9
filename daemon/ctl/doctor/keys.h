/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is wrong with the keys of the configuration, as their vaults tell: the checks that format and enroll make before anything is
 * written, made again. Asked for are the key, one wrapping of bytes of no value (the permissions get and wrapKey), and whether this node may
 * more than that; unwrapping is left to the polls, whose requests stand in the trail. */

#include "common/vault-proto.h"
#include "ctl/worker.h"
#include "findings.h"

/* What a vault that did not do what it was asked is a finding of: FINDING_VAULT_NETWORK, FINDING_VAULT_SILENT, or refused. */
enum finding_kind kind_of_refusal(const struct vault_reply *y, enum finding_kind refused);

/* Pure. key: its name; y: the reply to GET_KEY; wrapped: the reply to WRAP, NULL where it was not asked. now: seconds since 1970. */
void judge_key(const struct vault_config *v, const char *key, const struct vault_reply *y, const struct vault_reply *wrapped,
               uint64_t now, struct findings *l);

/* excess: the reply to CHECK_EXCESS. */
void judge_excess(const struct vault_config *v, const char *key, const struct vault_reply *excess, struct findings *l);

/* Each key of each vault, one after the other. Returns an exit code; a vault that does not answer is a finding. */
int find_key_faults(struct worker *w, const struct config *c, struct findings *l);
