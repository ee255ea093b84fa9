/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A daemon that cmkctl talks to in tests: the methods and properties of cmkd that the verbs need, in a process of its own, which
 * answers by the names it is asked about. For one test program: its functions are static. */

#include "ctl/bus.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
/* A manager on the other end of a socket pair, in a process of its own; what it does depends on the volume's name:
 *
 *   busy, policy, revoked    an error of that kind      again   done already
 *   gone                     it hangs up                late    done when another is
 *                                                       else    done
 *
 * Its Hold is that of another version: the reply has not the shape that cmkctl expects. */

static pid_t server;
static unsigned connections;           /* that were made */
static bool encrypting;                /* and whoever looks on is interrupted at each look */
static sd_bus_message *late;

static int refuse(sd_bus_message *m, enum exit_code code, const char *text) {
        return sd_bus_reply_method_errorf(m, exit_code_to_bus_error(code), "%s", text);
}

/* With all read that the other side still writes: what was replied before reaches it. */
static void hang_up(sd_bus *bus) {
        int fd = sd_bus_get_fd(bus);
        struct pollfd p = { .fd = fd, .events = POLLIN };
        char buf[512];

        sd_bus_flush(bus);
        shutdown(fd, SHUT_WR);
        while (poll(&p, 1, -1) >= 0 && read(fd, buf, sizeof(buf)) > 0)
                ;
        _exit(0);
}

/* 1: replied. changed: what to reply otherwise. */
static int act(sd_bus_message *m, const char *name, int *changed) {
        *changed = !streq(name, "again");
        if (streq(name, "busy"))
                return refuse(m, EXIT_CODE_BUSY, "busy is mounted at /srv: unmount it first");
        if (streq(name, "policy"))
                return refuse(m, EXIT_CODE_POLICY, "the host is not allowed");
        if (streq(name, "revoked"))
                return refuse(m, EXIT_CODE_REVOKED, "the key is disabled");
        if (streq(name, "gone"))
                hang_up(sd_bus_message_get_bus(m));
        return 0;
}

static int read_options(sd_bus_message *m, char *buf, size_t size) {
        const char *key, *type, *text;
        int r, flag;

        *buf = 0;
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                size_t n = strlen(buf);

                r = sd_bus_message_read(m, "s", &key);
                if (r < 0 || (r = sd_bus_message_peek_type(m, NULL, &type)) < 0)
                        return r;
                if (streq(type, "b")) {
                        r = sd_bus_message_read(m, "v", "b", &flag);
                        snprintf(buf + n, size - n, "[%s=%d]", key, flag);
                } else {
                        r = sd_bus_message_read(m, "v", "s", &text);
                        snprintf(buf + n, size - n, "[%s=%s]", key, text);
                }
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* The reply's UUID is what was asked, so that the test can see it. */
static int on_format(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *device, *name, *role, *key;
        char options[256], echo[1024];
        int r, changed;

        r = sd_bus_message_read(m, "ssss", &device, &name, &role, &key);
        if (r >= 0)
                r = read_options(m, options, sizeof(options));
        if (r < 0 || (r = act(m, name, &changed)))
                return r;
        snprintf(echo, sizeof(echo), "%s %s %s %s", name, role, key, options);
        return sd_bus_reply_method_return(m, "sb", echo, changed);
}

/* What is not asked as it should be fails. */
static int on_enroll(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *what, *key;
        char options[256];
        int r, changed;

        r = sd_bus_message_read(m, "ss", &what, &key);
        if (r >= 0)
                r = read_options(m, options, sizeof(options));
        if (r < 0 || (r = act(m, what, &changed)))
                return r;
        if (!streq(options, streq(key, "https://v/keys/out") ? "[remove=1]" : streq(key, "https://v/keys/unsafe")
                   ? "[accept-unsafe-vault=a test]" : ""))
                return refuse(m, EXIT_CODE_FAILED, options);
        return sd_bus_reply_method_return(m, "b", changed && !streq(key, "https://v/keys/known"));
}

/* What was asked stands in the reply. */
static int on_rotate(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *what, *key;
        char options[256], echo[512];
        int r, changed;

        r = sd_bus_message_read(m, "ss", &what, &key);
        if (r >= 0)
                r = read_options(m, options, sizeof(options));
        if (r < 0 || (r = act(m, what, &changed)))
                return r;
        snprintf(echo, sizeof(echo), "%s%s", *key ? key : "https://v/keys/a/2", options);
        return sd_bus_reply_method_return(m, "bss", changed, echo, streq(what, "root") ? "https://v/keys/a/1" : "");
}

static int on_attach(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *what;
        char options[256], node[384];
        int r, changed;

        r = sd_bus_message_read(m, "s", &what);
        if (r >= 0)
                r = read_options(m, options, sizeof(options));
        if (r < 0 || (r = act(m, what, &changed)))
                return r;
        if (streq(what, "late")) {
                late = sd_bus_message_ref(m);
                return 1;
        }
        snprintf(node, sizeof(node), "/dev/mapper/%s%s", what, options);
        r = sd_bus_reply_method_return(m, "ssb", what, node, changed);
        if (r >= 0 && late) {
                r = sd_bus_reply_method_return(late, "ssb", "late", "/dev/mapper/late", 1);
                late = sd_bus_message_unref(late);
        }
        return r;
}

static int on_detach(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *name;
        int r, changed;

        r = sd_bus_message_read(m, "s", &name);
        return r < 0 || (r = act(m, name, &changed)) ? r : sd_bus_reply_method_return(m, "b", changed);
}

static int on_cut(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *name;
        char options[256];
        int r, changed;

        r = sd_bus_message_read(m, "s", &name);
        if (r >= 0)
                r = read_options(m, options, sizeof(options));
        if (r < 0 || (r = act(m, name, &changed)))
                return r;
        return sd_bus_reply_method_return(m, "a(sts)", 2, "shut", UINT64_C(300000), *options ? options : "done",
                                          "cut", UINT64_C(2000000), "done");
}

/* More processes than are listed, and one whose name is not for a terminal. */
static int on_cut_plan(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        sd_bus_message *reply = NULL;
        const char *name;
        int r, changed;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0 || (r = act(m, name, &changed)))
                return r;
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "sa(stts)", "cut", 3,
                                          "stop", UINT64_C(2500000), UINT64_C(7500000), "units",
                                          "notice", UINT64_C(2500000), UINT64_C(10000000), "SIGTERM",
                                          "cut", UINT64_C(4000000), UINT64_C(15750000), "error table");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssuss)");
        if (r >= 0)
                r = sd_bus_message_append(reply, "(sssuss)", "stop", "unit", "db.service", 0, "", "");
        for (uint32_t i = 1; r >= 0 && i <= 22; i++)
                r = sd_bus_message_append(reply, "(sssuss)", "notice", "process", "x\033[2J", i, "db.service",
                                          i == 1 ? "process 1" : "");
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "a(st)as", 2, "mount", UINT64_C(0), "process", UINT64_C(500), 1, "a note");
        if (r >= 0)
                r = sd_bus_message_send(reply);
        sd_bus_message_unref(reply);
        return r;
}

/* Two volumes where all are meant; what is paused until is what was asked. */
static int on_pause(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *name;
        uint64_t until;
        int r, changed;

        r = sd_bus_message_read(m, "st", &name, &until);
        if (r < 0 || (r = act(m, name, &changed)))
                return r;
        return *name ? sd_bus_reply_method_return(m, "a(st)", 1, name, until)
                     : sd_bus_reply_method_return(m, "a(st)", 2, "one", until, "two", until);
}

static int on_pause_end(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *name;
        int r, changed;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0 || (r = act(m, name, &changed)))
                return r;
        return changed ? sd_bus_reply_method_return(m, "as", 1, *name ? name : "one") : sd_bus_reply_method_return(m, "as", 0);
}

static int on_list(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        return sd_bus_reply_method_return(m, "a(sssstss)", 2, "11111111-2222-4333-8444-555555555555", "data", "data",
                                          "https://a/keys/b", UINT64_C(3), "node", "serial-1",
                                          "33333333-2222-4333-8444-555555555555", "away", "data", "https://a/keys/b", UINT64_C(1),
                                          "node", "");
}

/* Without a file system: nothing is started from here. */
static int on_scratch(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *name;
        char options[256], node[384];
        int r, changed;

        r = sd_bus_message_read(m, "s", &name);
        if (r >= 0)
                r = read_options(m, options, sizeof(options));
        if (r < 0 || (r = act(m, name, &changed)))
                return r;
        snprintf(node, sizeof(node), "/dev/mapper/%s%s", name, options);
        return sd_bus_reply_method_return(m, "ssb", node, "", changed);
}

/* A volume changes after it was looked at first; and where it was looked at again for that, the daemon is gone. */
static bool watched;

static void go_on_watched(sd_bus *bus) {
        static unsigned looked;

        if (watched && looked++ == 0)
                assert_true(sd_bus_emit_signal(bus, BUS_OBJECT, BUS_MANAGER, "VolumeChanged", "ss", "data", "cut") >= 0);
        else if (watched)
                sd_bus_close(bus);
}

static int on_list_scratch(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        go_on_watched(sd_bus_message_get_bus(m));
        return sd_bus_reply_method_return(m, "a(ssssst)", 2, "tmp", "open", "/dev/vdb", "ext4", "22222222-2222-4333-8444-555555555555",
                                          UINT64_C(1800000000) * USEC_PER_SEC, "swap", "closed", "/dev/vdc", "swap", "", UINT64_C(0));
}

static int on_remove(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *name;
        int r, changed;

        r = sd_bus_message_read(m, "s", &name);
        return r < 0 || (r = act(m, name, &changed)) ? r : sd_bus_reply_method_return(m, NULL);
}

static int get_text(sd_bus *b _unused_, const char *path _unused_, const char *i _unused_, const char *property,
                    sd_bus_message *reply, void *user _unused_, sd_bus_error *e _unused_) {
        if (streq(property, "Name"))
                return sd_bus_message_append(reply, "s", "data");
        if (streq(property, "UUID"))
                return sd_bus_message_append(reply, "s", "11111111-2222-4333-8444-555555555555");
        if (streq(property, "State"))
                return sd_bus_message_append(reply, "s", encrypting ? "attached" : "open\033[2J");
        if (streq(property, "Encryption")) {
                if (encrypting)
                        kill(getppid(), SIGINT);
                return sd_bus_message_append(reply, "s", encrypting ? "encrypting" : "");
        }
        return sd_bus_message_append(reply, "s", property);
}

static int get_value(sd_bus *b _unused_, const char *path _unused_, const char *i _unused_, const char *property,
                     sd_bus_message *reply, void *user _unused_, sd_bus_error *e _unused_) {
        if (streq(property, "InitOnFree"))
                return sd_bus_message_append(reply, "b", 0);
        if (streq(property, "Findings"))
                return sd_bus_message_append(reply, "as", 1, "a foreign keyslot");
        if (streq(property, "Policy"))
                return sd_bus_message_append(reply, "a{ss}", 1, "OnRevoked", "cut (default)");
        if (streq(property, "PausedUntilUsec"))
                return sd_bus_message_append(reply, "t", UINT64_C(1800000000) * USEC_PER_SEC);
        return sd_bus_message_append(reply, "t", streq(property, "LeaseLeftSec") ? UINT64_C(75) : UINT64_MAX);
}

/* The backup's file gets a word, so that it is seen to be the one that was passed. */
static int on_header_backup(sd_bus_message *m, void *user _unused_, sd_bus_error *e) {
        const char *what;
        int fd;

        sd_bus_message_read(m, "sh", &what, &fd);
        if (streq(what, "refused"))
                return sd_bus_error_set(e, exit_code_to_bus_error(EXIT_CODE_POLICY), "not on the list");
        assert_int_equal(write(fd, what, strlen(what)), strlen(what));
        return sd_bus_reply_method_return(m, "s", what);
}

static int on_header_restore(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        int fd, older, wipe;
        const char *what;
        char name[64];

        sd_bus_message_read(m, "shbb", &what, &fd, &older, &wipe);
        snprintf(name, sizeof(name), "%s%s%s", what, older ? "[older]" : "", wipe ? "[wipe]" : "");
        return sd_bus_reply_method_return(m, "sb", name, !streq(what, "same"));
}

static int on_header_accept(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *what;
        int look;

        sd_bus_message_read(m, "sb", &what, &look);
        return sd_bus_reply_method_return(m, "sbs", what, streq(what, "data"), look ? "keyslot 2[look]" : "keyslot 2");
}

static int on_pinned_keys(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        sd_bus_message *reply;
        const char *key;
        int r;

        sd_bus_message_read(m, "s", &key);
        sd_bus_message_new_method_return(m, &reply);
        sd_bus_message_open_container(reply, 'a', "(ssssst)");
        if (!strstr(key, "unused")) {
                sd_bus_message_append(reply, "(ssssst)", "u1", "data", "https://v/keys/a/1", "needed", "ab12", UINT64_C(1800000000));
                sd_bus_message_append(reply, "(ssssst)", "u2", "away", "https://v/keys/b", "not here", "", UINT64_C(1800000000));
        }
        sd_bus_message_close_container(reply);
        r = sd_bus_message_send(reply);
        sd_bus_message_unref(reply);
        return r;
}

static int on_key_usage(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        sd_bus_message *reply;
        const char *key;
        int r;

        sd_bus_message_read(m, "s", &key);
        sd_bus_message_new_method_return(m, &reply);
        sd_bus_message_open_container(reply, 'a', "(sssssttss)");
        if (!strstr(key, "unused")) {
                sd_bus_message_append(reply, "(sssssttss)", "u1", "data", "attached", "https://v/keys/a/1", "needed", UINT64_C(1),
                                      UINT64_C(1800000000), "https://v/keys/a/2", "");
                sd_bus_message_append(reply, "(sssssttss)", "u2", "away", "closed", "https://v/keys/a", "not here", UINT64_C(1), UINT64_C(0), "", "");
        }
        sd_bus_message_close_container(reply);
        r = sd_bus_message_send(reply);
        sd_bus_message_unref(reply);
        return r;
}

static int on_recovery_gone(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *what;

        sd_bus_message_read(m, "s", &what);
        return sd_bus_reply_method_return(m, "sb", what, streq(what, "data"));
}

static int on_take_over(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *device, *name, *role, *key;
        int fd, convert;

        sd_bus_message_read(m, "sssshb", &device, &name, &role, &key, &fd, &convert);
        return sd_bus_reply_method_return(m, "sbsb", "8d2f6e3c-5b1a-4f7e-9c0d-112233445566", 1, convert ? "/var/kept" : "", !convert);
}

#define RECOVERY_TEXT "cbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv"

/* The old key goes when the new one was shown; "gone": and so does the daemon. */
static int on_recovery_rotate(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *what;
        char shown = 0;
        int fd, changed;

        sd_bus_message_read(m, "sh", &what, &fd);
        assert_int_equal(write(fd, RECOVERY_TEXT, strlen(RECOVERY_TEXT)), strlen(RECOVERY_TEXT));
        if (read(fd, &shown, 1) != 1 || shown != RECOVERY_SHOWN)
                return refuse(m, EXIT_CODE_FAILED, "the old key stays: nobody said that the new one was seen");
        (void) act(m, what, &changed);
        return sd_bus_reply_method_return(m, "s", what);
}

static int on_personalize(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        const char *what, *image;
        int r, drop, changed;

        sd_bus_message_read(m, "ssb", &what, &image, &drop);
        r = act(m, what, &changed);
        return r ? r : sd_bus_reply_method_return(m, "sbs", "11111111-2222-4333-8444-555555555555", changed,
                                                  streq(what, "root") ? "reboot now" : "");
}

static const sd_bus_vtable manager_table[] = {
        SD_BUS_VTABLE_START(SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Format", "ssssa{sv}", "sb", on_format, 0),
        SD_BUS_METHOD("Enroll", "ssa{sv}", "b", on_enroll, 0),
        SD_BUS_METHOD("Rotate", "ssa{sv}", "bss", on_rotate, 0),
        SD_BUS_METHOD("Attach", "sa{sv}", "ssb", on_attach, 0),
        SD_BUS_METHOD("HeaderBackup", "sh", "s", on_header_backup, 0),
        SD_BUS_METHOD("HeaderRestore", "shbb", "sb", on_header_restore, 0),
        SD_BUS_METHOD("KeyUsage", "s", "a(sssssttss)", on_key_usage, 0),
        SD_BUS_METHOD("PinnedKeys", "s", "a(ssssst)", on_pinned_keys, 0),
        SD_BUS_METHOD("TakeOver", "sssshba{sv}", "sbsb", on_take_over, 0),
        SD_BUS_METHOD("HeaderAccept", "sb", "sbs", on_header_accept, 0),
        SD_BUS_METHOD("KeyslotsRemove", "s", "sb", on_recovery_gone, 0),
        SD_BUS_METHOD("RecoveryKeyRotate", "sh", "s", on_recovery_rotate, 0),
        SD_BUS_METHOD("Personalize", "ssba{sv}", "sbs", on_personalize, 0),
        SD_BUS_METHOD("Detach", "sa{sv}", "b", on_detach, 0),
        SD_BUS_METHOD("Hold", "s", NULL, on_remove, 0),
        SD_BUS_METHOD("Resume", "s", "b", on_detach, 0),
        SD_BUS_METHOD("Cut", "sa{sv}", "a(sts)", on_cut, 0),
        SD_BUS_METHOD("CutPlan", "s", "sa(stts)a(sssuss)a(st)as", on_cut_plan, 0),
        SD_BUS_METHOD("Pause", "st", "a(st)", on_pause, 0),
        SD_BUS_METHOD("PauseEnd", "s", "as", on_pause_end, 0),
        SD_BUS_METHOD("ListTrust", NULL, "a(sssstss)", on_list, 0),
        SD_BUS_METHOD("ScratchCreate", "sa{sv}", "ssb", on_scratch, 0),
        SD_BUS_METHOD("ScratchRenew", "sa{sv}", "ssb", on_scratch, 0),
        SD_BUS_METHOD("ScratchRemove", "sa{sv}", "b", on_detach, 0),
        SD_BUS_METHOD("ListScratch", NULL, "a(ssssst)", on_list_scratch, 0),
        SD_BUS_METHOD("TrustRemove", "s", NULL, on_remove, 0),
        SD_BUS_PROPERTY("Version", "s", get_text, 0, 0),
        SD_BUS_PROPERTY("AuditState", "s", get_text, 0, 0),
        SD_BUS_PROPERTY("InitOnFree", "b", get_value, 0, 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable volume_table[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", get_text, 0, 0),
        SD_BUS_PROPERTY("UUID", "s", get_text, 0, 0),
        SD_BUS_PROPERTY("State", "s", get_text, 0, 0),
        SD_BUS_PROPERTY("Encryption", "s", get_text, 0, 0),
        SD_BUS_PROPERTY("LastVerdict", "s", get_text, 0, 0),
        SD_BUS_PROPERTY("SecondsSinceProof", "t", get_value, 0, 0),
        SD_BUS_PROPERTY("LeaseLeftSec", "t", get_value, 0, 0),
        SD_BUS_PROPERTY("PausedUntilUsec", "t", get_value, 0, 0),
        SD_BUS_PROPERTY("Findings", "as", get_value, 0, 0),
        SD_BUS_PROPERTY("Policy", "a{ss}", get_value, 0, 0),
        SD_BUS_VTABLE_END
};

static void serve(int fd) {
        sd_bus *bus = NULL;
        sd_id128_t id;
        int r;

        if (sd_bus_new(&bus) < 0 || sd_id128_randomize(&id) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 ||
            sd_bus_set_server(bus, 1, id) < 0 || sd_bus_start(bus) < 0 ||
            sd_bus_add_object_manager(bus, NULL, BUS_OBJECT) < 0 ||
            sd_bus_add_object_vtable(bus, NULL, BUS_OBJECT, BUS_MANAGER, manager_table, NULL) < 0 ||
            sd_bus_add_object_vtable(bus, NULL, BUS_OBJECT "/volume/data", BUS_VOLUME, volume_table, NULL) < 0)
                _exit(1);
        while ((r = sd_bus_process(bus, NULL)) >= 0)
                if (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0)
                        break;
        _exit(0);
}

/* In place of bus-connect.c. */
int bus_connect(sd_bus **ret) {
        int fds[2];

        connections++;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0, fds), 0);
        server = fork();
        if (server == 0) {
                close(fds[0]);
                serve(fds[1]);
        }
        close(fds[1]);
        assert_true(sd_bus_new(ret) >= 0 && sd_bus_set_fd(*ret, fds[0], fds[0]) >= 0 && sd_bus_start(*ret) >= 0);
        return EXIT_CODE_DONE;
}

static int tear_down(void **state _unused_) {
        if (server > 0) {
                kill(server, SIGKILL);
                waitpid(server, NULL, 0);
        }
        server = 0;
        return 0;
}
