/* SPDX-License-Identifier: Apache-2.0 */
#include "audit-status.h"
#include "print.h"

#include "common/audit-proto.h"
#include "common/link.h"
#include "common/paths.h"

#include <inttypes.h>
#include <poll.h>
#include <syslog.h>
#include <unistd.h>

/* cmkctl guard: what the kernel refuses on this node, from the status that cmkd-audit writes each second; and the word
 * that it may go on refusing, which is a record of the trail like any other. */

#define ANSWER_MSEC 30000
#define LOOK_MSEC 200

/* The value of a NAME=VALUE line, or NULL. */
static const char *value_of(struct json_object *o, const char *name) {
        const char *text = json_text(o, name);

        return *text ? text : NULL;
}

static int read_status(struct json_object **ret) {
        _cleanup_(freep) char *text = NULL;
        int r;

        r = read_small_file(AUDIT_STATUS_FILE, 65536, &text, NULL);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s; does cmkd-audit run?", AUDIT_STATUS_FILE, strerror(-r));
        *ret = audit_status_parse(text);
        return *ret ? EXIT_CODE_DONE : fail(EXIT_CODE_FAILED, "out of memory");
}

/* Whether the kernel audits cannot be asked without the right to change it: what came of it tells. */
static void print_witness(struct json_object *o) {
        if (streq(json_text(o, "witness"), "no"))
                puts("  second witness: none, the kernel's audit cannot be listened to");
        else if (streq(json_text(o, "agreed"), "0"))
                puts("  second witness: the kernel's audit, which had nothing of dm-crypt yet (auditing may be off: audit=1)");
        else if (value_of(o, "witness"))
                printf("  second witness: the kernel's audit, %s of its records agree\n", json_text(o, "agreed"));
}

static const char *meaning(const char *state) {
        static const struct { const char *state, *text; } texts[] = {
                { "off", "nothing is refused" },
                { "audit", "what would be refused is recorded" },
                { "waiting", "it refuses once nothing was recorded that would be, for as long as ArmAfterSec= says" },
                { "armed", "it refuses, and stops by itself unless `cmkctl guard confirm` is given in time" },
                { "enforcing", "it refuses" },
                { "disarmed", "it was not confirmed: it refuses nothing until cmkd-audit is started again" },
                { "impossible", "it cannot refuse on this node" },
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (streq(texts[i].state, state))
                        return texts[i].text;
        return "";
}

static void print_time(struct json_object *o, const char *name, const char *title) {
        uint64_t seconds;
        char text[32];

        if (!value_of(o, name) || parse_u64(value_of(o, name), UINT64_MAX, &seconds) < 0)
                return;
        format_span(seconds, text, sizeof(text));
        printf("  %s: %s\n", title, text);
}

int verb_guard_status(const struct invocation *in) {
        _cleanup_(json_object_putp) struct json_object *o = NULL, *typed = NULL;
        const char *state;
        int code;

        code = read_status(&o);
        if (code != EXIT_CODE_DONE)
                return code;
        if (has_option(in, OPTION_JSON)) {
                typed = audit_status_typed(o);
                return typed ? print_json(typed) : fail(EXIT_CODE_FAILED, "out of memory");
        }
        state = value_of(o, "guard");
        if (!state) {
                puts("guard: nothing is recorded from the kernel");
                return EXIT_CODE_DONE;
        }
        printf("guard: %s (Mode=%s): %s\n", state, json_text(o, "guard_mode"), meaning(state));
        if (value_of(o, "guard_why"))
                printf("  because: %s\n", value_of(o, "guard_why"));
        print_time(o, "guard_clean", "nothing to refuse for");
        print_time(o, "guard_need", "needed before it arms");
        print_time(o, "guard_left", "left to confirm");
        if (value_of(o, "missing"))
                printf("  not covered: %s\n", value_of(o, "missing"));
        print_witness(o);
        return EXIT_CODE_DONE;
}

static int send_word(int fd, const char *event, struct wire_frame *f) {
        struct audit_message_record *m = calloc(1, sizeof(*m));
        struct pollfd p = { .fd = fd, .events = POLLIN };
        _cleanup_(freep) char *loginuid = NULL;
        struct wire_cursor c;
        struct audit_ack ack;
        int r;

        if (!m)
                return -ENOMEM;
        (void) read_small_file("/proc/self/loginuid", 64, &loginuid, NULL);
        audit_record_start(m, event, LOG_WARNING, true);
        audit_record_addf(m, "pid", "%d", (int) getpid());
        audit_record_addf(m, "uid", "%u", (unsigned) getuid());
        audit_record_add(m, "loginuid", loginuid);
        r = audit_record_encode(m, 1, f);
        free(m);
        if (r >= 0)
                r = link_send(fd, f, -EBADF);
        if (r < 0)
                return r;
        if (poll(&p, 1, ANSWER_MSEC) <= 0)
                return -ETIMEDOUT;
        r = link_receive(fd, f, &c, NULL);
        if (r <= 0)
                return r < 0 ? r : -EPIPE;
        r = audit_ack_decode(&c, &ack);
        return r < 0 ? r : ack.error;
}

/* Tells cmkd-audit, which keeps it as a record before it acts. */
static int tell(const char *event) {
        _cleanup_(freep) struct wire_frame *f = calloc(1, sizeof(*f));
        _cleanup_(closep) int fd = link_connect(AUDIT_SOCKET, false);
        int r = !f ? -ENOMEM : fd < 0 ? fd : send_word(fd, event, f);

        return r < 0 ? fail(EXIT_CODE_FAILED, "cmkd-audit did not keep it: %s", strerror(-r)) : EXIT_CODE_DONE;
}

static int say_done(const struct invocation *in, const char *member, const char *text) {
        if (has_option(in, OPTION_JSON))
                return print_json_done(member);
        puts(text);
        return EXIT_CODE_DONE;
}

int verb_guard_confirm(const struct invocation *in) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        int code;

        code = read_status(&o);
        if (code != EXIT_CODE_DONE)
                return code;
        if (streq(json_text(o, "guard"), "enforcing"))
                return say_done(in, "confirmed", "the guard was confirmed already");
        if (!streq(json_text(o, "guard"), "armed"))
                return fail(EXIT_CODE_POLICY, "the guard is not armed: see cmkctl guard status");
        code = tell("guard_confirm");
        return code == EXIT_CODE_DONE ? say_done(in, "confirmed", "the guard goes on refusing, also after the next start") : code;
}

/* cmkd-audit does it once the record is durable, and says so in its status. */
static bool is_released(void) {
        for (unsigned i = 0; i < ANSWER_MSEC / LOOK_MSEC; i++) {
                _cleanup_(json_object_putp) struct json_object *o = NULL;

                if (read_status(&o) == EXIT_CODE_DONE && !value_of(o, "guard"))
                        return true;
                (void) poll(NULL, 0, LOOK_MSEC);
        }
        return false;
}

int verb_guard_release(const struct invocation *in) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        int code;

        code = read_status(&o);
        if (code != EXIT_CODE_DONE)
                return code;
        if (streq(json_text(o, "guard"), "armed") || streq(json_text(o, "guard"), "enforcing"))
                return fail(EXIT_CODE_POLICY, "the guard refuses it: set Mode=off in [Guard] and restart cmkd-audit first");
        code = confirm(in, "Nothing is recorded from the kernel any more, until cmkd-audit is started again; it is recorded and "
                       "alarmed.");
        if (code == EXIT_CODE_DONE)
                code = tell("guard_release");
        if (code != EXIT_CODE_DONE)
                return code;
        if (!is_released())
                return fail(EXIT_CODE_FAILED, "cmkd-audit did not do it within %d s: see its journal", ANSWER_MSEC / 1000);
        return say_done(in, "released", "the probes are out of the kernel");
}
