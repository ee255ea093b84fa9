/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/unit-look.c daemon/manager/unit-facts.c daemon/manager/unit-jobs.c daemon/manager/unit-set.c
// sources: daemon/manager/unit-name.c
// libs: libsystemd

/* Which units use a volume, and stopping them, asked of a systemd of our own on a bus of our own: what hangs together is
 * found and no more, a job that does not end and a systemd that is frozen cost the time that they were given. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "manager/unit-jobs.h"
#include "manager/unit-look.h"

#define SEC USEC_PER_SEC
#define UNITS UNIT_MANAGER_PATH "/unit"
#define CONFIG "<busconfig><listen>unix:dir=%s</listen><auth>EXTERNAL</auth><policy context='default'>" \
               "<allow send_destination='*' eavesdrop='true'/><allow own='*'/><allow receive_sender='*'/></policy></busconfig>"

static const struct fake {
        const char *name, *active, *following;
        const char *required_by, *bound_by, *triggered_by, *after;
        bool has_file, refuses;
} fakes[] = {
        { "srv-data.mount", "active", "", "db.service local-fs.target", "", "", "local-fs-pre.target", true, false },
        { "db.service", "active", "", "app.service idle.service", "", "db.socket", "srv-data.mount basic.target", true, false },
        { "app.service", "active", "", "web.target", "", "", "db.service", true, false },
        { "web.target", "active", "", "worker.service", "", "", "app.service", true, false },
        { "worker.service", "active", "", "", "", "", "web.target", true, false },
        { "idle.service", "inactive", "", "", "", "", "", true, false },
        { "db.socket", "active", "", "", "", "", "sockets.target", true, false },
        { "local-fs.target", "active", "", "everything.service", "", "", "", true, false },
        { "everything.service", "active", "", "", "", "", "", true, false },
        { "dev-dm\\x2d0.device", "active", "", "", "", "", "", false, false },
        { "dev-mapper-data1.device", "active", "dev-dm\\x2d0.device", "", "raw.service srv-data.mount", "", "", false, false },
        { "raw.service", "active", "", "", "", "", "dev-mapper-data1.device", true, false },
        { "box.scope", "active", "", "", "", "", "", false, false },
        { "stays.service", "active", "", "other.service", "", "", "", true, true },
        { "other.service", "active", "", "", "", "", "", true, false },
        { "session-1.scope", "active", "", "other.service", "", "", "", false, false },
        { "dev-dm\\x2d1.swap", "active", "", "", "", "", "", false, false },
        { "dev-mapper-swap0.swap", "active", "dev-dm\\x2d1.swap", "", "", "", "", true, false },
};

/* ---- a systemd ---- */

static char stopped[4096];

static int on_list(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        sd_bus_message *reply;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssssssouso)");
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(fakes); i++)  {
                char *path = NULL;

                r = sd_bus_path_encode(UNITS, fakes[i].name, &path);
                if (r >= 0)
                        r = sd_bus_message_append(reply, "(ssssssouso)", fakes[i].name, "x", "loaded", fakes[i].active, "x",
                                                  fakes[i].following, path, 0, "", "/");
                free(path);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_send(reply);
        sd_bus_message_unref(reply);
        return r;
}

static int append_names(sd_bus_message *m, const char *property, const char *names) {
        _cleanup_(freep) char *copy = strdup(names);
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", property);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        for (char *p = copy, *name; r >= 0 && (name = strsep(&p, " "));)
                if (*name)
                        r = sd_bus_message_append(m, "s", name);
        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_facts(sd_bus_message *m, const struct fake *f) {
        static const uint8_t id[16] = { 0x01, 0x23, 0xff };
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_names(m, "RequiredBy", f->required_by);
        if (r >= 0)
                r = append_names(m, "BoundBy", f->bound_by);
        if (r >= 0)
                r = append_names(m, "TriggeredBy", f->triggered_by);
        if (r >= 0)
                r = append_names(m, "After", f->after);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}", "Id", "s", f->name, "UnitFileState", "s", "enabled",
                                          "FragmentPath", "s", f->has_file ? "/x" : "", "CanStart", "b", 1, "Transient", "b", 0,
                                          "RefuseManualStop", "b", f->refuses);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "InvocationID");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', id, sizeof(id));
        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int on_unit(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        sd_bus_message *reply = NULL;
        char *name = NULL;
        int r;

        if (!sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "GetAll") ||
            sd_bus_path_decode(sd_bus_message_get_path(m), UNITS, &name) <= 0)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(fakes); i++)
                if (streq(fakes[i].name, name)) {
                        r = sd_bus_message_new_method_return(m, &reply);
                        if (r >= 0)
                                r = append_facts(reply, fakes + i);
                        if (r >= 0)
                                (void) sd_bus_message_send(reply);
                        sd_bus_message_unref(reply);
                }
        free(name);
        return 1;
}

/* Jobs end at once, but for those of units that are called so. */
static int on_stop(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        static uint32_t id;
        const char *name, *mode;
        char path[64];

        assert_true(sd_bus_message_read(m, "ss", &name, &mode) > 0);
        snprintf(stopped + strlen(stopped), sizeof(stopped) - strlen(stopped), "%s/%s ", name, mode);
        if (startswith(name, "none"))
                return sd_bus_reply_method_errorf(m, "org.freedesktop.systemd1.NoSuchUnit", "Unit %s not loaded.", name);
        snprintf(path, sizeof(path), UNIT_MANAGER_PATH "/job/%u", ++id);
        (void) sd_bus_reply_method_return(m, "o", path);
        if (!startswith(name, "slow"))
                (void) sd_bus_emit_signal(sd_bus_message_get_bus(m), UNIT_MANAGER_PATH, UNIT_MANAGER_INTERFACE, "JobRemoved",
                                          "uoss", id, path, name, startswith(name, "bad") ? "failed" : "done");
        return 1;
}

static int on_log(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        return sd_bus_reply_method_return(m, "s", stopped);
}

static int on_subscribe(sd_bus_message *m, void *user _unused_, sd_bus_error *e _unused_) {
        return sd_bus_reply_method_errorf(m, "org.freedesktop.systemd1.AlreadySubscribed", "Client is already subscribed.");
}

static const sd_bus_vtable manager_table[] = {
        SD_BUS_VTABLE_START(SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListUnits", NULL, "a(ssssssouso)", on_list, 0),
        SD_BUS_METHOD("StopUnit", "ss", "o", on_stop, 0),
        SD_BUS_METHOD("Subscribe", NULL, NULL, on_subscribe, 0),
        SD_BUS_METHOD("Log", NULL, "s", on_log, 0),
        SD_BUS_SIGNAL("JobRemoved", "uoss", 0),
        SD_BUS_VTABLE_END
};

static int connect_to(const char *address, sd_bus **ret) {
        sd_bus *b = NULL;
        int r;

        r = sd_bus_new(&b);
        if (r >= 0)
                r = sd_bus_set_address(b, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(b, true);
        if (r >= 0)
                r = sd_bus_start(b);
        *ret = b;
        return r;
}

static _Noreturn void be_systemd(const char *address, int ready) {
        sd_bus *b;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (connect_to(address, &b) < 0 ||
            sd_bus_add_object_vtable(b, NULL, UNIT_MANAGER_PATH, UNIT_MANAGER_INTERFACE, manager_table, NULL) < 0 ||
            sd_bus_add_fallback(b, NULL, UNITS, on_unit, NULL) < 0 || sd_bus_request_name(b, UNIT_SERVICE_NAME, 0) < 0 ||
            write(ready, "", 1) != 1)
                _exit(1);
        for (;;)
                if (sd_bus_process(b, NULL) == 0)
                        (void) sd_bus_wait(b, UINT64_MAX);
}

/* ---- the bus ---- */

static char directory[] = "/tmp/test-unit-bus-XXXXXX";
static pid_t daemon_pid, systemd_pid;
static sd_event *event;
static sd_bus *bus;

static _Noreturn void be_daemon(const char *config, int address) {
        char file[80], print[32];

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        snprintf(file, sizeof(file), "--config-file=%s", config);
        snprintf(print, sizeof(print), "--print-address=%d", address);
        execlp("dbus-daemon", "dbus-daemon", file, "--nofork", print, NULL);
        _exit(127);
}

static int set_up(void **state _unused_) {
        char config[64], text[512], address[256] = "", byte;
        int fds[2], r;
        ssize_t n;

        if (!mkdtemp(directory))
                return -1;
        snprintf(config, sizeof(config), "%s/conf", directory);
        snprintf(text, sizeof(text), CONFIG, directory);
        if (write_file_atomic(config, text, strlen(text), 0644) < 0 || pipe(fds) < 0)
                return -1;
        daemon_pid = fork();
        if (daemon_pid == 0)
                be_daemon(config, fds[1]);
        close(fds[1]);
        n = read(fds[0], address, sizeof(address) - 1);
        close(fds[0]);
        if (n <= 0)
                return -1;
        address[strcspn(address, "\n")] = 0;
        if (pipe(fds) < 0)
                return -1;
        systemd_pid = fork();
        if (systemd_pid == 0)
                be_systemd(address, fds[1]);
        close(fds[1]);
        if (read(fds[0], &byte, 1) != 1)
                return -1;
        close(fds[0]);
        r = sd_event_new(&event);
        if (r >= 0)
                r = connect_to(address, &bus);
        return r >= 0 ? sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL) : r;
}

static int tear_down(void **state _unused_) {
        char path[128];

        sd_bus_close_unref(bus);
        sd_event_unref(event);
        kill(systemd_pid, SIGKILL);
        kill(daemon_pid, SIGKILL);
        waitpid(systemd_pid, NULL, 0);
        waitpid(daemon_pid, NULL, 0);
        snprintf(path, sizeof(path), "rm -rf %s", directory);
        return system(path);
}

/* ---- looking ---- */

struct looked {
        bool done;
        int error;
        struct unit_set *set;
};

static void on_looked(int error, struct unit_set *set, void *user) {
        *(struct looked *) user = (struct looked) { true, error, set };
}

static struct looked look(const struct use *u, size_t n, uint64_t answer) {
        const struct uses uses = { .u = (struct use *) u, .n = n };
        struct unit_look *running;
        struct looked l = {};

        assert_int_equal(unit_look_start(bus, &uses, "data1", answer, on_looked, &l, &running), 0);
        while (!l.done)
                assert_true(sd_event_run(event, 60 * SEC) > 0);
        return l;
}

static void assert_units(const struct unit_set *s, enum unit_wave wave, const char *wanted) {
        _cleanup_(freep) struct unit **order = NULL;
        char text[512] = "";
        size_t n;

        assert_int_equal(unit_set_order(s, wave, &order, &n), 0);
        for (size_t i = 0; i < n; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", order[i]->name);
        assert_string_equal(text, wanted);
}

static void test_what_hangs_together(void **state _unused_) {
        static const struct use uses[] = {
                { USE_MOUNT, 0, 0, "/srv/data", "" },
                { USE_MOUNT, 0, 77, "/elsewhere", "" },
                { USE_SWAP, 0, 0, "/dev/mapper/swap0", "" },
                { USE_PROCESS, 0, 10, "box", "/machine.slice/box.scope/payload" },
                { USE_PROCESS, 0, 11, "sh", "/user.slice/user-0.slice/session-1.scope" },
                { USE_PROCESS, 0, 12, "x", "/system.slice/stays.service" },
                { USE_PROCESS, 0, 13, "y", "/system.slice/gone.service" },
                { USE_PROCESS, 0, 14, "z", "/not/systemd's" },
        };
        struct looked l = look(uses, ELEMENTSOF(uses), 20 * SEC);

        assert_int_equal(l.error, 0);
        /* dependants before what they depend on; the unit that waits for the device; no target of the system's, nor what
         * hangs on it; nothing of a unit that is not stopped itself */
        assert_units(l.set, WAVE_USERS, "worker.service web.target raw.service db.socket box.scope app.service db.service ");
        assert_units(l.set, WAVE_MOUNTS, "srv-data.mount dev-mapper-swap0.swap dev-dm\\x2d1.swap ");
        assert_true(unit_set_find(l.set, "db.service")->can_start);
        assert_false(unit_set_find(l.set, "box.scope")->can_start);
        assert_string_equal(unit_set_find(l.set, "db.service")->invocation, "0123ff00000000000000000000000000");
        assert_string_equal(unit_set_find(l.set, "db.service")->file_state, "enabled");
        assert_non_null(unit_set_find(l.set, "stays.service")->never);
        assert_non_null(unit_set_find(l.set, "session-1.scope")->never);
        assert_null(unit_set_find(l.set, "idle.service"));
        assert_null(unit_set_find(l.set, "everything.service"));
        assert_null(unit_set_find(l.set, "other.service"));
        unit_set_done(l.set);
        free(l.set);
}

static void test_nobody(void **state _unused_) {
        struct looked l = look(NULL, 0, 20 * SEC);

        assert_int_equal(l.error, 0);
        /* nobody holds it, but one waits for the device, and the mount is bound to it */
        assert_non_null(unit_set_find(l.set, "raw.service"));
        assert_non_null(unit_set_find(l.set, "srv-data.mount"));
        assert_null(unit_set_find(l.set, "box.scope"));
        unit_set_done(l.set);
        free(l.set);
}

/* ---- jobs ---- */

struct ended {
        bool done;
        enum unit_jobs_end end;
        char good[256], bad[512];
};

static void on_ended(enum unit_jobs_end end, const struct unit_job *jobs, size_t n, void *user) {
        struct ended *x = user;

        *x = (struct ended) { .done = true, .end = end };
        unit_jobs_describe(jobs, n, true, x->good, sizeof(x->good));
        unit_jobs_describe(jobs, n, false, x->bad, sizeof(x->bad));
}

static struct ended stop(const char *const *names, size_t n, uint64_t answer, uint64_t total) {
        struct unit_jobs *running;
        struct ended x = {};

        assert_int_equal(unit_jobs_start(bus, "StopUnit", "ignore-requirements", names, n, answer, total, on_ended, &x, &running), 0);
        assert_false(x.done);
        while (!x.done)
                assert_true(sd_event_run(event, 60 * SEC) > 0);
        return x;
}

static void test_jobs_in_the_order_given(void **state _unused_) {
        static const char *const names[] = { "b.service", "a.service", "c.mount" };
        struct ended x = stop(names, ELEMENTSOF(names), 20 * SEC, 60 * SEC);
        sd_bus_message *reply = NULL;
        const char *log;

        assert_int_equal(x.end, UNIT_JOBS_OVER);
        assert_string_equal(x.good, "b.service, a.service, c.mount");
        assert_string_equal(x.bad, "");
        assert_true(sd_bus_call_method(bus, UNIT_SERVICE_NAME, UNIT_MANAGER_PATH, UNIT_MANAGER_INTERFACE, "Log", NULL, &reply, NULL) >= 0);
        assert_true(sd_bus_message_read(reply, "s", &log) > 0);
        assert_string_equal(log, "b.service/ignore-requirements a.service/ignore-requirements c.mount/ignore-requirements ");
        sd_bus_message_unref(reply);
        assert_int_equal(stop(NULL, 0, SEC, SEC).end, UNIT_JOBS_OVER);
}

static void test_jobs_that_fail_or_hang(void **state _unused_) {
        static const char *const names[] = { "a.service", "bad.mount", "none.service", "slow.service" };
        uint64_t began = now_boottime_usec();
        struct ended x = stop(names, 3, 20 * SEC, 60 * SEC);

        assert_int_equal(x.end, UNIT_JOBS_OVER);
        assert_string_equal(x.bad, "bad.mount (failed), none.service (Unit none.service not loaded.)");
        x = stop(names, 4, 20 * SEC, 2 * SEC);
        assert_int_equal(x.end, UNIT_JOBS_LATE);
        assert_string_equal(x.good, "a.service");
        assert_non_null(strstr(x.bad, "slow.service (under way)"));
        assert_true(now_boottime_usec() - began < 40 * SEC);
}

static void test_a_systemd_that_is_frozen(void **state _unused_) {
        static const char *const names[] = { "a.service", "b.service" };
        static const struct use use = { USE_MOUNT, 0, 0, "/srv/data", "" };
        struct looked l;
        struct ended x;

        assert_int_equal(kill(systemd_pid, SIGSTOP), 0);
        x = stop(names, ELEMENTSOF(names), SEC / 2, 60 * SEC);
        l = look(&use, 1, SEC / 2);
        assert_int_equal(kill(systemd_pid, SIGCONT), 0);
        assert_int_equal(x.end, UNIT_JOBS_NO_ANSWER);
        assert_string_equal(x.good, "");
        assert_true(l.error < 0);
        assert_null(l.set);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_hangs_together),
                cmocka_unit_test(test_nobody),
                cmocka_unit_test(test_jobs_in_the_order_given),
                cmocka_unit_test(test_jobs_that_fail_or_hang),
                cmocka_unit_test(test_a_systemd_that_is_frozen),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
