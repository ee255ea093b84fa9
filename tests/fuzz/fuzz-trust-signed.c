/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/trust-signed.c daemon/manager/trust.c daemon/manager/trust-find.c

/* Signed lists: who signs is trusted, what is read is not. What is accepted is complete, and prints as an entry of ours. */

#include "manager/trust-signed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const struct node_identity here = { .host = "db1", .machine_id = "0123456789abcdef0123456789abcdef" };
        _cleanup_(freep) struct trust_elsewhere *elsewhere = NULL;
        _cleanup_(freep) struct trust_entry *ours = NULL;
        _cleanup_(freep) char *why = NULL;
        size_t n = 0, n_elsewhere = 0;

        if (trust_signed_parse((const char *) data, size, &here, &ours, &n, &elsewhere, &n_elsewhere, &why) < 0)
                return 0;
        for (size_t i = 0; i < n; i++) {
                _cleanup_(freep) char *text = NULL;

                if (trust_print(ours + i, &text) < 0 || trust_find_uuid(&(struct trust_list) { .entries = ours, .n_entries = i }, ours[i].uuid))
                        abort();
        }
        for (size_t i = 0; i < n_elsewhere; i++)
                if (!uuid_is_valid(elsewhere[i].uuid) || !*elsewhere[i].node)
                        abort();
        (void) trust_signature_check(data, size / 2, data + size / 2, size - size / 2, (const char *) data, size);
        return 0;
}
