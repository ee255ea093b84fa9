/* SPDX-License-Identifier: Apache-2.0 */

/* cmkd-keyscript: for "keyscript=/usr/lib/cmkd/cmkd-keyscript" in crypttab, as cryptsetup's scripts of an initramfs call it.
 *
 *   CRYPTTAB_SOURCE, CRYPTTAB_NAME ─► client.h ─► cmkd ... pipe ─► struct secret ─► standard output (a pipe, or nothing)
 *   no key, or it did not fit (CRYPTTAB_TRIED > 0) ─► askpass, where there is one: the recovery key
 *
 * Exit codes as cmkctl's. */

#include <sys/stat.h>
#include <unistd.h>

#include "common/retry.h"
#include "common/secret.h"
#include "common/verdict.h"
#include "token-plugin/client.h"

#define ASKPASS "/lib/cryptsetup/askpass"

static void say(void *user _unused_, const char *text) {
        fprintf(stderr, "%s\n", text);
}

static enum exit_code exit_code_of(int error) {
        switch (error) {
        case -EACCES:
                return EXIT_CODE_REVOKED;
        case -EAGAIN:
                return EXIT_CODE_UNREACHABLE;
        case -EPERM:
                return EXIT_CODE_POLICY;
        case -EBUSY:
                return EXIT_CODE_BUSY;
        default:
                return EXIT_CODE_FAILED;
        }
}

/* Whoever asked is given the recovery key instead, if somebody types it. Returns only where nobody can be asked. */
static void ask_recovery_key(const char *name) {
        char prompt[256];

        if (access(ASKPASS, X_OK) < 0)
                return;
        snprintf(prompt, sizeof(prompt), "Recovery key of %s (opens it without the vault): ", name);
        execl(ASKPASS, "askpass", prompt, NULL);
        fprintf(stderr, "cmkd: %s cannot be started: %s\n", ASKPASS, strerror(errno));
}

static enum exit_code write_key(const char *device) {
        struct client_request q = {
                .device = device, .what = "", .limit_usec = retry_limit(getenv("CMKD_WAIT_SEC")), .say = say,
        };
        _cleanup_(secret_freep) struct secret *key = NULL;
        _cleanup_(closep) int fd = -EBADF;
        int r;

        r = client_release(&q, &fd);
        if (r < 0)
                return exit_code_of(r);
        r = secret_read(fd, CLIENT_KEY_SIZE, &key);
        if (r >= 0)
                r = secret_write(STDOUT_FILENO, key);
        if (r < 0)
                fprintf(stderr, "cmkd: the key of %s could not be handed over: %s\n", device, strerror(-r));
        return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

static bool output_is_pipe(void) {
        struct stat st;

        return fstat(STDOUT_FILENO, &st) >= 0 && S_ISFIFO(st.st_mode);
}

int main(void) {
        const char *device = strempty(getenv("CRYPTTAB_SOURCE")), *name = strempty(getenv("CRYPTTAB_NAME"));
        const char *tried = strempty(getenv("CRYPTTAB_TRIED"));
        enum exit_code code = EXIT_CODE_FAILED;

        if (!startswith(device, "/dev/") || !*name) {
                fprintf(stderr, "cmkd-keyscript is started by cryptsetup's scripts, with CRYPTTAB_SOURCE and CRYPTTAB_NAME\n");
                return EXIT_CODE_USAGE;
        }
        if (!output_is_pipe()) {
                fprintf(stderr, "cmkd-keyscript writes a key to its output: that must be a pipe\n");
                return EXIT_CODE_USAGE;
        }
        if (secret_process_init() < 0) {
                fprintf(stderr, "cmkd-keyscript cannot be made undumpable\n");
                return EXIT_CODE_FAILED;
        }
        if (!*tried || streq(tried, "0"))
                code = write_key(device);
        if (code != EXIT_CODE_DONE)
                ask_recovery_key(name);
        return code;
}
