/* SPDX-License-Identifier: Apache-2.0 */
#include "encryption.h"
#include "names.h"
#include "volume.h"

#include "common/keyslot-words.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* cmkctl reencrypt: another volume key. What opens keyslots that are not cmkd's goes from its files into a pipe, and through the daemon,
 * which does not read it, to its child. */

#define BEGIN_TIMEOUT_USEC (60 * 60 * USEC_PER_SEC)      /* of a root file system the initramfs is built first */

/* "NUMBER", up to the end or to stop. Returns 0 or EXIT_CODE_USAGE. */
static int read_number(const char *text, size_t size, unsigned *ret) {
        char number[4];
        uint64_t n;

        snprintf(number, sizeof(number), "%.*s", (int) MIN_OF(size, sizeof(number)), text);
        if (size == 0 || size >= sizeof(number) || parse_u64(number, KEYSLOT_WORDS - 1, &n) < 0)
                return fail(EXIT_CODE_USAGE, "%.*s is no number of a keyslot", (int) MIN_OF(size, 40u), text);
        *ret = (unsigned) n;
        return EXIT_CODE_DONE;
}

static int pass_on(int sink, unsigned slot, const struct secret *passphrase) {
        int r = keyslot_words_write(sink, slot, passphrase);

        return r < 0 ? fail(EXIT_CODE_FAILED, "keyslot %u: %s", slot, strerror(-r)) : EXIT_CODE_DONE;
}

static int add_file(int sink, const char *text) {
        const char *colon = strchr(text, ':');
        _cleanup_(secret_freep) struct secret *passphrase = NULL;
        _cleanup_(closep) int fd = -EBADF;
        struct stat st;
        unsigned slot;
        int code, r;

        if (!colon || !colon[1])
                return fail(EXIT_CODE_USAGE, "--keyslot-file is NUMBER:FILE, not %s", text);
        code = read_number(text, (size_t) (colon - text), &slot);
        if (code != EXIT_CODE_DONE)
                return code;
        fd = open(colon + 1, O_RDONLY|O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", colon + 1, strerror(errno));
        if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > (off_t) KEYSLOT_PASSPHRASE_MAX)
                return fail(EXIT_CODE_USAGE, "%s: a passphrase is a regular file of 1 to %u bytes", colon + 1, KEYSLOT_PASSPHRASE_MAX);
        r = secret_read(fd, (size_t) st.st_size, &passphrase);
        return r < 0 ? fail(EXIT_CODE_FAILED, "%s: %s", colon + 1, strerror(-r)) : pass_on(sink, slot, passphrase);
}

static int add_dropped(int sink, const char *list) {
        int code = EXIT_CODE_DONE;

        for (const char *p = list; code == EXIT_CODE_DONE; p++) {
                size_t n = strcspn(p, ",");
                unsigned slot;

                code = read_number(p, n, &slot);
                if (code == EXIT_CODE_DONE)
                        code = pass_on(sink, slot, NULL);
                p += n;
                if (!*p)
                        break;
        }
        return code;
}

/* All of it fits into the pipe, or it is refused: nobody reads it before the call. */
static int make_words(const struct invocation *in, int *ret) {
        _cleanup_(closep) int source = -EBADF, sink = -EBADF;
        int fds[2], code = EXIT_CODE_DONE;

        if (pipe2(fds, O_CLOEXEC|O_NONBLOCK) < 0)
                return fail(EXIT_CODE_FAILED, "no pipe: %s", strerror(errno));
        source = fds[0];
        sink = fds[1];
        for (size_t i = 0; code == EXIT_CODE_DONE && i < in->n_keyslot_files; i++)
                code = add_file(sink, in->keyslot_files[i]);
        if (code == EXIT_CODE_DONE && has_option(in, OPTION_DROP_KEYSLOTS))
                code = add_dropped(sink, in->values[OPTION_DROP_KEYSLOTS]);
        if (code == EXIT_CODE_DONE)
                *ret = TAKE_FD(source);
        return code;
}

int verb_reencrypt(const struct invocation *in) {
        _cleanup_(call_release) struct call c = { .timeout_usec = BEGIN_TIMEOUT_USEC };
        _cleanup_(closep) int words = -EBADF;
        char question[512];
        int code;

        if (secret_process_init() < 0)
                return fail(EXIT_CODE_FAILED, "this process cannot be made one that leaves nothing behind");
        code = check_what(in->args[0]);
        if (code == EXIT_CODE_DONE)
                code = make_words(in, &words);
        snprintf(question, sizeof(question), "%.200s gets another volume key, and what is on it is encrypted anew, which takes as long as reading "
                 "and writing all of it. Backups of its header from before open nothing afterwards.%s", in->args[0],
                 has_option(in, OPTION_DROP_KEYSLOTS) ? " Keyslots go for good." : "");
        if (code == EXIT_CODE_DONE)
                code = confirm(in, question);
        if (code == EXIT_CODE_DONE)
                code = header_backup_first(in);
        if (code == EXIT_CODE_DONE)
                code = call_begin(&c, BUS_MANAGER, "Reencrypt");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, sd_bus_message_append(c.request, "sh", in->args[0], words));
        return code == EXIT_CODE_DONE ? encryption_finish(in, &c, true, NULL) : code;
}
