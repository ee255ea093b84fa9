/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "names.h"
#include "print.h"
#include "volume.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* cmkctl header backup, restore; and the backup that verbs offer which change a header. The file is made here and filled by the
 * daemon's child. */

/* Prints the reply's name where somebody waits for it. *ret_name: lives as long as c; may be NULL. */
static int call_backup(struct call *c, const char *what, int file, const char **ret_name) {
        int code, r;

        code = call_begin(c, BUS_MANAGER, "HeaderBackup");
        if (code == EXIT_CODE_DONE)
                code = call_send(c, sd_bus_message_append(c->request, "sh", what, file));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c->reply, "s", ret_name);
        return r < 0 ? call_misunderstood(r) : EXIT_CODE_DONE;
}

static int print_backup(const struct invocation *in, const char *name) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;

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

/* A file that fails is taken away again: an empty one would pass for a backup. */
static int backup_into(struct call *c, const char *what, const char *path, const char **ret_name) {
        _cleanup_(closep) int file = open(path, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600);
        int code;

        if (file < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", path, errno == EEXIST ? "is there already, and stays as it is" : strerror(errno));
        code = call_backup(c, what, file, ret_name);
        if (code != EXIT_CODE_DONE) {
                (void) unlink(path);
                return code;
        }
        fprintf(stderr, "Whoever has this file opens %s with what opens it now, also after a key was rotated or taken out. Keep it like\n"
                "the keys themselves, away from this node, and destroy it when the next one is made.\n", *ret_name);
        return EXIT_CODE_DONE;
}

int verb_header_backup(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        const char *name;
        int code = check_what(in->args[0]);

        if (code == EXIT_CODE_DONE)
                code = backup_into(&c, in->args[0], in->args[1], &name);
        return code == EXIT_CODE_DONE ? print_backup(in, name) : code;
}

/* ---- before a change ---- */

#define PATH_LENGTH_MAX 256u

/* One question, once, where somebody is there to answer it; a script says what it wants by the option. */
static bool may_ask(const struct invocation *in) {
        return !has_option(in, OPTION_YES) && !has_option(in, OPTION_JSON) && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

int header_backup_first(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        char answer[PATH_LENGTH_MAX + 2] = "";
        const char *path = in->values[OPTION_HEADER_BACKUP], *name;
        size_t n;

        if (!path) {
                if (!may_ask(in))
                        return EXIT_CODE_DONE;
                fprintf(stderr, "The header of %s is about to be changed. File for a copy of it as it is (Enter: none): ", in->args[0]);
                if (!fgets(answer, sizeof(answer), stdin))
                        return fail(EXIT_CODE_FAILED, "no answer, nothing was done");
                n = strcspn(answer, "\n");
                if (!answer[n])
                        return fail(EXIT_CODE_USAGE, "that is too long for a path, nothing was done");
                answer[n] = 0;
                path = answer;
        }
        return *path ? backup_into(&c, in->args[0], path, &name) : EXIT_CODE_DONE;
}

int header_remove(const struct invocation *in, const char *member, const char *question, const char *done, const char *nothing) {
        _cleanup_(call_release) struct call c = {};
        const char *name;
        int code, r, changed;

        code = confirm(in, question);
        if (code == EXIT_CODE_DONE)
                code = header_backup_first(in);
        if (code == EXIT_CODE_DONE)
                code = call_begin(&c, BUS_MANAGER, member);
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, sd_bus_message_append(c.request, "s", in->args[0]));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "sb", &name, &changed);
        if (r < 0)
                return call_misunderstood(r);
        if (has_option(in, OPTION_JSON))
                return print_json_answer(name, "changed", changed);
        printf("%s: %s\n", name, changed ? done : nothing);
        return EXIT_CODE_DONE;
}

/* ---- restore ---- */

static int print_restored(const struct invocation *in, const char *name, bool changed) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;

        if (!has_option(in, OPTION_JSON)) {
                printf(changed ? "%s has the header of %s again: what opened it then opens it now\n"
                               : "%s has the header of %s already; nothing was changed\n", name, in->args[1]);
                return EXIT_CODE_DONE;
        }
        o = json_object_new_object();
        if (!o || json_object_object_add(o, "changed", json_object_new_boolean(changed)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        json_put_text(o, "volume", name);
        json_put_text(o, "file", in->args[1]);
        return print_json(o);
}

static int restore(const struct invocation *in, int file) {
        _cleanup_(call_release) struct call c = {};
        int code, r, changed;
        const char *name;

        code = call_begin(&c, BUS_MANAGER, "HeaderRestore");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, sd_bus_message_append(c.request, "shbb", in->args[0], file, has_option(in, OPTION_ALLOW_OLDER),
                                                           has_option(in, OPTION_WIPE)));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "sb", &name, &changed);
        return r < 0 ? call_misunderstood(r) : print_restored(in, name, changed);
}

int verb_header_restore(const struct invocation *in) {
        _cleanup_(closep) int file = -EBADF;
        char question[1024];
        int code = check_what(in->args[0]);

        if (code != EXIT_CODE_DONE)
                return code;
        file = open(in->args[1], O_RDONLY|O_CLOEXEC);
        if (file < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", in->args[1], strerror(errno));
        snprintf(question, sizeof(question), "The header of %.300s is replaced by that of %.300s: what was enrolled since does not open it "
                 "any more, and what was taken out since does, also a recovery key.", in->args[0], in->args[1]);
        code = confirm(in, question);
        return code == EXIT_CODE_DONE ? restore(in, file) : code;
}

/* ---- what others changed ---- */

/* text lives as long as c. */
static int call_accept(struct call *c, const struct invocation *in, bool look, const char **ret_name, bool *ret_changed, const char **ret_text) {
        int code, r, changed;

        code = call_begin(c, BUS_MANAGER, "HeaderAccept");
        if (code == EXIT_CODE_DONE)
                code = call_send(c, sd_bus_message_append(c->request, "sb", in->args[0], look));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c->reply, "sbs", ret_name, &changed, ret_text);
        if (r < 0)
                return call_misunderstood(r);
        *ret_changed = changed;
        return EXIT_CODE_DONE;
}

static int print_accepted(const struct invocation *in, bool look, const char *name, bool changed, const char *text) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;

        if (!has_option(in, OPTION_JSON)) {
                print_clean(stdout, name);
                if (changed) {
                        printf(look ? ": not enrolled: " : ": enrolled from now on: ");
                        print_clean(stdout, text);
                        putchar('\n');
                } else
                        puts(" has the header that was enrolled; nothing was changed");
                return EXIT_CODE_DONE;
        }
        o = json_object_new_object();
        if (!o || json_object_object_add(o, "changed", json_object_new_boolean(changed && !look)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        json_put_text(o, "volume", name);
        json_put_text(o, "what", changed ? text : NULL);
        return print_json(o);
}

/* What is going to be enrolled is said before anybody is asked. */
static int confirm_accept(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        char question[1400] = "What somebody changed in its header is enrolled.";
        const char *name, *text;
        bool changed;
        int code;

        if (may_ask(in)) {
                code = call_accept(&c, in, true, &name, &changed, &text);
                if (code != EXIT_CODE_DONE || !changed)
                        return code;
                snprintf(question, sizeof(question), "This is in the header of %.100s and was not enrolled: %.1000s. Whoever has what opens one of its "
                         "keyslots goes on opening it, without the vault.", name, text);
        }
        return confirm(in, question);
}

int verb_header_accept(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        bool look = has_option(in, OPTION_DRY_RUN), changed;
        const char *name, *text;
        int code = check_what(in->args[0]);

        if (code == EXIT_CODE_DONE && !look)
                code = confirm_accept(in);
        if (code == EXIT_CODE_DONE && !look)
                code = header_backup_first(in);
        if (code == EXIT_CODE_DONE)
                code = call_accept(&c, in, look, &name, &changed, &text);
        return code == EXIT_CODE_DONE ? print_accepted(in, look, name, changed, text) : code;
}
