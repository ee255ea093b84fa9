/* SPDX-License-Identifier: Apache-2.0 */
#include "algorithms.h"

#include "common/algorithm.h"
#include "common/config-azure.h"
#include "common/fips.h"

void find_algorithms(const char *root, struct findings *l) {
        _cleanup_(config_freep) struct config *c = NULL;
        _cleanup_(freep) char *why = NULL;
        char said[FIPS_WHY_MAX];

        if (config_load(root, &c, &why) < 0)
                return;
        if (c->fips && fips_probe(said) < 0)
                finding_add(l, FINDING_FIPS, "%s", said);
        for (const struct vault_config *v = c->vaults; v; v = v->next)
                if (config_allows_algorithm(v, ALGORITHM_RSA_SHA1))
                        finding_add(l, FINDING_SHA1, "RSA keys of the vault %s wrap with " ALGORITHM_RSA_SHA1, v->name);
}
