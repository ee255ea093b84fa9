/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "calls.h"
#include "names.h"
#include "wait.h"
#include "trust-list.h"
#include "udev.h"

/* cmkctl attach, detach, hold, resume: one volume or several. */

#define VOLUMES_MAX 4096u

static const struct volume_call
        attach_call = { .member = "Attach", .flag = "read-only", .says_node = true, .done = "open", .check = check_what },
        udev_call = { .run = attach_udev },
        detach_call = { .member = "Detach", .flag = "", .done = "closed", .check = check_name },
        hold_call = { .member = "Hold", .done = "held", .json_state = "held", .check = check_name },
        resume_call = { .member = "Resume", .done = "open", .json_state = "open", .check = check_name };

struct names {
        char *names[VOLUMES_MAX];
        size_t n;
};

static void names_done(struct names *l) {
        for (size_t i = 0; i < l->n; i++)
                free(l->names[i]);
}

/* --all: what is on the node's list. Open ones are no trouble: attach is idempotent. */
static int list_names(struct names *l) {
        _cleanup_(call_release) struct call c = {};
        struct trust_listed listed;
        int code, r = 0;

        code = trust_list_begin(&c);
        if (code != EXIT_CODE_DONE)
                return code;
        while (l->n < VOLUMES_MAX && (r = trust_list_next(&c, &listed)) > 0) {
                l->names[l->n] = strdup(listed.name);
                if (!l->names[l->n])
                        return fail(EXIT_CODE_FAILED, "out of memory");
                l->n++;
        }
        return r < 0 ? call_misunderstood(r) : EXIT_CODE_DONE;
}

static unsigned flags_of(const struct invocation *in) {
        return (has_option(in, OPTION_READ_ONLY) ? CALLS_OPTION : 0) | (has_option(in, OPTION_JSON) ? CALLS_JSON : 0);
}

static int attach_all(const struct invocation *in, uint64_t seconds) {
        _cleanup_(names_done) struct names l = {};
        int code = list_names(&l);

        if (code == EXIT_CODE_DONE && l.n == 0 && !has_option(in, OPTION_JSON))
                puts("there is no volume on this node's list");
        return code != EXIT_CODE_DONE ? code : calls_run(&attach_call, l.names, l.n, flags_of(in) | CALLS_LIST, seconds);
}

int verb_attach(const struct invocation *in) {
        bool all = has_option(in, OPTION_ALL), udev = has_option(in, OPTION_UDEV);
        uint64_t seconds;
        int code;

        if (all && in->n_args > 0)
                return fail(EXIT_CODE_USAGE, "--all and %s exclude each other", in->args[0]);
        if (!all && in->n_args == 0)
                return fail(EXIT_CODE_USAGE, "say which volumes, or --all");
        if (udev && in->n_args != 1)
                return fail(EXIT_CODE_USAGE, "--udev takes one instance");
        code = wait_read(in, &seconds);
        if (code != EXIT_CODE_DONE)
                return code;
        if (all)
                return attach_all(in, seconds);
        return calls_run(udev ? &udev_call : &attach_call, in->args, in->n_args, flags_of(in), seconds);
}

static int run(const struct volume_call *call, const struct invocation *in) {
        return calls_run(call, in->args, in->n_args, flags_of(in), 0);
}

int verb_detach(const struct invocation *in) {
        return run(&detach_call, in);
}

int verb_hold(const struct invocation *in) {
        return run(&hold_call, in);
}

int verb_resume(const struct invocation *in) {
        return run(&resume_call, in);
}
