/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/trail-state.c
// What cmkctl status says of the trail's seal and of the guard, from what cmkd-audit wrote.

#include "ctl/trail-state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <unistd.h>

static char root[] = "/tmp/test-trail-state.XXXXXX", file[96];

static void said(const char *status, const char *expected) {
        char text[512];

        assert_int_equal(write_file_atomic(file, status, strlen(status), 0644), 0);
        trail_state_text(root, text, sizeof(text));
        if (!strstr(text, expected))
                print_error("%s\n", text);
        assert_non_null(strstr(text, expected));
}

static void guards(const char *status, const char *expected) {
        char text[512];

        assert_int_equal(write_file_atomic(file, status, strlen(status), 0644), 0);
        guard_state_text(root, text, sizeof(text));
        assert_string_equal(text, expected);
}

static void each_state_has_a_sentence(void **state _unused_) {
        char text[512], dir[64];

        trail_state_text(root, text, sizeof(text));
        assert_non_null(strstr(text, "not known"));
        guard_state_text(root, text, sizeof(text));
        assert_non_null(strstr(text, "not known"));
        snprintf(dir, sizeof(dir), "%s/run/cmkd", root);
        assert_int_equal(mkdir_parents(dir, 0755), 0);
        snprintf(file, sizeof(file), "%s/audit.status", dir);
        said("version=1\nplace=trail\nsealed=yes\nepoch=00ff\nseal_why=\n", "sealed, epoch 00ff");
        said("place=trail\nsealed=yes\nepoch=00ff\nseal_why=PublicKey=/x: gone\n", "sealed, epoch 00ff, but: PublicKey=/x: gone");
        said("place=trail\nsealed=no\nepoch=\nseal_why=PublicKey=/x: gone\n", "NOT SEALED: PublicKey=/x: gone");
        said("place=trail\nsealed=no\nepoch=\nseal_why=\n", "hash chain only");
        said("place=early\nsealed=no\nepoch=\nseal_why=\n", "in /run");
        said("place=early\nrefused=7411100d-d1ed-43c9-95e3-833d376054ea\nsealed=no\n", "IN /run ONLY");
        said("place=trail\nsealed=yes\nepoch=00ff\nprivacy=strict\nprivacy_key=11\n", "sealed, epoch 00ff; names are pseudonyms");
        said("probes=none\nstopped=no key\n", "NOTHING IS RECORDED: no key");
        said("version=1\nunsealed=yes\n", "hash chain only");      /* of a cmkd-audit from before seals */
        guards("guard=enforcing\nguard_mode=enforce\nguard_clean=3\n", "enforcing (Mode=enforce)");
        guards("guard=armed\nguard_mode=enforce\nguard_left=540\n", "armed (Mode=enforce): for 540 s more, unless `cmkctl guard "
               "confirm` is given");
        guards("guard=impossible\nguard_mode=enforce\nguard_why=a program is not loaded\n",
               "impossible (Mode=enforce): a program is not loaded");
        guards("probes=none\n", "nothing is recorded from the kernel");
        assert_int_equal(unlink(file), 0);
        assert_int_equal(rmdir(dir), 0);
        snprintf(dir, sizeof(dir), "%s/run", root);
        assert_int_equal(rmdir(dir), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(each_state_has_a_sentence) };
        int failed;

        if (!mkdtemp(root))
                return 1;
        failed = cmocka_run_group_tests_name("trail-state", tests, NULL, NULL);
        (void) rmdir(root);
        return failed;
}
