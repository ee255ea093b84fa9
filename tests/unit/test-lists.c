/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/doctor/lists.c daemon/ctl/doctor/findings.c daemon/ctl/doctor/judge-vault.c daemon/ctl/doctor/certificates.c
// sources: daemon/ctl/doctor/image.c daemon/ctl/doctor/elf.c daemon/ctl/doctor/cpio.c daemon/ctl/doctor/machine.c
// sources: daemon/ctl/doctor/machine-disk.c daemon/ctl/boot-chain.c
// libs: json-c

/* Lists of revoked certificates: on the node, and in an image. Who signed one is the worker's question (worker-tls). */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

#include "config-file.h"
#include "ctl/doctor/lists.h"

#define DAY 86400
#define CONFIG "[Vault v]\nHost=v\nKeys=k\nCRLFile=/etc/v.crl\n"
#define NAMED "/etc/v.crl (CRLFile= of the vault v) "

/* Appends one to the text. until 0: it says no end. */
static void make_list(char *text, size_t size, long from, long until) {
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509_CRL *x = X509_CRL_new();
        BIO *bio = BIO_new(BIO_s_mem());
        ASN1_TIME *t = ASN1_TIME_new();
        size_t used = strlen(text);
        int n;

        assert_true(X509_CRL_set_version(x, X509_CRL_VERSION_2) && X509_CRL_set1_lastUpdate(x, X509_gmtime_adj(t, from)));
        assert_true(until == 0 || X509_CRL_set1_nextUpdate(x, X509_gmtime_adj(t, until)));
        assert_true(X509_CRL_sign(x, key, EVP_sha256()) > 0);
        assert_true(PEM_write_bio_X509_CRL(bio, x));
        n = BIO_read(bio, text + used, (int) (size - used) - 1);
        assert_true(n > 0);
        text[used + (size_t) n] = 0;
        ASN1_TIME_free(t);
        BIO_free(bio);
        X509_CRL_free(x);
        EVP_PKEY_free(key);
}

static uint64_t now(void) {
        return (uint64_t) time(NULL);
}

/* Lists, each from and until; what is wrong with the file, and in how many days it ends. */
static const struct {
        long times[2][2];
        const char *why;
        long days;
} cases[] = {
        { { { -DAY, 3 * DAY } }, NULL, 3 },
        { { { -DAY, 3 * DAY }, { -DAY, 9 * DAY } }, NULL, 3 },
        { { { -DAY, 9 * DAY }, { -DAY, 3 * DAY } }, NULL, 3 },
        { { { -2 * DAY, -60 } }, "is out of date", 0 },
        { { { -DAY, 3 * DAY }, { -2 * DAY, -60 } }, "is out of date", 0 },
        { { { DAY, 3 * DAY } }, "is out of date", 0 },
        { { { -DAY, 0 } }, NULL, -1 },
        { {}, "holds no list of revoked certificates", 0 },
};

static void make_case(size_t i, char *text, size_t size) {
        snprintf(text, size, "# a comment\n");
        for (size_t k = 0; k < 2; k++)
                if (cases[i].times[k][0] != 0)
                        make_list(text, size, cases[i].times[k][0], cases[i].times[k][1]);
}

static void test_faults(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t ends = 0, wanted = now() + (uint64_t) cases[i].days * DAY;
                char text[4096];

                make_case(i, text, sizeof(text));
                if (!streq_ptr(list_fault(text, now(), &ends), cases[i].why))
                        fail_msg("case %zu: %s", i, strempty(list_fault(text, now(), &ends)));
                if (!cases[i].why && (cases[i].days < 0 ? ends != UINT64_MAX : ends + 60 < wanted || ends > wanted + 60))
                        fail_msg("case %zu ends %lld s from now", i, (long long) (ends - now()));
        }
}

static void expect(const char *words) {
        struct findings l = {};

        find_lists(root, now(), &l);
        assert_int_equal(l.n, words ? 1 : 0);
        if (words) {
                assert_int_equal(l.list[0].kind, FINDING_CRL);
                assert_int_equal(finding_severity(FINDING_CRL), SEVERITY_RISK);
                if (!strstr(l.list[0].what, words))
                        fail_msg("%s, not %s", l.list[0].what, words);
        }
        findings_release(&l);
}

static void test_on_the_node(void **state _unused_) {
        char text[4096];

        expect(NULL);
        put("/etc/cmkd/cmkd.conf", "[Vault v]\nHosts=v\n");         /* cmkctl config check says so */
        expect(NULL);
        put("/etc/cmkd/cmkd.conf", CONFIG);
        expect(NAMED "cannot be read: No such file");
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                make_case(i, text, sizeof(text));
                put("/etc/v.crl", text);
                expect(cases[i].why);
        }
}

/* The finding that the image brings, or none. */
static const struct finding *find(const struct findings *l, enum finding_kind kind) {
        for (size_t i = 0; i < l->n; i++)
                if (l->list[i].kind == kind)
                        return l->list + i;
        return NULL;
}

static void test_in_an_image(void **state _unused_) {
        struct config *c;

        put("/etc/cmkd/cmkd.conf", CONFIG);
        c = load();
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[4096], wanted[96];
                struct image_file f = { .path = (char[]) { "etc/v.crl" }, .mode = S_IFREG | 0644, .data = text };
                struct image image = { .files = &f, .n_files = 1 };
                struct machine m = { .root = root };
                const struct case_file judged = { .image = &image, .machine = &m, .config = c, .now = now() };
                const struct finding *wrong, *ages;
                struct findings l = {};

                make_case(i, text, sizeof(text));
                f.size = strlen(text);
                judge_vault(&judged, &l);
                wrong = find(&l, FINDING_IMAGE_CRL);
                ages = find(&l, FINDING_CRL_AGES);
                snprintf(wanted, sizeof(wanted), "/etc/v.crl in the image %s", strempty(cases[i].why));
                if (cases[i].why ? !wrong || !streq(wrong->what, wanted) || ages : wrong || !ages != (cases[i].days < 0))
                        fail_msg("case %zu: %s, %s", i, wrong ? wrong->what : "-", ages ? ages->what : "-");
                findings_release(&l);
        }
        config_free(c);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_faults),
                cmocka_unit_test_setup_teardown(test_on_the_node, setup, teardown),
                cmocka_unit_test_setup_teardown(test_in_an_image, setup, teardown),
        };
        return cmocka_run_group_tests_name("lists", tests, NULL, NULL);
}
