/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Lists that an owner signed, for many nodes: DIR/NAME.list and its detached signature DIR/NAME.list.sig (the bytes that
 * openssl makes). What is on them is trusted as if it had been formatted here; without a good signature by one of the
 * keys that [Node] OwnerKeys= names, nothing of a list is looked at.
 *
 *   [List]
 *   Version=1
 *   [Volume UUID]
 *   Node=db1 db2            for these nodes only: host names or machine ids; * is all
 *   Name=, Role=, Key=, Digest=, Generation=, PublicKey= and so on as in trust.h
 *
 * Signatures: Ed25519; RSA-PSS with SHA-256, 2048 bits or more; ECDSA with SHA-256. */

#include "trust.h"

#define TRUST_SIGNED_DIRECTORY "/etc/cmkd/trust.d"
#define TRUST_SIGNED_MAX (1024u * 1024u)
#define TRUST_SIGNATURE_MAX 1024u

/* Who this node is: what Node= is compared with. Empty texts match nothing. */
struct node_identity {
        char host[65];
        char machine_id[33];
};
void node_identity_get(struct node_identity *ret);

/* Pure: parses a list whose signature was checked. for_node: entries of this node, elsewhere: those of others (both the
 * caller's). Returns 0, -EINVAL (*ret_why, may be NULL, is a sentence that the caller frees), -E2BIG or -ENOMEM. */
int trust_signed_parse(const char *text, size_t size, const struct node_identity *node, struct trust_entry **ret_for_node,
                       size_t *ret_n, struct trust_elsewhere **ret_elsewhere, size_t *ret_n_elsewhere, char **ret_why);

/* Pure. pem: a public key. Returns 0, -EKEYREJECTED (not signed by it), -EINVAL (no key, or of a kind or size that is not
 * taken) or -ENOMEM. */
int trust_signature_check(const uint8_t *text, size_t size, const uint8_t *signature, size_t signature_size,
                          const char *pem, size_t pem_size);

/* Adds what the lists of a directory (one that is missing is empty) have for this node to l, which was just loaded. A UUID
 * that is on a signed list counts as it stands there; of the generations the newer one holds. Lists that are not good, and
 * two volumes of one name, are left out and noted in l->bad. keys: paths of PEM files, NULL-terminated; NULL: none.
 * Returns 0, -ENOMEM or -errno of the directory. */
int trust_load_signed(const char *dir, char *const *keys, const struct node_identity *node, struct trust_list *l);
