/* SPDX-License-Identifier: Apache-2.0 */
#include "wait.h"
#include "patience.h"

#include <time.h>

int wait_read(const struct invocation *in, uint64_t *ret_seconds) {
        *ret_seconds = 0;
        if (has_option(in, OPTION_WAIT) && parse_u64(in->values[OPTION_WAIT], PATIENCE_WAIT_MAX_SEC, ret_seconds) < 0)
                return fail(EXIT_CODE_USAGE, "--wait takes seconds, %u at most", PATIENCE_WAIT_MAX_SEC);
        return EXIT_CODE_DONE;
}

int wait_until_done(const struct invocation *in, uint64_t seconds, int (*once)(const struct invocation *in, void *user), void *user) {
        struct patience p = { .end_usec = now_boottime_usec() + seconds * USEC_PER_SEC };

        for (;;) {
                uint64_t now, next = USEC_INFINITY;
                int code = once(in, user);
                uint32_t random;

                if (code < 0)
                        return -code;
                now = now_boottime_usec();
                random_bytes(&random, sizeof(random));
                if (code != EXIT_CODE_DONE && seconds > 0)
                        next = patience_next(&p, (enum exit_code) code, now, random);
                if (next == USEC_INFINITY)
                        return code;
                (void) clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &(struct timespec) {
                        .tv_sec = (time_t) (next / USEC_PER_SEC), .tv_nsec = (long) (next % USEC_PER_SEC * NSEC_PER_USEC) }, NULL);
        }
}
