/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/doctor/blindness.c daemon/ctl/doctor/findings.c

/* What doctor says of the recording, from the status of cmkd-audit. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "ctl/doctor/blindness.h"

static char root[] = "/tmp/cmkd-test-blindness-XXXXXX";

static void says(const char *status, const char *ids) {
        struct findings l = {};
        char path[128], seen[128] = "";

        snprintf(path, sizeof(path), "%s/run/cmkd/audit.status", root);
        if (status)
                assert_int_equal(write_file_atomic(path, status, strlen(status), 0644), 0);
        find_blindness(root, &l);
        for (size_t i = 0; i < l.n; i++) {
                size_t n = strlen(seen);

                snprintf(seen + n, sizeof(seen) - n, "%s ", finding_id(l.list[i].kind));
        }
        findings_release(&l);
        assert_string_equal(seen, ids);
}

static void each_is_said(void **state _unused_) {
        says(NULL, "");
        says("probes=all\nmissing=\nblind=no\nguard=audit\nguard_mode=audit\n", "");
        says("probes=some\nmissing=on_file_open on_bpf \nblind=no\nguard=audit\nguard_mode=audit\n", "not-covered ");
        says("probes=none\nblind=no\n", "not-covered ");
        says("probes=all\nmissing=\nblind=yes\n", "blind ");
        says("probes=all\nmissing=\nblind=no\nguard=impossible\nguard_mode=enforce\n", "guard ");
        says("probes=all\nmissing=\nblind=no\nguard=disarmed\nguard_mode=enforce\n", "guard ");
        says("probes=all\nmissing=\nblind=no\nguard=enforcing\nguard_mode=enforce\n", "");
        says("probes=all\nmissing=\nblind=no\nguard=armed\nguard_mode=enforce\n", "");
}

static int make_root(void **state _unused_) {
        char path[128];

        if (!mkdtemp(root))
                return -1;
        snprintf(path, sizeof(path), "%s/run/cmkd", root);
        return mkdir_parents(path, 0755);
}

static int remove_root(void **state _unused_) {
        static const char *const parts[] = { "/run/cmkd/audit.status", "/run/cmkd", "/run", "" };
        char path[128];

        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                snprintf(path, sizeof(path), "%s%s", root, parts[i]);
                (void) remove(path);
        }
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(each_is_said) };

        return cmocka_run_group_tests(tests, make_root, remove_root);
}
