/* SPDX-License-Identifier: Apache-2.0 */
#include "drill.h"
#include "print.h"

#include "audit/reader.h"
#include "common/config.h"
#include "common/policy-values.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

/* cmkctl drill: one stage after the other, and the way out from each. See drill.h. */

#define SIZE_MIB 64u
#define TRAIL_WAIT_USEC (20 * USEC_PER_SEC)
#define HOLDERS_WAIT_USEC (5 * USEC_PER_SEC)
#define LAST_WAIT_USEC (30 * USEC_PER_SEC)

struct run {
        const struct invocation *in;
        struct call call;                /* one connection: its end is the drill's */
        struct drill_disk disk;
        struct drill_holders holders;
        struct reader *reader;
        struct drill_report report;
        uint8_t marker[DRILL_MARKER_SIZE];
        char name[65], node[sizeof("/dev/mapper/") + 129];
        unsigned major, minor;
        bool begun, cut;
};

static volatile sig_atomic_t interrupted;

/* The first time everything is undone in order; the second ends us, and cmkd does it. */
static void on_signal(int signal _unused_) {
        static const char text[] = "\ncmkctl: interrupted: what the drill made is being removed\n";

        interrupted = 1;
        (void) !write(STDERR_FILENO, text, sizeof(text) - 1);
}

static void catch_signals(void) {
        static const int caught[] = { SIGINT, SIGTERM, SIGHUP };
        struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };

        for (size_t i = 0; i < ELEMENTSOF(caught); i++)
                (void) sigaction(caught[i], &a, NULL);
}

static void progress(const char *text) {
        if (isatty(STDERR_FILENO))
                fprintf(stderr, "%s ...\n", text);
}

/* ---- what is asked for ---- */

/* The one key of the configuration; with several somebody has to say which. */
static int choose_key(char *ret) {
        _cleanup_(config_freep) struct config *c = NULL;
        _cleanup_(freep) char *why = NULL;
        char list[1024] = "", uri[KEY_URI_MAX];
        size_t n = 0, found = 0;
        int r;

        r = config_load("", &c, &why);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "%s", why ? why : strerror(-r));
        for (const struct vault_config *v = c->vaults; v; v = v->next)
                for (char **k = v->keys; k && *k; k++) {
                        struct key_uri u = { .port = v->port };

                        snprintf(u.host, sizeof(u.host), "%s", v->host);
                        snprintf(u.name, sizeof(u.name), "%s", *k);
                        key_uri_format(&u, uri, sizeof(uri));
                        found++;
                        if (n < sizeof(list))
                                n += (size_t) snprintf(list + n, sizeof(list) - n, "%s%s", n > 0 ? ", " : "", uri);
                }
        if (found == 0)
                return fail(EXIT_CODE_USAGE, "the configuration allows no key: there is nothing to drill with");
        if (found > 1)
                return fail(EXIT_CODE_USAGE, "say with which key, --key URI: %s", list);
        snprintf(ret, KEY_URI_MAX, "%s", uri);
        return EXIT_CODE_DONE;
}

static int check_arguments(struct run *run) {
        const struct invocation *in = run->in;
        const char *key = in->values[OPTION_KEY], *role = in->values[OPTION_ROLE], *size = in->values[OPTION_SIZE];
        const char *why;
        struct drill_report *r = &run->report;
        struct key_uri u;

        r->role = role ? role : "data";
        r->size_mib = SIZE_MIB;
        if (role && role_from_string(role) != ROLE_DATA && role_from_string(role) != ROLE_SCRATCH)
                return fail(EXIT_CODE_USAGE, "%s is no role for a drill; there are data and scratch", role);
        if (size && (parse_u64(size, DRILL_SIZE_MAX_MIB, &r->size_mib) < 0 || r->size_mib < DRILL_SIZE_MIN_MIB))
                return fail(EXIT_CODE_USAGE, "--size takes MiB, %u to %u", DRILL_SIZE_MIN_MIB, DRILL_SIZE_MAX_MIB);
        if (in->n_keys > 1)
                return fail(EXIT_CODE_USAGE, "--key may be there once: a drill is one volume's, and its own");
        if (!key)
                return choose_key(r->key);
        if (key_uri_parse(key, &u, &why) < 0)
                return fail(EXIT_CODE_USAGE, "%s is no key: %s", key, why);
        key_uri_format(&u, r->key, sizeof(r->key));
        return EXIT_CODE_DONE;
}

/* ---- the stages ---- */

static int open_trail(struct run *run) {
        if (geteuid() != 0)
                return fail(EXIT_CODE_FAILED, "only root may drill");
        return drill_trail_open(&run->reader);
}

static int make_disk(struct run *run) {
        int code = drill_disk_make(run->report.size_mib << 20, &run->disk);

        snprintf(run->report.device, sizeof(run->report.device), "%s", run->disk.device);
        return code;
}

static int begin(struct run *run) {
        const char *id, *name;
        int code, r;

        code = call_begin(&run->call, BUS_MANAGER, "DrillBegin");
        if (code == EXIT_CODE_DONE)
                code = call_send(&run->call, sd_bus_message_append(run->call.request, "hh", run->disk.loop,
                                                                   run->disk.file));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(run->call.reply, "ss", &id, &name);
        if (r < 0)
                return call_misunderstood(r);
        snprintf(run->report.id, sizeof(run->report.id), "%s", id);
        snprintf(run->name, sizeof(run->name), "%s", name);
        run->begun = true;
        return EXIT_CODE_DONE;
}

static int format(struct run *run) {
        struct call *c = &run->call;
        const char *uuid;
        int code, r, changed;

        progress("formatting");
        code = call_next(c, BUS_MANAGER, "Format");
        if (code == EXIT_CODE_DONE)
                code = call_send(c, sd_bus_message_append(c->request, "ssssa{sv}", run->disk.device, run->name,
                                                          run->report.role, run->report.key, 0));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c->reply, "sb", &uuid, &changed);
        if (r < 0 || !uuid_is_valid(uuid))
                return call_misunderstood(r < 0 ? r : -EBADMSG);
        snprintf(run->report.uuid, sizeof(run->report.uuid), "%s", uuid);
        return EXIT_CODE_DONE;
}

static int attach(struct run *run) {
        struct call *c = &run->call;
        const char *name, *node;
        int code, r, changed;
        struct stat st;

        progress("opening it by the vault");
        code = call_next(c, BUS_MANAGER, "Attach");
        if (code == EXIT_CODE_DONE)
                code = call_send(c, sd_bus_message_append(c->request, "sa{sv}", run->disk.device, 0));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c->reply, "ssb", &name, &node, &changed);
        if (r < 0)
                return call_misunderstood(r);
        if (!streq(name, run->name) || stat(node, &st) < 0 || !S_ISBLK(st.st_mode))
                return fail(EXIT_CODE_FAILED, "%s was not opened as %s", run->disk.device, run->name);
        snprintf(run->node, sizeof(run->node), "%s", node);
        run->major = major(st.st_rdev);
        run->minor = minor(st.st_rdev);
        return EXIT_CODE_DONE;
}

static int read_policy(struct run *run) {
        _cleanup_(json_object_putp) struct json_object *objects = NULL;
        struct json_object *volume, *policy;
        struct call *c = &run->call;
        int code, r;

        code = call_next(c, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
        if (code == EXIT_CODE_DONE)
                code = call_send(c, 0);
        if (code != EXIT_CODE_DONE)
                return code;
        r = bus_message_to_json(c->reply, &objects);
        if (r < 0)
                return call_misunderstood(r);
        json_object_object_foreach(objects, path, interfaces) {
                (void) path;
                if (json_object_object_get_ex(interfaces, BUS_VOLUME, &volume) &&
                    streq(json_text(volume, "uuid"), run->report.uuid) &&
                    json_object_object_get_ex(volume, "policy", &policy)) {
                        r = drill_policy_parse(policy, &run->report.policy);
                        return r < 0 ? call_misunderstood(r) : EXIT_CODE_DONE;
                }
        }
        return fail(EXIT_CODE_FAILED, "cmkd has no volume %s any more", run->name);
}

static int hold(struct run *run) {
        progress("making a file system, starting processes that use it");
        random_bytes(run->marker, sizeof(run->marker));
        return drill_holders_start(run->node, run->marker, &run->holders);
}

/* Of the manager's steps the trail tells. That something is left is not the end of the drill but its result. */
static int cut(struct run *run) {
        struct call *c = &run->call;
        int code;

        progress("cutting it");
        code = call_next(c, BUS_MANAGER, "Cut");
        if (code == EXIT_CODE_DONE)
                code = call_send(c, sd_bus_message_append(c->request, "sa{sv}", run->name, 0));
        run->cut = code == EXIT_CODE_DONE || code == EXIT_CODE_BUSY;
        return run->cut ? EXIT_CODE_DONE : code;
}

static void look_at_node(struct run *run) {
        struct drill_report *r = &run->report;
        unsigned mounts = drill_count_mounts(run->major, run->minor), keys = drill_count_keys(r->uuid);
        bool mapped = drill_has_mapping(run->name, r->uuid);
        uint64_t size = 0;
        int found = drill_disk_search(&run->disk, run->marker, &size);

        drill_claim(r, CLAIM_UNMOUNTED, mounts == 0, "in %u", mounts);
        drill_claim(r, CLAIM_REMOVED,
                    !mapped && r->times.removed && r->times.removed_usec <= DRILL_MARGIN_USEC + DRILL_GONE_USEC,
                    mapped ? "there is one" : r->times.removed ? "%llu ms after the decision" : "the trail does not say so",
                    (unsigned long long) (r->times.removed_usec / USEC_PER_MSEC));
        /* Not every keyring is this process's to see: the step looked at them as well. */
        drill_claim(r, CLAIM_KEYRING, keys == 0 && drill_step_is_done(&r->times, "verify"), "%u%s", keys,
                    drill_step_is_done(&r->times, "verify") ? ", by the last step too" : "; the last step was not done");
        if (found < 0)
                drill_claim(r, CLAIM_CIPHERTEXT, false, "its file cannot be read: %s", strerror(-found));
        else
                drill_claim(r, CLAIM_CIPHERTEXT, found == 0 && size > 0, found > 0 ? "it is" : "%llu KiB were searched",
                            (unsigned long long) (size >> 10));
}

static int look(struct run *run) {
        struct drill_report *r = &run->report;
        int e;

        progress("looking at what is left");
        (void) drill_holders_wait(&run->holders, HOLDERS_WAIT_USEC);
        memcpy(r->uses, run->holders.page->uses, sizeof(r->uses));
        e = drill_trail_read(run->reader, r->id, r->uuid, TRAIL_WAIT_USEC, &r->times);
        if (e < 0 && e != -ETIMEDOUT)
                fail(EXIT_CODE_FAILED, "the trail cannot be read: %s", strerror(-e));
        drill_judge(r);
        look_at_node(run);
        return EXIT_CODE_DONE;
}

static const struct { int (*run)(struct run *run); } stages[] = {
        { check_arguments }, { open_trail }, { make_disk }, { begin }, { format }, { attach }, { read_policy }, { hold },
        { cut }, { look },
};

/* ---- the end ---- */

static int append_result(const struct run *run, const char *why) {
        const struct drill_report *r = &run->report;
        const struct { const char *name; uint64_t usec; } measures[] = {
                { "unwrap_usec", r->times.unwrap_usec }, { "challenge_usec", r->times.challenge_usec },
                { "cut_usec", r->times.cut_usec }, { "key_freed_usec", r->times.key_usec },
                { "removed_usec", r->times.removed_usec },
                { "bound_cooperative_usec", drill_bound_cooperative(&r->policy, &r->times) },
                { "bound_blocked_usec", drill_bound_blocked(&r->policy) },
        };
        sd_bus_message *m = run->call.request;
        int e;

        e = sd_bus_message_append(m, "sbs", r->id, drill_holds(r, CLAIM_CLEAN), why);
        if (e >= 0)
                e = sd_bus_message_open_container(m, 'a', "{st}");
        for (size_t i = 0; e >= 0 && i < ELEMENTSOF(measures); i++)
                if (measures[i].usec > 0 && measures[i].usec != USEC_INFINITY)
                        e = sd_bus_message_append(m, "{st}", measures[i].name, measures[i].usec);
        return e < 0 ? e : sd_bus_message_close_container(m);
}

static int end(struct run *run, int code) {
        char why[256] = "";

        drill_failed_claims(&run->report, why, sizeof(why));
        if (interrupted)
                snprintf(why, sizeof(why), "it was interrupted");
        else if (code != EXIT_CODE_DONE)
                snprintf(why, sizeof(why), "it came to no end (exit code %d)", code);
        code = call_next(&run->call, BUS_MANAGER, "DrillEnd");
        return code == EXIT_CODE_DONE ? call_send(&run->call, append_result(run, why)) : code;
}

/* Where cmkd went away under us the next one removes what is left, as soon as it is there. */
static bool wait_until_clean(struct run *run) {
        uint64_t until = now_boottime_usec() + LAST_WAIT_USEC;

        while (drill_has_mapping(run->name, run->report.uuid) && now_boottime_usec() < until)
                (void) nanosleep(&(struct timespec) { .tv_nsec = 50 * 1000 * 1000 }, NULL);
        return drill_disk_is_gone(&run->disk) && !drill_has_mapping(run->name, run->report.uuid);
}

/* Everything is undone, whatever had been done. */
static void clean(struct run *run, int code) {
        bool gone;
        int r;

        drill_holders_stop(&run->holders);
        drill_disk_release(&run->disk);
        r = run->begun ? end(run, code) : EXIT_CODE_DONE;
        call_release(&run->call);
        gone = wait_until_clean(run);
        drill_claim(&run->report, CLAIM_CLEAN, gone && r == EXIT_CODE_DONE && access("/run/cmkd/drill", F_OK) < 0, "%s",
                    gone ? r == EXIT_CODE_DONE ? "no mapping, loop device, file or entry of the list" : "cmkd is still at it"
                         : "a mapping or a loop device is left");
        drill_disk_done(&run->disk);
        run->reader = reader_free(run->reader);
}

int verb_drill(const struct invocation *in) {
        struct run run = { .in = in, .disk = DRILL_DISK_NONE };
        int code = EXIT_CODE_DONE, printed;

        run.holders.ready = -EBADF;
        catch_signals();
        for (size_t i = 0; i < ELEMENTSOF(stages) && code == EXIT_CODE_DONE; i++)
                code = interrupted ? EXIT_CODE_FAILED : stages[i].run(&run);
        clean(&run, code);
        if (!run.begun)
                return code;
        if (has_option(in, OPTION_JSON))
                printed = drill_print_json(&run.report);
        else
                printed = run.cut ? drill_print(&run.report) : EXIT_CODE_DONE;
        if (code == EXIT_CODE_DONE && !drill_holds(&run.report, _DRILL_CLAIM_MAX))
                code = EXIT_CODE_FAILED;
        return code == EXIT_CODE_DONE ? printed : code;
}
