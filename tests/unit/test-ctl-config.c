/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/config.c daemon/ctl/options.c daemon/ctl/print.c
// libs: json-c
#include "ctl-capture.h"
#include "ctl/print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>          /* last: it has a macro fail() */

#define SAMPLE "daemon/data/cmkd.conf"      /* tests run at the top of the tree */

static char root[] = "/tmp/test-ctl-config.XXXXXX";
static char path[128];

static void write_config(const char *text) {
        assert_int_equal(write_file_atomic(path, text, strlen(text), 0644), 0);
}

static int set_up(void **state _unused_) {
        char dir[96];

        if (!mkdtemp(root))
                return -1;
        snprintf(dir, sizeof(dir), "%s/etc/cmkd", root);
        snprintf(path, sizeof(path), "%s/cmkd.conf", dir);
        return mkdir_parents(dir, 0755);
}

static int tear_down(void **state _unused_) {
        char dir[96];

        unlink(path);
        snprintf(dir, sizeof(dir), "%s/etc/cmkd", root);
        rmdir(dir);
        snprintf(dir, sizeof(dir), "%s/etc", root);
        rmdir(dir);
        return rmdir(root);
}

static void mistakes_are_named(void **state _unused_) {
        struct captured *c;

        write_config("[Policy]\nPolSec=3\n");
        c = RUN(verb_config_check, "--root", root);
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->err, "cmkd.conf:2:"));
        assert_non_null(strstr(c->err, "PollSec"));
        assert_string_equal(c->out, "");
}

/* In place, without lines that begin with #. */
static char *without_comments(char *text) {
        char *to = text;

        for (char *p = text, *end; *p; p = end) {
                end = p + strcspn(p, "\n");
                end += *end == '\n';
                if (*p != '#') {
                        memmove(to, p, (size_t) (end - p));
                        to += end - p;
                }
        }
        *to = 0;
        return text;
}

/* Of a drop-in what it says, the rest from where it was; a default from nowhere. */
static void each_setting_has_its_place(void **state _unused_) {
        char dir[96], drop_in[128], expected[512];
        struct captured *c;

        write_config("[Policy]\n\nPollSec=5\nLeaseSec=50\n[Vault x]\nHost=a\nKeys=k\n");
        snprintf(dir, sizeof(dir), "%s/etc/cmkd/cmkd.conf.d", root);
        snprintf(drop_in, sizeof(drop_in), "%s/10-own.conf", dir);
        assert_int_equal(mkdir_parents(dir, 0755), 0);
        assert_int_equal(write_file_atomic(drop_in, "[Policy]\nPollSec=7\n", 19, 0644), 0);
        c = RUN(verb_config_show, "--root", root);
        snprintf(expected, sizeof(expected), "[Policy]\n# %s:2\nPollSec=7s\n# %s:4\nLeaseSec=50s\n", drop_in, path);
        assert_non_null(strstr(c->out, expected));
        assert_non_null(strstr(c->out, "[Node]\nTrust=listed\n"));
        snprintf(expected, sizeof(expected), "# %s:6\nHost=a\n", path);
        assert_non_null(strstr(c->out, expected));
        c = RUN(verb_config_show, "--root", root, "--json");
        assert_non_null(strstr(c->out, "\"Origins\":"));
        assert_non_null(strstr(strstr(c->out, "\"Origins\":"), "10-own.conf:2\""));
        unlink(drop_in);
        rmdir(dir);
}

static void everything_that_was_said_is_shown(void **state _unused_) {
        struct captured *c;

        write_config("[Policy]\nPollSec=1min 500ms\nOnDenied=cut\n[Volume v]\nNoticeSec=0\n"
                     "[Vault x]\nHost=A.example:8443\nKeys=One, two\n");
        c = RUN(verb_config_show, "--root", root);
        assert_int_equal(c->code, EXIT_CODE_DONE);
        without_comments(c->out);
        assert_non_null(strstr(c->out, "\n[Policy]\nOnDenied=cut\nPollSec=60500ms\n"));
        assert_non_null(strstr(c->out, "\n[Volume v]\nNoticeSec=0s\n"));
        assert_non_null(strstr(c->out, "\nHost=a.example:8443\nKeys=one two\n"));
        assert_null(strstr(c->out, "GraceSec"));
}

static void what_is_shown_can_be_read_again(void **state _unused_) {
        _cleanup_(freep) char *first = NULL;
        struct captured *c;

        write_config("[Node]\nTrust=allowed-keys\n[Policy]\nHoldSec=2h\nOnReenable=nothing\n[Vault x]\nHost=a\nKeys=k\n"
                     "[Vault h]\nProvider=pkcs11\nToken=two%20words\nObjects=a%2Cb c%20d\nModule=/m.so\nModuleEnvironment=A=1 B=2\n"
                     "[Scratch t]\nDevice=/dev/b\nFileSystem=swap\n");
        first = strdup(without_comments(RUN(verb_config_show, "--root", root)->out));
        assert_non_null(strstr(first, "\nToken=two%20words\nObjects=a%2Cb c%20d\nModule=/m.so\nModuleEnvironment=A=1 B=2\n"));
        assert_non_null(strstr(first, "\n[Scratch t]\nDevice=/dev/b\nFileSystem=swap\nWipe=no\n"));
        write_config(first);
        c = RUN(verb_config_show, "--root", root);
        assert_string_equal(c->err, "");
        assert_string_equal(without_comments(c->out), first);
}

/* Every "#Key=value" of the sample, without its "#", is a configuration that loads. */
static void the_sample_is_true(void **state _unused_) {
        _cleanup_(freep) char *text = NULL;
        struct captured *c;
        size_t keys = 0;

        assert_int_equal(read_small_file(SAMPLE, 65536, &text, NULL), 0);
        write_config(text);
        assert_int_equal(RUN(verb_config_check, "--root", root)->code, EXIT_CODE_DONE);
        for (char *p = text; (p = strchr(p, '\n')) && p[1]; p++)
                if (p[1] == '#' && p[2] != ' ' && p[2] != '\n') {
                        p[1] = ' ';
                        memmove(p + 1, p + 2, strlen(p + 2) + 1);
                        keys++;
                }
        assert_true(keys > 20);
        write_config(text);
        c = RUN(verb_config_check, "--root", root);
        assert_string_equal(c->err, "");
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "9 vaults allowed"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(mistakes_are_named),
                cmocka_unit_test(each_setting_has_its_place), cmocka_unit_test(everything_that_was_said_is_shown),
                cmocka_unit_test(what_is_shown_can_be_read_again),
                cmocka_unit_test(the_sample_is_true),
        };

        return cmocka_run_group_tests_name("ctl-config", tests, set_up, tear_down);
}
