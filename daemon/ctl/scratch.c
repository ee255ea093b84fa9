/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include "names.h"
#include "print.h"
#include "wait.h"
#include "when.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* cmkctl scratch create, renew, remove. The daemon makes the mapping; its file system is made from here, by systemd-makefs,
 * which leaves alone what has one: a run that was interrupted is finished by the next. */

static const char *const makefs[] = { "/usr/lib/systemd/systemd-makefs", "/lib/systemd/systemd-makefs" };

static int make_file_system(const char *type, const char *node) {
        int status;
        pid_t pid;

        fflush(stdout);
        pid = fork();
        if (pid < 0)
                return fail(EXIT_CODE_FAILED, "cannot make a process: %s", strerror(errno));
        if (pid == 0) {
                /* Standard output is for the result. */
                (void) dup2(STDERR_FILENO, STDOUT_FILENO);
                for (size_t i = 0; i < ELEMENTSOF(makefs); i++)
                        execl(makefs[i], "systemd-makefs", type, node, (char *) NULL);
                _exit(127);
        }
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return fail(EXIT_CODE_FAILED, "systemd-makefs is lost: %s", strerror(errno));
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return EXIT_CODE_DONE;
        return fail(EXIT_CODE_FAILED, "%s is there, but no %s could be made on it%s", node, type,
                    WIFEXITED(status) && WEXITSTATUS(status) == 127 ? ": there is no systemd-makefs" : "");
}

static int print_made(const struct invocation *in, const char *name, const char *node, const char *type, bool changed) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;

        if (!has_option(in, OPTION_JSON)) {
                printf("%s is %sopen as %s%s%s\n", name, changed ? "" : "already ", node, *type ? ", with " : "", type);
                return EXIT_CODE_DONE;
        }
        o = json_object_new_object();
        if (!o || json_object_object_add(o, "changed", json_object_new_boolean(changed)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        json_put_text(o, "scratch", name);
        json_put_text(o, "node", node);
        json_put_text(o, "file_system", *type ? type : NULL);
        return print_json(o);
}

static int make(const struct invocation *in, const char *member) {
        _cleanup_(call_release) struct call c = {};
        const char *node, *type;
        int code, r, changed;

        code = call_begin(&c, BUS_MANAGER, member);
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_append(c.request, "s", in->args[0]);
        if (r >= 0)
                r = has_option(in, OPTION_WIPE) ? sd_bus_message_append(c.request, "a{sv}", 1, "wipe", "b", 1)
                                                : sd_bus_message_append(c.request, "a{sv}", 0);
        code = call_send(&c, r);
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "ssb", &node, &type, &changed);
        if (r < 0)
                return call_misunderstood(r);
        if (*type)
                code = make_file_system(type, node);
        return code == EXIT_CODE_DONE ? print_made(in, in->args[0], node, type, changed) : code;
}

static int create(const struct invocation *in, void *user _unused_) {
        return make(in, "ScratchCreate");
}

int verb_scratch_create(const struct invocation *in) {
        char question[512];
        uint64_t seconds;
        int code;

        code = wait_read(in, &seconds);
        if (code == EXIT_CODE_DONE)
                code = check_name(in->args[0]);
        snprintf(question, sizeof(question), "Whatever the disk of %s holds now cannot be read afterwards.", in->args[0]);
        if (code == EXIT_CODE_DONE && has_option(in, OPTION_WIPE))
                code = confirm(in, question);
        return code == EXIT_CODE_DONE ? wait_until_done(in, seconds, create, NULL) : code;
}

int verb_scratch_renew(const struct invocation *in) {
        char question[512];
        int code;

        code = check_name(in->args[0]);
        snprintf(question, sizeof(question), "What is on the scratch disk %s cannot be read afterwards, by anybody.", in->args[0]);
        if (code == EXIT_CODE_DONE)
                code = confirm(in, question);
        return code == EXIT_CODE_DONE ? make(in, "ScratchRenew") : code;
}

int verb_scratch_remove(const struct invocation *in) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        _cleanup_(call_release) struct call c = {};
        char question[512];
        int code, r, changed;

        code = check_name(in->args[0]);
        snprintf(question, sizeof(question), "What is on the scratch disk %s cannot be read afterwards, by anybody.", in->args[0]);
        if (code == EXIT_CODE_DONE)
                code = confirm(in, question);
        if (code == EXIT_CODE_DONE)
                code = call_begin(&c, BUS_MANAGER, "ScratchRemove");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, sd_bus_message_append(c.request, "sa{sv}", in->args[0], 0));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "b", &changed);
        if (r < 0)
                return call_misunderstood(r);
        if (!has_option(in, OPTION_JSON)) {
                printf("%s is %sclosed, its key is gone\n", in->args[0], changed ? "" : "already ");
                return EXIT_CODE_DONE;
        }
        o = json_object_new_object();
        if (!o || json_object_object_add(o, "changed", json_object_new_boolean(changed)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        json_put_text(o, "scratch", in->args[0]);
        return print_json(o);
}

/* ---- status ---- */

int scratch_list(struct call *c, struct json_object **ret) {
        _cleanup_(json_object_putp) struct json_object *list = json_object_new_array();
        const char *name, *state, *device, *type, *uuid;
        uint64_t since;
        int code, r;

        code = call_next(c, BUS_MANAGER, "ListScratch");
        if (code == EXIT_CODE_DONE)
                code = call_send(c, 0);
        if (code != EXIT_CODE_DONE)
                return code;
        r = list ? sd_bus_message_enter_container(c->reply, 'a', "(ssssst)") : -ENOMEM;
        while (r >= 0 && (r = sd_bus_message_read(c->reply, "(ssssst)", &name, &state, &device, &type, &uuid, &since)) > 0) {
                struct json_object *o = json_object_new_object();

                if (!o || json_object_array_add(list, o) < 0)
                        return fail(EXIT_CODE_FAILED, "out of memory");
                json_put_text(o, "name", name);
                json_put_text(o, "state", state);
                json_put_text(o, "role", "scratch");
                json_put_text(o, "device", device);
                json_put_text(o, "file_system", *type ? type : NULL);
                json_put_text(o, "uuid", *uuid ? uuid : NULL);
                if (since > 0)
                        json_put_number(o, "key_since_usec", since);
        }
        if (r < 0)
                return call_misunderstood(r);
        *ret = TAKE_PTR(list);
        return EXIT_CODE_DONE;
}

static const char *since_text(struct json_object *o, char *buf, size_t size) {
        uint64_t since = json_number(o, "key_since_usec");

        if (since == UINT64_MAX)
                return "";
        format_local_time(since, buf, size);
        return buf;
}

int scratch_print_list(struct json_object *list) {
        static const char *const header[] = { "SCRATCH", "STATE", "KEY SINCE", "DEVICE", "FILE SYSTEM" };
        struct table t;
        char since[32];

        table_start(&t, header, ELEMENTSOF(header));
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct json_object *o = json_object_array_get_idx(list, i);

                table_add(&t, json_text(o, "name"));
                table_add(&t, json_text(o, "state"));
                table_add(&t, since_text(o, since, sizeof(since)));
                table_add(&t, json_text(o, "device"));
                table_add(&t, json_text(o, "file_system"));
        }
        return table_print(&t);
}

static void print_member(struct json_object *o, const char *label, const char *member) {
        if (!*json_text(o, member))
                return;
        printf("  %-12s ", label);
        print_clean(stdout, json_text(o, member));
        putchar('\n');
}

void scratch_print(struct json_object *o) {
        char since[32];

        print_clean(stdout, json_text(o, "name"));
        putchar('\n');
        print_member(o, "state", "state");
        print_member(o, "role", "role");
        print_member(o, "uuid", "uuid");
        print_member(o, "device", "device");
        print_member(o, "file system", "file_system");
        if (*since_text(o, since, sizeof(since)))
                printf("  %-12s made %s, kept nowhere\n", "key", since);
        puts("  hold         not possible (a key that is kept nowhere cannot be given back)");
}
