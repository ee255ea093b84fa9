/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

#define LINES 20000

static char text[1 << 20];

/* Standard error becomes one end of a stream; the other end is returned. */
static int become_journal(int *ret_kept) {
        int pair[2];

        *ret_kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        assert_true(*ret_kept >= 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(dup2(pair[0], STDERR_FILENO), STDERR_FILENO);
        close(pair[0]);
        assert_int_equal(setenv("JOURNAL_STREAM", "1:2", 1), 0);
        log_init("test", LOG_INFO);
        return pair[1];
}

static size_t read_all(int fd, size_t at) {
        ssize_t n;

        while ((n = recv(fd, text + at, sizeof(text) - 1 - at, MSG_DONTWAIT)) > 0)
                at += (size_t) n;
        text[at] = 0;
        return at;
}

/* Nobody reads for longer than there is room: nobody waits, what was lost is counted, and no line is broken. */
static void test_a_stuck_journal_stops_nobody(void **state _unused_) {
        unsigned seen = 0, lost = 0, number, last = 0;
        int kept, reader = become_journal(&kept);
        size_t n;

        for (int i = 1; i <= LINES; i++)
                log_notice("line %d of many", i);
        n = read_all(reader, 0);
        assert_true(n > 0);
        log_notice("line %d of many", LINES + 1);
        (void) read_all(reader, n);
        dup2(kept, STDERR_FILENO);
        close(kept);
        close(reader);
        for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
                *end = 0;
                if (sscanf(line, "<5>line %u of many", &number) == 1 && end[-1] == 'y') {
                        assert_true(number > last);
                        last = number;
                        seen++;
                } else if (sscanf(line, "<4>%u lines of the log are lost", &number) == 1)
                        lost += number;
                else
                        assert_true(*line == 0 || startswith(line, "<5>line") != NULL);    /* torn, and ended */
        }
        assert_int_equal(last, LINES + 1);
        assert_true(lost > 0);
        assert_int_equal(seen + lost, LINES + 1);
}

static void test_who_reads_gets_all(void **state _unused_) {
        int kept, reader = become_journal(&kept);

        log_error("a\nb");
        log_debug("not this");
        log_info("c");
        (void) read_all(reader, 0);
        dup2(kept, STDERR_FILENO);
        close(kept);
        close(reader);
        assert_string_equal(text, "<3>a?b\n<6>c\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_stuck_journal_stops_nobody),
                cmocka_unit_test(test_who_reads_gets_all),
        };
        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
