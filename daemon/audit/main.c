/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

#include "privacy-setup.h"
#include "reader.h"
#include "status.h"
#include "common/audit-proto.h"
#include "common/config.h"
#include "common/fips.h"
#include "common/log.h"

#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int usage(int status) {
        fprintf(status ? stderr : stdout,
                "cmkd-audit [--trail=DIR] [--socket=PATH] [--ring-size=BYTES] [--no-kernel] [--early] [--debug]\n"
                "Keeps the audit trail of key use. Started by systemd; see cmkd(8).\n");
        return status;
}

static int parse_arguments(int argc, char **argv, struct audit_options *o, int *ret_priority) {
        static const struct option options[] = {
                { "trail", required_argument, NULL, 't' }, { "socket", required_argument, NULL, 's' },
                { "ring-size", required_argument, NULL, 'r' }, { "no-kernel", no_argument, NULL, 'k' },
                { "debug", no_argument, NULL, 'd' },
                { "early", no_argument, NULL, 'e' }, { "help", no_argument, NULL, 'h' }, {},
        };
        uint64_t n;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
                if (c == 't')
                        o->trail_dir = optarg;
                else if (c == 's')
                        o->socket = optarg;
                else if (c == 'r' && parse_u64(optarg, 1u << 30, &n) >= 0 && n >= 65536 && (n & (n - 1)) == 0)
                        o->ring_size = (uint32_t) n;
                else if (c == 'k')
                        o->kernel = false;
                else if (c == 'e')
                        o->early = true;
                else if (c == 'd')
                        *ret_priority = LOG_DEBUG;
                else
                        return c == 'h' ? 1 : -EINVAL;
        }
        return optind == argc ? 0 : -EINVAL;
}

/* A mistake in the configuration is not the trail's end: what is not known is not changed. Returns what privacy_setup() says. */
static int read_config(struct audit_options *o, struct config **ret) {
        _cleanup_(freep) char *why = NULL;
        struct config *c;
        int r;

        r = config_load("", &c, &why);
        if (r < 0) {
                log_error("Configuration: %s", why ? why : strerror(-r));
                return privacy_setup(o, NULL, why);
        }
        *ret = c;
        o->config_known = true;
        o->public_key = c->audit.public_key;
        o->max_file_size = c->audit.max_file_size;
        o->max_file_age_usec = c->audit.max_file_age_usec;
        return privacy_setup(o, c, NULL);
}

/* Names are not to be recorded, and cannot be hidden. It is tried again by being started again: not five times a second. */
static int without_names(void) {
        (void) audit_status_write_refused(AUDIT_STATUS_FILE, "Privacy=strict without a key that can be used; the log has the reason");
        sleep(5);
        return 1;
}

int main(int argc, char **argv) {
        struct audit_options options = { .trail_dir = TRAIL_DIR, .socket = AUDIT_SOCKET, .kernel = true };
        _cleanup_(config_freep) struct config *config = NULL;
        _cleanup_(privacy_freep) struct privacy *privacy = NULL;
        _cleanup_(audit_freep) struct audit *a = NULL;
        int priority = LOG_INFO, r;
        char why[FIPS_WHY_MAX];
        sigset_t set;

        r = parse_arguments(argc, argv, &options, &priority);
        if (r != 0)
                return usage(r > 0 ? 0 : 2);
        log_init("cmkd-audit", priority);
        umask(0077);
        (void) prctl(PR_SET_DUMPABLE, 0);
        r = read_config(&options, &config);
        privacy = options.privacy;
        log_hide_names(options.privacy || options.unmirrored);
        if (r < 0)
                return without_names();
        if (config && config->fips && fips_begin(why) < 0) {
                log_error("%s", why);
                return 1;
        }
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        (void) sigprocmask(SIG_BLOCK, &set, NULL);
        r = audit_new(&options, &a);
        if (r < 0)
                return 1;
        r = audit_run(a);
        if (r < 0)
                log_error("Event loop: %s", strerror(-r));
        return r < 0 ? 1 : 0;
}
