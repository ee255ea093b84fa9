// SPDX-License-Identifier: Apache-2.0

/* A workload that counts itself: opens a device again and again, each time under a name of its own, so that no two of the
 * kernel's events are equal and each can be looked for in the trail.
 *
 *   opener DEVICE COUNT RATE [same]
 *
 * COUNT opens (0: until SIGTERM), RATE a second (0: as many as it can). The n-th is made by a thread named "nN", counted from 0;
 * "same": the name stays as it is, and equal events stand in a row. Prints what it did as JSON. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)

static volatile sig_atomic_t over;

static void on_term(int number) {
        (void) number;
        over = 1;
}

static uint64_t now(clockid_t clock) {
        struct timespec t;

        clock_gettime(clock, &t);
        return (uint64_t) t.tv_sec * SECOND + (uint64_t) t.tv_nsec;
}

static void wait_until(uint64_t when) {
        struct timespec t = { .tv_sec = (time_t) (when / SECOND), .tv_nsec = (long) (when % SECOND) };

        while (!over && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
                ;
}

static void open_once(const char *device) {
        int fd = open(device, O_RDONLY|O_CLOEXEC);

        if (fd < 0) {
                fprintf(stderr, "%s: %s\n", device, strerror(errno));
                exit(1);
        }
        close(fd);
}

int main(int argc, char **argv) {
        uint64_t count, rate, n, began, cpu;
        char name[16];

        if (argc < 4)
                return 2;
        count = strtoull(argv[2], NULL, 10);
        rate = strtoull(argv[3], NULL, 10);
        signal(SIGTERM, on_term);
        printf("%d\n", (int) getpid());
        fflush(stdout);
        began = now(CLOCK_MONOTONIC);
        cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        for (n = 0; !over && (count == 0 || n < count); n++) {
                if (argc == 4) {
                        snprintf(name, sizeof(name), "n%llu", (unsigned long long) n);
                        prctl(PR_SET_NAME, name);
                }
                open_once(argv[1]);
                if (rate > 0)
                        wait_until(began + (n + 1) * SECOND / rate);
        }
        printf("{\"pid\":%d,\"opens\":%llu,\"wall_ns\":%llu,\"cpu_ns\":%llu}\n", (int) getpid(), (unsigned long long) n,
               (unsigned long long) (now(CLOCK_MONOTONIC) - began),
               (unsigned long long) (now(CLOCK_PROCESS_CPUTIME_ID) - cpu));
        return 0;
}
