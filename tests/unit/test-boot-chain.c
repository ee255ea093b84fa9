/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/boot-chain.c

/* What status and doctor say of the boot chain, by the firmware's variables that a machine has. */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "ctl/boot-chain.h"
#include <cmocka.h>

#define GLOBAL "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
#define SHIM "MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23"
#define STUB "StubInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

static const struct machine {
        const char *name;
        int secure, shim, stub;                   /* the variable's byte; -1: there is none */
        int answer;
        const char *says;
} machines[] = {
        { "no EFI", -1, -1, -1, -ENOENT, "no Secure Boot: this machine did not boot by EFI" },
        { "off", 0, -1, -1, 0, "Secure Boot is off" },
        { "off, with a unified image", 0, -1, 1, 0, "Secure Boot is off" },
        { "on", 1, -1, -1, 1, "Secure Boot is on, the image is a file of its own and is not checked" },
        { "on, with a unified image", 1, 0, 1, 1, "Secure Boot is on, kernel and image are one signed file (UKI)" },
        { "on, and shim checks nothing", 1, 1, 1, -EKEYREJECTED, "Secure Boot is on, and shim checks nothing" },
        { "off, and shim's word does not count", 0, 1, -1, 0, "Secure Boot is off" },
        { "an odd value", 2, -1, -1, 0, "Secure Boot is off" },
};

static char top[] = "/tmp/test-boot-chain.XXXXXX";

static int remove_one(const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_) {
        return remove(path);
}

static void set_variable(const char *name, int value) {
        const uint8_t data[5] = { 6, 0, 0, 0, (uint8_t) value };
        char path[256];

        snprintf(path, sizeof(path), "%s/sys/firmware/efi/efivars/%s", top, name);
        if (value >= 0)
                assert_int_equal(write_file_atomic(path, data, sizeof(data), 0600), 0);
}

static void says(void **state) {
        const struct machine *m = *state;
        char dir[256];

        nftw(top, remove_one, 16, FTW_DEPTH|FTW_PHYS);
        snprintf(dir, sizeof(dir), "%s/sys/firmware/efi/efivars", top);
        assert_int_equal(mkdir_parents(dir, 0755), 0);
        set_variable(GLOBAL, m->secure);
        set_variable(SHIM, m->shim);
        set_variable(STUB, m->stub);
        assert_int_equal(boot_chain_secure(top), m->answer);
        assert_int_equal(boot_chain_unified(top), m->stub >= 0);
        assert_memory_equal(boot_chain_text(m->answer, m->stub >= 0), m->says, strlen(m->says));
}

/* A variable that is cut short says nothing. */
static void short_variable(void **state _unused_) {
        char path[256];

        set_variable(GLOBAL, 1);
        snprintf(path, sizeof(path), "%s/sys/firmware/efi/efivars/" GLOBAL, top);
        assert_int_equal(write_file_atomic(path, "\6\0\0\0", 4, 0600), 0);
        assert_int_equal(boot_chain_secure(top), -ENOENT);
}

static int set_up(void **state _unused_) {
        return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void **state _unused_) {
        return nftw(top, remove_one, 16, FTW_DEPTH|FTW_PHYS);
}

int main(void) {
        struct CMUnitTest tests[ELEMENTSOF(machines) + 1];
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(machines); i++)
                tests[n++] = (struct CMUnitTest) { machines[i].name, says, NULL, NULL, (void *) &machines[i] };
        tests[n++] = (struct CMUnitTest) cmocka_unit_test(short_variable);
        return _cmocka_run_group_tests("boot-chain", tests, n, set_up, tear_down);
}
