/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "patience.h"
#include "print.h"
#include "udev.h"

#include "common/key-uri.h"
#include "common/policy-values.h"

#include <sys/stat.h>
#include <time.h>

/* cmkctl format, attach, detach, hold, resume: one call each. What can be judged here is judged before the daemon
 * is asked, so that a typing error never reaches a disk. */

#define REASON_MAX 256          /* it goes into one field of the trail */

int check_name(const char *name) {
        if (volume_name_is_valid(name))
                return EXIT_CODE_DONE;
        return fail(EXIT_CODE_USAGE, "%s is no name of a volume: 1 to 64 of A-Z a-z 0-9 _ . -, neither . nor - first",
                    *name ? name : "an empty text");
}

static int check_device(const char *path) {
        struct stat st;

        if (!startswith(path, "/dev/") || strlen(path) > 256)
                return fail(EXIT_CODE_USAGE, "%s is no device: give a path below /dev", path);
        if (stat(path, &st) < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(errno));
        if (!S_ISBLK(st.st_mode))
                return fail(EXIT_CODE_FAILED, "%s is not a block device", path);
        return EXIT_CODE_DONE;
}

/* A device, a UUID or a name: what attach takes. */
static int check_what(const char *what) {
        if (startswith(what, "/"))
                return check_device(what);
        return uuid_is_valid(what) ? EXIT_CODE_DONE : check_name(what);
}

/* buf: of KEY_URI_MAX bytes, for a URI made of --vault, --key-name, --key-version. */
static int find_key(const struct invocation *in, char *buf) {
        const char *key = in->values[OPTION_KEY], *host = in->values[OPTION_VAULT], *why = NULL;
        const char *name = in->values[OPTION_KEY_NAME], *version = in->values[OPTION_KEY_VERSION];
        struct key_uri u;
        int n;

        if (!!key == (host || name || version))
                return fail(EXIT_CODE_USAGE, "say which key: --key URI, or --vault HOST and --key-name NAME");
        if (!key && (!host || !name))
                return fail(EXIT_CODE_USAGE, "--vault and --key-name belong together");
        if (!key && (strchr(host, '/') || strchr(name, '/')))
                return fail(EXIT_CODE_USAGE, "--vault takes a host, --key-name a name: no slashes");
        if (key)
                n = snprintf(buf, KEY_URI_MAX, "%s", key);
        else
                n = snprintf(buf, KEY_URI_MAX, "https://%s/keys/%s%s%s", host, name, version ? "/" : "",
                             strempty(version));
        if (n >= (int) KEY_URI_MAX)
                return fail(EXIT_CODE_USAGE, "the key's identifier is too long");
        if (key_uri_parse(buf, &u, &why) < 0)
                return fail(EXIT_CODE_USAGE, "%s is no key: %s", buf, why);
        return EXIT_CODE_DONE;
}

/* The results of format, attach, detach, hold and resume, as an object. */
static int print_result(const char *volume, const char *member, const char *value, bool changed) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();

        if (!o || json_object_object_add(o, "volume", json_object_new_string(volume)) < 0 ||
            (member && json_object_object_add(o, member, json_object_new_string(value)) < 0) ||
            json_object_object_add(o, "changed", json_object_new_boolean(changed)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        return print_json(o);
}

static int append_flag(sd_bus_message *m, const char *name, bool on) {
        return on ? sd_bus_message_append(m, "{sv}", name, "b", 1) : 0;
}

static int append_format(sd_bus_message *m, const struct invocation *in, const char *role, const char *key) {
        const char *reason = in->values[OPTION_ACCEPT_UNSAFE_VAULT];
        int r;

        r = sd_bus_message_append(m, "ssss", in->args[0], in->values[OPTION_NAME], role, key);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_flag(m, "wipe", has_option(in, OPTION_WIPE));
        if (r >= 0 && reason)
                r = sd_bus_message_append(m, "{sv}", "accept-unsafe-vault", "s", reason);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int check_format(const struct invocation *in, char *key) {
        const char *role = in->values[OPTION_ROLE];
        int code;

        if (!has_option(in, OPTION_NAME))
                return fail(EXIT_CODE_USAGE, "say how the volume is called: --name NAME");
        if (strlen(strempty(in->values[OPTION_ACCEPT_UNSAFE_VAULT])) > REASON_MAX)
                return fail(EXIT_CODE_USAGE, "the reason after --accept-unsafe-vault is longer than %d", REASON_MAX);
        code = check_name(in->values[OPTION_NAME]);
        if (code == EXIT_CODE_DONE && role && role_from_string(role) < 0)
                code = fail(EXIT_CODE_USAGE, "%s is no role; there are data, os and scratch", role);
        if (code == EXIT_CODE_DONE)
                code = find_key(in, key);
        return code == EXIT_CODE_DONE ? check_device(in->args[0]) : code;
}

int verb_format(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        const char *uuid, *role = in->values[OPTION_ROLE] ? in->values[OPTION_ROLE] : "data";
        char key[KEY_URI_MAX], question[512];
        int code, r, changed;

        code = check_format(in, key);
        if (code != EXIT_CODE_DONE)
                return code;
        snprintf(question, sizeof(question), "%s becomes the volume %s; what is on it now cannot be read afterwards.",
                 in->args[0], in->values[OPTION_NAME]);
        code = confirm(in, question);
        if (code == EXIT_CODE_DONE)
                code = call_begin(&c, BUS_MANAGER, "Format");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, append_format(c.request, in, role, key));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "sb", &uuid, &changed);
        if (r < 0)
                return call_misunderstood(r);
        if (changed)
                wait_for_volume(uuid);
        if (has_option(in, OPTION_JSON))
                return print_result(in->values[OPTION_NAME], "uuid", uuid, changed);
        if (changed)
                printf("%s is the volume %s now, UUID %s\n", in->args[0], in->values[OPTION_NAME], uuid);
        else
                printf("%s is the volume %s already, UUID %s; nothing was changed\n",
                       in->args[0], in->values[OPTION_NAME], uuid);
        return EXIT_CODE_DONE;
}

/* A call whose arguments are one text and options of which one flag may be set. */
static int call_simple(struct call *c, const char *member, const char *argument, const char *flag, bool on) {
        int code, r;

        code = call_begin(c, BUS_MANAGER, member);
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_append(c->request, "s", argument);
        if (r >= 0 && flag) {
                r = sd_bus_message_open_container(c->request, 'a', "{sv}");
                if (r >= 0)
                        r = append_flag(c->request, flag, on);
                if (r >= 0)
                        r = sd_bus_message_close_container(c->request);
        }
        return call_send(c, r);
}

static int attach_once(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        const char *name, *node;
        int code, r, changed;

        if (has_option(in, OPTION_UDEV))
                return attach_udev(in->args[0]);
        code = check_what(in->args[0]);
        if (code == EXIT_CODE_DONE)
                code = call_simple(&c, "Attach", in->args[0], "read-only", has_option(in, OPTION_READ_ONLY));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "ssb", &name, &node, &changed);
        if (r < 0)
                return call_misunderstood(r);
        if (has_option(in, OPTION_JSON))
                return print_result(name, "node", node, changed);
        printf("%s is open%s as %s\n", name, changed ? "" : " already", node);
        return EXIT_CODE_DONE;
}

/* --wait: every try that failed has said why; this says what comes next. */
static int attach_patiently(const struct invocation *in, uint64_t seconds) {
        struct patience p = { .end_usec = now_boottime_usec() + seconds * USEC_PER_SEC };

        for (;;) {
                int code = attach_once(in);
                uint64_t now = now_boottime_usec(), next;
                uint32_t random;

                if (code == EXIT_CODE_DONE)
                        return code;
                random_bytes(&random, sizeof(random));
                next = patience_next(&p, (enum exit_code) code, now, random);
                if (next == USEC_INFINITY)
                        return fail((enum exit_code) code, "%s: not tried again%s", in->args[0],
                                    code == EXIT_CODE_REVOKED ? ": a key that the vault refuses is not asked about for ever"
                                                              : "");
                fprintf(stderr, "cmkctl: %s: next try in %llu s, for %llu s more\n", in->args[0],
                        (unsigned long long) ((next - now + USEC_PER_SEC / 2) / USEC_PER_SEC),
                        (unsigned long long) ((p.end_usec - now) / USEC_PER_SEC));
                (void) clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &(struct timespec) {
                        .tv_sec = (time_t) (next / USEC_PER_SEC),
                        .tv_nsec = (long) (next % USEC_PER_SEC * NSEC_PER_USEC) }, NULL);
        }
}

int verb_attach(const struct invocation *in) {
        uint64_t seconds;

        if (!has_option(in, OPTION_WAIT))
                return attach_once(in);
        if (parse_u64(in->values[OPTION_WAIT], PATIENCE_WAIT_MAX_SEC, &seconds) < 0)
                return fail(EXIT_CODE_USAGE, "--wait takes seconds, %u at most", PATIENCE_WAIT_MAX_SEC);
        return attach_patiently(in, seconds);
}

int verb_detach(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        int code, r, changed;

        code = check_name(in->args[0]);
        if (code == EXIT_CODE_DONE)
                code = call_simple(&c, "Detach", in->args[0], "", false);
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "b", &changed);
        if (r < 0)
                return call_misunderstood(r);
        if (has_option(in, OPTION_JSON))
                return print_result(in->args[0], NULL, NULL, changed);
        printf("%s is closed%s\n", in->args[0], changed ? "" : " already");
        return EXIT_CODE_DONE;
}

static int hold_or_resume(const struct invocation *in, const char *member, const char *done) {
        _cleanup_(call_release) struct call c = {};
        int code, r, changed;

        code = check_name(in->args[0]);
        if (code == EXIT_CODE_DONE)
                code = call_simple(&c, member, in->args[0], NULL, false);
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "b", &changed);
        if (r < 0)
                return call_misunderstood(r);
        if (has_option(in, OPTION_JSON))
                return print_result(in->args[0], "state", done, changed);
        printf("%s is %s%s\n", in->args[0], done, changed ? "" : " already");
        return EXIT_CODE_DONE;
}

int verb_hold(const struct invocation *in) {
        return hold_or_resume(in, "Hold", "held");
}

int verb_resume(const struct invocation *in) {
        return hold_or_resume(in, "Resume", "open");
}
