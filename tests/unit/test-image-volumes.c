/* SPDX-License-Identifier: Apache-2.0 */

/* Which volumes of a machine are an image's. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/image-volumes.h"

#define UUID "0f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69"
#define UUID2 "1f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69"

static int parse(const char *text, struct image_volume *v, unsigned *ret_line) {
        char copy[16384];

        snprintf(copy, sizeof(copy), "%s", text);
        return image_volumes_parse(copy, v, ret_line);
}

static void test_what_was_printed(void **state _unused_) {
        const struct image_volume v[] = { { UUID, "data1", false }, { UUID2, "data2", true } };
        _cleanup_(freep) char *text = image_volumes_print(v, ELEMENTSOF(v));
        struct image_volume again[IMAGE_VOLUMES_MAX] = {};
        unsigned line;

        assert_int_equal(parse(text, again, &line), 2);
        assert_memory_equal(again, v, sizeof(v));
        assert_int_equal(parse("", again, &line), 0);
        assert_int_equal(parse("# nothing\n\n", again, &line), 0);
}

static void test_nothing_else(void **state _unused_) {
        static const struct { const char *text; unsigned line; } bad[] = {
                { UUID "\n", 1 }, { "data1 " UUID "\n", 1 }, { UUID " ../x\n", 1 }, { UUID "  data1\n", 1 }, { " " UUID " data1\n", 1 },
                { UUID " data1 drop\n", 1 }, { UUID " data1 drop-image-keyslots more\n", 1 }, { UUID " data1 \n", 1 },
                { "#\n" UUID " data1\n" UUID " data2\n", 3 }, { UUID " data1\n" UUID2 " data1\n", 2 }, { "x" UUID " data1\n", 1 },
                { UUID "\tdata1\n", 1 },
        };
        struct image_volume v[IMAGE_VOLUMES_MAX];
        unsigned line;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(parse(bad[i].text, v, &line), -EINVAL);
                assert_int_equal(line, bad[i].line);
        }
}

static void test_as_many_as_there_may_be(void **state _unused_) {
        struct image_volume v[IMAGE_VOLUMES_MAX];
        char text[16384] = "";
        unsigned line;

        for (unsigned i = 0; i <= IMAGE_VOLUMES_MAX; i++) {
                size_t n = strlen(text);

                if (i == IMAGE_VOLUMES_MAX)
                        assert_int_equal(parse(text, v, &line), IMAGE_VOLUMES_MAX);
                snprintf(text + n, sizeof(text) - n, "%08x-1c0e-4a53-9d0e-1f2d3c4b5a69 data%u\n", i, i);
        }
        assert_int_equal(parse(text, v, &line), -EINVAL);
        assert_int_equal(line, IMAGE_VOLUMES_MAX + 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_was_printed), cmocka_unit_test(test_nothing_else), cmocka_unit_test(test_as_many_as_there_may_be),
        };

        return cmocka_run_group_tests_name("image-volumes", tests, NULL, NULL);
}
