/* SPDX-License-Identifier: Apache-2.0 */
#include "fips.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>

static int no_provider(char why[static FIPS_WHY_MAX]) {
        const char *data = NULL, *reason;
        int flags = 0;

        reason = ERR_reason_error_string(ERR_peek_error_data(&data, &flags));
        snprintf(why, FIPS_WHY_MAX, "Fips=yes: OpenSSL's FIPS provider cannot be loaded (%s). It has to be installed (fips.so) and named, with its "
                 "fipsmodule.cnf, in openssl.cnf", data && flags & ERR_TXT_STRING && *data ? data : strempty(reason));
        ERR_clear_error();
        return -ENOENT;
}

static bool is_from_fips(const OSSL_PROVIDER *p) {
        return p && streq(OSSL_PROVIDER_get0_name(p), "fips");
}

/* What is needed, by whom it would be computed. */
static int check(const char *query, char why[static FIPS_WHY_MAX]) {
        EVP_MD *sha = EVP_MD_fetch(NULL, "SHA256", query);
        EVP_CIPHER *aes = EVP_CIPHER_fetch(NULL, "AES-256-GCM", query);
        EVP_KEYMGMT *rsa = EVP_KEYMGMT_fetch(NULL, "RSA", query);
        EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", query);
        const char *missing = NULL;

        if (!sha || !is_from_fips(EVP_MD_get0_provider(sha)))
                missing = "SHA-256";
        else if (!aes || !is_from_fips(EVP_CIPHER_get0_provider(aes)))
                missing = "AES-256-GCM";
        else if (!rsa || !is_from_fips(EVP_KEYMGMT_get0_provider(rsa)))
                missing = "RSA";
        else if (!hkdf || !is_from_fips(EVP_KDF_get0_provider(hkdf)))
                missing = "HKDF";
        EVP_MD_free(sha);
        EVP_CIPHER_free(aes);
        EVP_KEYMGMT_free(rsa);
        EVP_KDF_free(hkdf);
        ERR_clear_error();
        if (!missing)
                return 0;
        snprintf(why, FIPS_WHY_MAX, "Fips=yes: OpenSSL's FIPS provider does not have %s", missing);
        return -EIO;
}

int fips_begin(char why[static FIPS_WHY_MAX]) {
        if (!OSSL_PROVIDER_load(NULL, "fips"))
                return no_provider(why);
        /* base: what reads and writes keys, and computes nothing */
        if (!OSSL_PROVIDER_load(NULL, "base") || EVP_default_properties_enable_fips(NULL, 1) != 1) {
                snprintf(why, FIPS_WHY_MAX, "Fips=yes: OpenSSL does not take the FIPS provider as the only one");
                return -EIO;
        }
        return check(NULL, why);
}

int fips_probe(char why[static FIPS_WHY_MAX]) {
        OSSL_PROVIDER *p = OSSL_PROVIDER_try_load(NULL, "fips", 1);
        int r;

        if (!p)
                return no_provider(why);
        r = check("fips=yes", why);
        OSSL_PROVIDER_unload(p);
        return r;
}
