/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "names.h"
#include "print.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* cmkctl header backup: the file is made here and filled by the daemon's child. */

static int backup(const struct invocation *in, int file) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        _cleanup_(call_release) struct call c = {};
        const char *name;
        int code, r;

        code = call_begin(&c, BUS_MANAGER, "HeaderBackup");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, sd_bus_message_append(c.request, "sh", in->args[0], file));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "s", &name);
        if (r < 0)
                return call_misunderstood(r);
        fprintf(stderr, "Whoever has this file opens %s with what opens it now, also after a key was rotated or taken out. Keep it like\n"
                "the keys themselves, away from this node, and destroy it when the next one is made.\n", name);
        if (!has_option(in, OPTION_JSON)) {
                printf("The header of %s is in %s\n", name, in->args[1]);
                return EXIT_CODE_DONE;
        }
        o = json_object_new_object();
        if (!o)
                return fail(EXIT_CODE_FAILED, "out of memory");
        json_put_text(o, "volume", name);
        json_put_text(o, "file", in->args[1]);
        return print_json(o);
}

int verb_header_backup(const struct invocation *in) {
        _cleanup_(closep) int file = -EBADF;
        int code = check_what(in->args[0]);

        if (code != EXIT_CODE_DONE)
                return code;
        file = open(in->args[1], O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600);
        if (file < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", in->args[1], errno == EEXIST ? "is there already, and stays as it is"
                                                                                    : strerror(errno));
        code = backup(in, file);
        if (code != EXIT_CODE_DONE)
                (void) unlink(in->args[1]);
        return code;
}
