/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/audit-status.c
// libs: json-c

/* "cmkctl guard status --json": numbers are numbers, what is yes or no is true or false, lists are lists. */

#include "ctl/audit-status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/util.h"

#define SOURCE "daemon/audit/status.c"

static void expect(const char *lines, const char *json) {
        _cleanup_(freep) char *text = strdup(lines);
        struct json_object *o = audit_status_parse(text), *t = audit_status_typed(o);

        assert_string_equal(json_object_to_json_string_ext(t, JSON_C_TO_STRING_PLAIN), json);
        json_object_put(t);
        json_object_put(o);
}

static void types(void **state _unused_) {
        expect("", "{}");
        expect("version=1\npid=17\ntrail=ok\nseq=41\nhash=12\nblind=no\nwitness=yes\nguard_left=0\n",
               "{\"version\":1,\"pid\":17,\"trail\":\"ok\",\"seq\":41,\"hash\":\"12\",\"blind\":false,\"witness\":true,\"guard_left\":0}");
        expect("covered=dm_open key \nmissing=\nmissing_x=it has = in it\nno line of it\n",
               "{\"covered\":[\"dm_open\",\"key\"],\"missing\":[],\"missing_x\":\"it has = in it\"}");
        expect("seq=-1\nagreed=99999999999999999999\nblind=perhaps\nsealed=\n",
               "{\"seq\":\"-1\",\"agreed\":\"99999999999999999999\",\"blind\":\"perhaps\",\"sealed\":\"\"}");
}

/* Every NAME=%d of cmkd-audit's is a number here. */
static void what_is_written_as_a_number(void **state _unused_) {
        static const char *const formats[] = { "=%d", "=%\" PRIu64" };
        _cleanup_(freep) char *source = NULL;
        unsigned n = 0;

        assert_int_equal(read_small_file(SOURCE, 1u << 20, &source, NULL), 0);
        for (size_t f = 0; f < ELEMENTSOF(formats); f++)
                for (char *p = source; (p = strstr(p, formats[f])); p++, n++) {
                        char lines[64], *begin = p;

                        while (begin > source && ((begin[-1] >= 'a' && begin[-1] <= 'z') || begin[-1] == '_'))
                                begin--;
                        if (begin > source && begin[-1] == '\\' && *begin == 'n')     /* "\nNAME=" */
                                begin++;
                        snprintf(lines, sizeof(lines), "%.*s=7", (int) (p - begin), begin);
                        struct json_object *o = audit_status_parse(lines), *t = audit_status_typed(o);

                        json_object_object_foreach(t, name, value)
                                if (!json_object_is_type(value, json_type_int))
                                        fail_msg("%s is no number", name);
                        assert_int_equal(json_object_object_length(t), 1);
                        json_object_put(t);
                        json_object_put(o);
                }
        assert_true(n >= 11);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(types), cmocka_unit_test(what_is_written_as_a_number),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
