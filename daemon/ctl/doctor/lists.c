/* SPDX-License-Identifier: Apache-2.0 */
#include "lists.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

#define LIST_MAX (8u << 20)

/* Seconds since 1970, or UINT64_MAX where there is no such time. */
static uint64_t seconds_of(const ASN1_TIME *t) {
        struct tm tm;

        if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
                return UINT64_MAX;
        return (uint64_t) MAX_OF(timegm(&tm), (time_t) 0);
}

const char *list_fault(const char *text, uint64_t now, uint64_t *ret_ends) {
        size_t n = strlen(text), total = 0, current = 0;
        BIO *bio = n <= INT_MAX ? BIO_new_mem_buf(text, (int) n) : NULL;
        uint64_t ends = UINT64_MAX;

        while (bio) {
                X509_CRL *x = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
                uint64_t end;

                if (!x)
                        break;
                end = seconds_of(X509_CRL_get0_nextUpdate(x));
                total++;
                current += seconds_of(X509_CRL_get0_lastUpdate(x)) <= now && end > now;
                ends = MIN_OF(ends, end);
                X509_CRL_free(x);
        }
        BIO_free(bio);
        ERR_clear_error();
        *ret_ends = ends;
        return total == 0 ? "holds no list of revoked certificates" : current < total ? "is out of date" : NULL;
}

static void look_at(const char *root, const struct vault_config *v, uint64_t now, struct findings *l) {
        _cleanup_(freep) char *text = NULL;
        char path[PATH_MAX];
        const char *why;
        uint64_t ends;
        int r;

        if (snprintf(path, sizeof(path), "%s%s", root, v->crl_file) >= (int) sizeof(path))
                return;
        r = read_small_file(path, LIST_MAX, &text, NULL);
        why = r < 0 ? strerror(-r) : list_fault(text, now, &ends);
        if (why)
                finding_add(l, FINDING_CRL, "%s (CRLFile= of the vault %s) %s%s", v->crl_file, v->name,
                            r < 0 ? "cannot be read: " : "", why);
}

void find_lists(const char *root, uint64_t now, struct findings *l) {
        _cleanup_(config_freep) struct config *c = NULL;
        _cleanup_(freep) char *why = NULL;

        if (config_load(root, &c, &why) < 0)
                return;
        for (const struct vault_config *v = c->vaults; v; v = v->next)
                if (v->crl_file)
                        look_at(root, v, now, l);
}
