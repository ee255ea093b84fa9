/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include "common/fips.h"

static char top[] = "/tmp/test-fips.XXXXXX";

static int digest(const char *name) {
        uint8_t out[EVP_MAX_MD_SIZE];
        size_t n;

        return EVP_Q_digest(NULL, name, NULL, "", 0, out, &n);
}

/* A process of its own: what a provider was loaded for stays. modules: where OpenSSL looks, or NULL: as the system has it. */
static void apart(const char *modules, void (*f)(void)) {
        int status;
        pid_t p = fork();

        if (p == 0) {
                if (modules)
                        setenv("OPENSSL_MODULES", modules, true);
                f();
                _exit(0);
        }
        assert_true(p > 0 && waitpid(p, &status, 0) == p);
        assert_int_equal(status, 0);
}

#define CHECK(x) do { if (!(x)) { fprintf(stderr, "%s: %s (%s)\n", __func__, #x, why); _exit(1); } } while (0)

static void none(void) {
        char why[FIPS_WHY_MAX] = "";

        CHECK(fips_probe(why) == -ENOENT);
        CHECK(strstr(why, "Fips=yes") && strstr(why, "cannot be loaded") && strstr(why, "/fips.so"));
        CHECK(digest("SHA256") == 1 && digest("MD5") == 1);        /* as it was */
        *why = 0;
        CHECK(fips_begin(why) == -ENOENT);
        CHECK(strstr(why, "cannot be loaded"));
}

static void another(void) {
        char why[FIPS_WHY_MAX] = "";

        CHECK(fips_probe(why) == -EIO);
        CHECK(strstr(why, "does not have SHA-256"));
        CHECK(digest("SHA256") == 1);
        *why = 0;
        CHECK(fips_begin(why) == -EIO);
        CHECK(strstr(why, "does not have SHA-256"));
        CHECK(digest("SHA256") != 1);                              /* by nobody else either */
}

static void real(void) {
        char why[FIPS_WHY_MAX] = "";

        CHECK(fips_probe(why) == 0);
        CHECK(digest("MD5") == 1);
        CHECK(fips_begin(why) == 0);
        CHECK(digest("SHA256") == 1 && digest("MD5") != 1);
}

static void test_no_provider(void **state _unused_) {
        apart(top, none);
}

/* One of that name that is another: the system's legacy provider, which has neither. */
static void test_provider_of_that_name(void **state _unused_) {
        const char *modules = OPENSSL_info(OPENSSL_INFO_MODULES_DIR);
        char link[64], directory[64], target[256];

        snprintf(directory, sizeof(directory), "%s/other", top);
        snprintf(link, sizeof(link), "%s/fips.so", directory);
        snprintf(target, sizeof(target), "%s/legacy.so", modules);
        if (access(target, R_OK) < 0)
                skip();
        assert_int_equal(mkdir(directory, 0700), 0);
        assert_int_equal(symlink(target, link), 0);
        apart(directory, another);
        unlink(link);
        rmdir(directory);
}

static void test_real_provider(void **state _unused_) {
        OSSL_PROVIDER *p = OSSL_PROVIDER_try_load(NULL, "fips", 1);

        if (!p)
                skip();            /* Debian 12 has none */
        OSSL_PROVIDER_unload(p);
        apart(NULL, real);
}

static int setup(void **state _unused_) {
        return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state _unused_) {
        return rmdir(top);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_provider), cmocka_unit_test(test_provider_of_that_name), cmocka_unit_test(test_real_provider),
        };
        return cmocka_run_group_tests_name("fips", tests, setup, teardown);
}
