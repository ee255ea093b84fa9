/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pure: the tags by which the owner of a key asks for more than the node does, as floors for policy_make().
 *
 *   key's tags (worker) ─► floors_from_tags() ─► struct policy_floors ─► policy_make(): only ever stricter
 *
 * What is not understood is never an error: an owner's mistake must neither close a volume nor open one. It is said, so
 * that it can be put right. */

#include "common/vault-proto.h"
#include "policy.h"

struct floors_text {
        char floors[1024];         /* the tags that count, "cmkd-poll-sec=10 cmkd-on-denied=cut"; empty: none */
        char ignored[1024];        /* sentences about those that do not */
};

/* left_out: the worker had tags that it could not hand on. */
void floors_from_tags(const struct vault_tag *tags, size_t n, bool left_out, struct policy_floors *ret,
                      struct floors_text *ret_text);

bool floors_equal(const struct policy_floors *a, const struct policy_floors *b);
