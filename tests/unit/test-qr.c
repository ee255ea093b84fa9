/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/qr.c

/* Codes on a terminal: read back from the picture, module by module, as a camera would. */

#include "ctl/qr.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BEGIN "\033[40;37;1m"
#define END "\033[0m\n"
#define QUIET 4

/* 0 light, 1 black for each half of a character; the bytes that it takes. */
static int take(const char *p, bool *above, bool *below) {
        static const struct { const char *text; bool above, below; } known[] = {
                { "\xe2\x96\x88", false, false }, { "\xe2\x96\x80", false, true }, { "\xe2\x96\x84", true, false }, { " ", true, true },
        };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (startswith(p, known[i].text)) {
                        *above = known[i].above;
                        *below = known[i].below;
                        return (int) strlen(known[i].text);
                }
        fail_msg("\"%.4s\" is no block", p);
        return 0;
}

static void check(int width, unsigned seed) {
        unsigned char modules[177 * 177];
        const int all = width + 2 * QUIET;
        char *text;
        const char *p;

        for (int i = 0; i < width * width; i++) {
                seed = seed * 1103515245u + 12345u;
                modules[i] = (unsigned char) ((seed >> 16 & 1) | 0x40);      /* libqrencode has more in a byte than its colour */
        }
        p = text = qr_render(modules, width);
        assert_non_null(text);
        for (int y = 0; y < all; y += 2) {
                p = startswith(p, BEGIN);
                assert_non_null(p);
                for (int x = 0; x < all; x++) {
                        bool seen[2];

                        p += take(p, seen, seen + 1);
                        for (int i = 0; i < 2; i++) {
                                int row = y + i - QUIET, column = x - QUIET;
                                bool inside = row >= 0 && row < width && column >= 0 && column < width;

                                if (y + i == all)
                                        assert_true(seen[i]);          /* the terminal's own ground */
                                else
                                        assert_int_equal(seen[i], inside && (modules[row * width + column] & 1));
                        }
                }
                p = startswith(p, END);
                assert_non_null(p);
        }
        assert_string_equal(p, "");
        free(text);
}

static void the_picture_is_the_code(void **state _unused_) {
        check(21, 1);
        check(33, 2);
        check(177, 3);
}

static void what_is_no_code_is_not_drawn(void **state _unused_) {
        assert_null(qr_render((const unsigned char *) "", 0));
        assert_null(qr_render((const unsigned char *) "", 178));
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(the_picture_is_the_code), cmocka_unit_test(what_is_no_code_is_not_drawn) };

        return cmocka_run_group_tests_name("qr", tests, NULL, NULL);
}
