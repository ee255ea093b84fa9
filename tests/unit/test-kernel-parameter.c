/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/common/kernel-parameter.c

#include "common/kernel-parameter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void values(void **state _unused_) {
        static const struct { const char *line, *name, *value; } cases[] = {
                { "", "resume", NULL }, { "quiet", "quiet", NULL }, { "resume=/dev/vda2\n", "resume", "/dev/vda2" },
                { "resume=/dev/a  resume=/dev/b quiet", "resume", "/dev/b" }, { "noresume=1", "resume", NULL },
                { "resume=", "resume", "" }, { "resumes=1", "resume", NULL }, { "init-on-free=1", "init_on_free", "1" },
                { "a=1 -- resume=/dev/a", "resume", NULL }, { "--x resume=/dev/a", "resume", "/dev/a" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *v = kernel_parameter(cases[i].line, cases[i].name);

                if (!streq_ptr(v, cases[i].value))
                        fail_msg("%s: %s", cases[i].line, v ? v : "none");
        }
}

static void switches(void **state _unused_) {
        static const char *const on[] = { "x=1", "x=on", "x=ON", "x=y", "x=Yes", "x=0 x=1" };
        static const char *const off[] = { "", "x", "x=", "x=0", "x=off", "x=n", "x=1 x=0", "xx=1", "x=2", "-- x=1" };

        for (size_t i = 0; i < ELEMENTSOF(on); i++)
                if (!kernel_parameter_is_on(on[i], "x"))
                        fail_msg("%s is on", on[i]);
        for (size_t i = 0; i < ELEMENTSOF(off); i++)
                if (kernel_parameter_is_on(off[i], "x"))
                        fail_msg("%s is off", off[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(values), cmocka_unit_test(switches) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
