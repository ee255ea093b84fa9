/* SPDX-License-Identifier: Apache-2.0 */

/* cmkd: decides. See manager.h. */

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/log.h"
#include "common/secret.h"
#include "early.h"
#include "manager.h"

/* What an operation needs for as long as it runs is larger (struct unlock, a record): hundreds may run at once, and go back to the system
 * one by one, not when the last of a heap that is locked in memory ends. */
#define OPERATION_MIN_BYTES (16 << 10)

static int check_config(void) {
        _cleanup_(config_freep) struct config *c = NULL;
        _cleanup_(freep) char *why = NULL;

        if (config_load("", &c, &why) < 0) {
                log_error("%s", why ? why : "out of memory");
                return EXIT_CODE_FAILED;
        }
        return EXIT_CODE_DONE;
}

static void usage(FILE *to) {
        fputs("cmkd [--debug] [--early] [--check-config]\n\n"
              "Keeps volumes open for as long as the owners of their keys allow it. Started by cmkd.service; with --early\n"
              "by an initramfs, where it starts the other programs itself.\n", to);
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "check-config", no_argument, NULL, 'c' }, { "debug", no_argument, NULL, 'd' },
                { "early", no_argument, NULL, 'e' }, { "help", no_argument, NULL, 'h' }, {},
        };
        _cleanup_(early_freep) struct early *early = NULL;     /* ends after the manager */
        _cleanup_(manager_freep) struct manager *m = NULL;
        bool is_early = false, only_check = false;
        int priority = LOG_INFO, o;

        while ((o = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (o) {
                case 'c':
                        only_check = true;
                        break;
                case 'd':
                        priority = LOG_DEBUG;
                        break;
                case 'e':
                        is_early = true;
                        break;
                case 'h':
                        usage(stdout);
                        return EXIT_CODE_DONE;
                default:
                        usage(stderr);
                        return EXIT_CODE_USAGE;
                }
        if (optind < argc) {
                fprintf(stderr, "cmkd: %s is too much: no file is named to it; see --help\n", argv[optind]);
                return EXIT_CODE_USAGE;
        }
        log_init("cmkd", priority);
        if (only_check)
                return check_config();
        umask(077);
        signal(SIGPIPE, SIG_IGN);
        (void) mallopt(M_MMAP_THRESHOLD, OPERATION_MIN_BYTES);
        if (secret_process_init() < 0 || mlockall(MCL_CURRENT|MCL_FUTURE|MCL_ONFAULT) < 0) {
                log_error("This process cannot be made undumpable and locked in memory: %s", strerror(errno));
                return EXIT_CODE_FAILED;
        }
        if (is_early && early_new(&early) < 0)
                return EXIT_CODE_FAILED;
        if (manager_new(is_early, &m) < 0)
                return EXIT_CODE_FAILED;
        if (manager_run(m) < 0)
                return EXIT_CODE_FAILED;
        return EXIT_CODE_DONE;
}
