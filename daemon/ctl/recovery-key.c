/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "print.h"
#include "qr.h"
#include "volume.h"

#include "common/secret.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

/* cmkctl recovery-key add, rotate, remove, test. A key's text is in struct secret here too, comes and goes by a pipe, and is
 * written past stdio, whose buffers would keep it. */

#define TEXT_SIZE 71u
#define TYPED_MAX 128u

static int check_what(const char *what) {
        if (*what == '/' ? startswith(what, "/dev/") && strlen(what) <= 256 : volume_name_is_valid(what))
                return EXIT_CODE_DONE;
        return fail(EXIT_CODE_USAGE, "%s is no device, UUID or name of a volume", *what ? what : "an empty text");
}

static int keep_nothing(void) {
        int r = secret_process_init();

        return r < 0 ? fail(EXIT_CODE_FAILED, "this process cannot be made undumpable: %s", strerror(-r))
                     : EXIT_CODE_DONE;
}

/* On a terminal as a picture too, for a camera: never where the output goes into a file. */
static void draw_key(const struct invocation *in, const struct secret *text) {
        int r;

        if (has_option(in, OPTION_JSON) || has_option(in, OPTION_NO_QR) || !isatty(STDOUT_FILENO))
                return;
        r = qr_draw(STDOUT_FILENO, text);
        if (r < 0)
                fprintf(stderr, "No QR code: %s\n", r == -ENOPKG ? "there is no libqrencode" : strerror(-r));
}

/* A file's is on its disk, since the old key goes then; a terminal and a pipe have none. Returns 0 or -errno. */
static int write_key(const struct invocation *in, const char *name, const struct secret *text) {
        bool json = has_option(in, OPTION_JSON);
        char before[128] = "";
        int r;

        if (json)
                snprintf(before, sizeof(before), "{\"volume\":\"%s\",\"changed\":true,\"recovery_key\":\"", name);
        r = write_all(STDOUT_FILENO, before, strlen(before));
        if (r >= 0)
                r = secret_write(STDOUT_FILENO, text);
        if (r >= 0)
                r = write_all(STDOUT_FILENO, json ? "\"}\n" : "\n", json ? 3 : 1);
        if (r >= 0 && fsync(STDOUT_FILENO) < 0 && errno != EINVAL && errno != EROFS)
                r = -errno;
        if (json)
                json_is_printed();
        if (r >= 0)
                draw_key(in, text);
        return r;
}

static const char whose[] = "Whoever has it opens the volume without the vault, also when\nthe customer's key is revoked. It is not "
                            "shown again: write it down, and keep it away from this node.\n";

static int print_escrowed(const struct invocation *in, const char *name) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;

        fprintf(stderr, "Nobody was shown it. Whoever may decrypt with that key opens %s without its vault. Its token is in the header:\n"
                "cryptsetup token export; see cmkctl(1). Have it tried once.\n", name);
        if (!has_option(in, OPTION_JSON)) {
                printf("%s has a recovery key, in escrow with %s\n", name, in->values[OPTION_ESCROW]);
                return EXIT_CODE_DONE;
        }
        o = json_object_new_object();
        if (!o)
                return fail(EXIT_CODE_FAILED, "out of memory");
        json_put_text(o, "volume", name);
        json_put_text(o, "escrow", in->values[OPTION_ESCROW]);
        return print_json(o);
}

static int append_escrow(sd_bus_message *m, const struct invocation *in, const struct key_terms *t) {
        int r;

        r = sd_bus_message_append(m, "ss", in->args[0], in->values[OPTION_ESCROW]);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_terms(m, t);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int escrow(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        struct key_terms terms;
        const char *name;
        int code, r;

        code = check_key(in->values[OPTION_ESCROW]);
        if (code == EXIT_CODE_DONE)
                code = read_terms(in, &terms);
        if (code == EXIT_CODE_DONE)
                code = header_backup_first(in);
        if (code == EXIT_CODE_DONE)
                code = call_begin(&c, BUS_MANAGER, "RecoveryKeyEscrow");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, append_escrow(c.request, in, &terms));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "s", &name);
        return r < 0 ? call_misunderstood(r) : print_escrowed(in, name);
}

int verb_recovery_key_add(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        _cleanup_(secret_freep) struct secret *text = NULL;
        const char *name;
        int code, r, fd;

        code = check_what(in->args[0]);
        if (code == EXIT_CODE_DONE && has_option(in, OPTION_ESCROW))
                return escrow(in);
        if (code == EXIT_CODE_DONE && (has_option(in, OPTION_EXPECT_PUBLIC_KEY) || has_option(in, OPTION_ACCEPT_UNSAFE_VAULT)))
                code = fail(EXIT_CODE_USAGE, "--expect-public-key and --accept-unsafe-vault are about the key of --escrow");
        if (code == EXIT_CODE_DONE)
                code = keep_nothing();
        if (code == EXIT_CODE_DONE)
                code = header_backup_first(in);
        if (code == EXIT_CODE_DONE)
                code = call_begin(&c, BUS_MANAGER, "RecoveryKeyAdd");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, sd_bus_message_append(c.request, "s", in->args[0]));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "sh", &name, &fd);
        if (r < 0)
                return call_misunderstood(r);
        r = secret_read(fd, TEXT_SIZE, &text);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "%s has a recovery key now, but it did not arrive (%s) and cannot be "
                            "shown again: cmkctl recovery-key remove %s", name, strerror(-r), name);
        fprintf(stderr, "This is the recovery key of %s. %s", name, whose);
        r = write_key(in, name, text);
        return r < 0 ? fail(EXIT_CODE_FAILED, "%s has a recovery key now, but it could not be written (%s) and cannot "
                            "be shown again: cmkctl recovery-key remove %s", name, strerror(-r), name) : EXIT_CODE_DONE;
}

struct rotation {
        const struct invocation *in;
        bool shown;
};

/* The old key goes when this says that the new one can be read. */
static int show_new_key(int fd, void *user) {
        _cleanup_(secret_freep) struct secret *text = NULL;
        struct rotation *x = user;
        char shown = RECOVERY_SHOWN;
        int r;

        r = secret_read(fd, TEXT_SIZE, &text);
        if (r < 0)
                return r;
        fprintf(stderr, "This will be the recovery key of %s. %s", x->in->args[0], whose);
        r = write_key(x->in, x->in->args[0], text);
        if (r < 0) {
                (void) shutdown(fd, SHUT_RDWR);        /* it is not waited for longer */
                return fail(EXIT_CODE_FAILED, "the new key cannot be written: %s", strerror(-r));
        }
        x->shown = true;
        return write_all(fd, &shown, 1);
}

int verb_recovery_key_rotate(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        _cleanup_(closep) int ours = -EBADF;
        struct rotation x = { .in = in };
        const char *name;
        int code, r, fds[2];

        code = check_what(in->args[0]);
        if (code == EXIT_CODE_DONE)
                code = keep_nothing();
        if (code == EXIT_CODE_DONE)
                code = header_backup_first(in);
        if (code == EXIT_CODE_DONE)
                code = call_begin(&c, BUS_MANAGER, "RecoveryKeyRotate");
        if (code != EXIT_CODE_DONE)
                return code;
        if (socketpair(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0, fds) < 0)
                return fail(EXIT_CODE_FAILED, "cannot make a socket: %s", strerror(errno));
        ours = fds[0];
        r = sd_bus_message_append(c.request, "sh", in->args[0], fds[1]);
        safe_close(fds[1]);
        code = call_send_watching(&c, r, ours, show_new_key, &x);
        if (code != EXIT_CODE_DONE && x.shown)
                return fail((enum exit_code) code, "which of the two keys of %s opens it says cmkctl recovery-key test: keep both until "
                            "then", in->args[0]);
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "s", &name);
        if (r < 0)
                return call_misunderstood(r);
        fprintf(stderr, "It is in force: the old recovery key of %s does not open it any more\n", name);
        return EXIT_CODE_DONE;
}

int verb_recovery_key_remove(const struct invocation *in) {
        char question[512];
        int code = check_what(in->args[0]);

        snprintf(question, sizeof(question), "The recovery key of %s will not open it any more; without the vault "
                 "nothing will.", in->args[0]);
        return code != EXIT_CODE_DONE ? code : header_remove(in, "RecoveryKeyRemove", question, "its recovery key is removed",
                                                             "it has no recovery key");
}

/* Who ends it while it asks gets the terminal back as it was. */
static struct termios terminal_was;

static void on_end(int sig) {
        (void) tcsetattr(STDIN_FILENO, TCSANOW, &terminal_was);
        (void) raise(sig);                     /* SA_RESETHAND: it dies of it when this returns */
}

/* ask: reads without an echo from now on; else as before. */
static void terminal_quiet(bool ask) {
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
        const struct sigaction act = { .sa_handler = ask ? on_end : SIG_DFL, .sa_flags = ask ? (int) SA_RESETHAND : 0 };
        struct termios t = terminal_was;
        struct sigaction was;

        if (ask)
                t.c_lflag &= ~(tcflag_t) ECHO;
        else
                (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &t);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                if (sigaction(signals[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
                        (void) sigaction(signals[i], &act, NULL);
        if (ask)
                (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &t);
}

/* Reads a line from the terminal without showing it, or what standard input has. Returns 0 or -errno. */
static int read_typed(const char *what, struct secret **ret) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &terminal_was) == 0;
        size_t size = 0;
        ssize_t n = 0;
        int r;

        r = secret_new(TYPED_MAX, &s);
        if (r < 0)
                return r;
        if (terminal) {
                fprintf(stderr, "Recovery key of %s: ", what);
                terminal_quiet(true);
        }
        while (size < TYPED_MAX && (n = read(STDIN_FILENO, secret_data(s) + size, TYPED_MAX - size)) > 0) {
                size += (size_t) n;
                if (terminal && secret_data(s)[size - 1] == '\n')
                        break;
        }
        r = n < 0 ? -errno : size == 0 ? -ENODATA : 0;
        if (terminal) {
                terminal_quiet(false);
                fputc('\n', stderr);
        }
        if (r < 0)
                return r;
        secret_shrink(s, size);
        *ret = TAKE_PTR(s);
        return 0;
}

/* The read end of a pipe that the text is in. */
static int pipe_with(const struct secret *text) {
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        r = secret_write(fds[1], text);
        safe_close(fds[1]);
        if (r < 0)
                safe_close(fds[0]);
        return r < 0 ? r : fds[0];
}

int verb_recovery_key_test(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        _cleanup_(secret_freep) struct secret *typed = NULL;
        _cleanup_(closep) int fd = -EBADF;
        const char *name;
        int code, r;

        code = check_what(in->args[0]);
        if (code == EXIT_CODE_DONE)
                code = keep_nothing();
        if (code != EXIT_CODE_DONE)
                return code;
        r = read_typed(in->args[0], &typed);
        if (r >= 0)
                r = fd = pipe_with(typed);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "the recovery key cannot be read from standard input: %s", strerror(-r));
        code = call_begin(&c, BUS_MANAGER, "RecoveryKeyTest");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, sd_bus_message_append(c.request, "sh", in->args[0], fd));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "s", &name);
        if (r < 0)
                return call_misunderstood(r);
        if (has_option(in, OPTION_JSON))
                return print_json_answer(name, "opens", true);
        printf("That is the recovery key of %s: it opens the volume\n", name);
        return EXIT_CODE_DONE;
}
