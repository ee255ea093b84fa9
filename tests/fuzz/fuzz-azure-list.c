/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/azure-list.c daemon/vault/azure-attributes.c
// libs: json-c

/* A page of keys (first byte even) or of versions. Whatever is listed is of the vault that was asked, and so is the next page. */

#include "vault/azure-list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const struct key_uri vault = { .host = "vault.test", .port = 443, .name = "k" };
        struct azure_page page = { .vault = &vault, .path = "/keys" };
        char query[AZURE_QUERY_MAX + 1];
        static struct vault_list l;
        const char *why;

        if (size < 1)
                return 0;
        page.versions = data[0] & 1;
        if (page.versions)
                page.path = "/keys/k/versions";
        if (azure_parse_list((const char *) data + 1, size - 1, &page, &l, query, &why) < 0)
                return 0;
        if (l.n > VAULT_LIST_MAX || (*query && !azure_query_is_valid(query)) || strlen(query) > VAULT_BLOB_MAX)
                abort();
        for (unsigned i = 0; i < l.n; i++) {
                struct key_uri u;

                if (key_uri_parse(l.items[i].kid, &u, NULL) < 0 || !streq(u.host, vault.host) || u.port != vault.port ||
                    !*u.version != !page.versions || (page.versions && !streq(u.name, vault.name)))
                        abort();
        }
        return 0;
}
