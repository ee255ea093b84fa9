/* SPDX-License-Identifier: Apache-2.0 */
/* cmkd-vault: the network worker. Root only until it has its socket, its configuration and the CA files. */
#include <sys/stat.h>
#include <unistd.h>

#include "common/fips.h"
#include "common/log.h"
#include "common/verdict.h"
#include "kept.h"
#include "memory.h"
#include "options.h"
#include "sandbox.h"
#include "serve.h"
#include "watchdog.h"

static void vaults_freep(struct vaults **v) { vaults_free(*v); }

static int fail(const char *what, int error) {
        log_error("%s: %s", what, strerror(-error));
        return EXIT_CODE_FAILED;
}

static int load(const struct options *o, struct vaults **ret) {
        _cleanup_(freep) char *why = NULL;
        char said[FIPS_WHY_MAX];
        struct config *c = NULL;
        int r;

        r = config_load(o->root, &c, &why);
        if (r < 0) {
                log_error("the configuration cannot be used: %s", why ? why : strerror(-r));
                return r;
        }
        log_hide_names(c->audit.privacy == PRIVACY_STRICT);
        r = c->fips ? fips_begin(said) : 0;
        if (r < 0) {
                log_error("%s", said);
                config_free(c);
                return r;
        }
        if (!c->vaults)
                log_warning("there is no [Vault NAME] in the configuration: every request will be refused");
        return vaults_load(c, ret);
}

int main(int argc, char *argv[]) {
        _cleanup_(vaults_freep) struct vaults *vaults = NULL;
        uid_t started_as = getuid();
        const char *what = NULL;
        struct options o;
        int fd, r;

        log_init("cmkd-vault", LOG_INFO);
        umask(077);
        r = options_parse(argc, argv, &o);
        if (r <= 0)
                return r < 0 ? EXIT_CODE_USAGE : EXIT_CODE_DONE;
        if (o.debug)
                log_init("cmkd-vault", LOG_DEBUG);
        r = secret_process_init();
        if (r < 0)
                return fail("cannot make the process undumpable", r);
        fd = o.check_config ? -EBADF : options_socket(&o);
        if (fd < 0 && !o.check_config)
                return fail("no socket (LISTEN_FDS, --listen or --socket-fd)", fd);
        watchdog_open();
        kept_open();
        clearenv();     /* the libraries' proxies, certificate paths and debugging switches are not for this process */
        r = memory_init();
        if (r < 0)
                return fail("cannot initialize TLS", r);
        r = load(&o, &vaults);
        if (r < 0 || o.check_config)
                return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
        r = serve_block_signals();
        if (r < 0)
                return fail("cannot block signals", r);
        r = sandbox_enter(o.user, vaults_use_modules(vaults), &what);
        if (r < 0)
                return fail(what, r);
        r = serve(vaults, &(struct serve_options) { .socket_fd = fd, .allowed_uid = started_as,
                                                        .configured_usec = vaults->config->read_usec });
        return r < 0 ? fail("cannot serve", r) : kept_exit_status();
}
