/* SPDX-License-Identifier: Apache-2.0 */
#include "certificates.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

void certificates_read(const char *text, uint64_t now, struct certificates *ret) {
        struct certificates found = {};
        time_t at = (time_t) now;
        size_t n = strlen(text);
        BIO *bio = n <= INT_MAX ? BIO_new_mem_buf(text, (int) n) : NULL;

        while (bio) {
                X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

                if (!x)
                        break;
                found.total++;
                found.valid += X509_cmp_time(X509_get0_notBefore(x), &at) < 0 &&
                               X509_cmp_time(X509_get0_notAfter(x), &at) > 0;
                X509_free(x);
        }
        BIO_free(bio);
        ERR_clear_error();
        *ret = found;
}
