/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a service principal proves to have the key of its certificate: a JWT signed with it (PS256), good for five minutes, that names
 * the certificate by its SHA-256 (x5t#S256, base64url). A key in PEM is parsed for one signature; OpenSSL's copies of it are wiped when
 * they are freed (memory.h). */

#include "common/secret.h"

struct assertion {
        const char *audience;            /* the token endpoint's URL */
        const char *client_id;
        uint64_t now_sec;                /* wall clock */
};

/* Where the key is: PEM, RSA of 2048 bits or more, without a passphrase, with a NUL; or somewhere that signs a SHA-256 with RSA-PSS and knows
 * the key by its public half, DER. sign returns 0 with *ret, or a negative errno, which is handed on. */
struct assertion_key {
        const struct secret *pem;        /* NULL: there is sign */
        int (*sign)(void *user, const uint8_t digest[static 32], const uint8_t *spki, size_t spki_size, struct secret **ret);
        void *user;
};

/* certificate: PEM, the first one counts. The audience and the client id stand in the JSON as they are. *ret: the assertion with its
 * NUL. Returns 0; -EBADMSG with *ret_why, a static text; -ENOMEM; -EPERM: no secret to be had; what sign returns. */
int client_assertion_new(const struct assertion *a, const char *certificate, const struct assertion_key *key, struct secret **ret,
                         const char **ret_why);
