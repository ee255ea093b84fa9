/* SPDX-License-Identifier: Apache-2.0 */
#include "boot-chain.h"
#include "node-state.h"
#include "print.h"
#include "scratch.h"
#include "status-uses.h"
#include "status-watch.h"
#include "trail-state.h"
#include "trust-list.h"
#include "when.h"

/* cmkctl status: properties of the manager and of its volumes, as the daemon gives them. With names: those volumes, at
 * length. */

static bool is_wanted(const struct invocation *in, struct json_object *v) {
        for (size_t i = 0; i < in->n_args; i++)
                if (streq(in->args[i], json_text(v, "name")) || streq(in->args[i], json_text(v, "uuid")))
                        return true;
        return in->n_args == 0;
}

static bool is_in(const char *what, struct json_object *list) {
        for (size_t k = 0; k < json_object_array_length(list); k++) {
                struct json_object *v = json_object_array_get_idx(list, k);

                if (streq(what, json_text(v, "name")) || streq(what, json_text(v, "uuid")))
                        return true;
        }
        return false;
}

static void keep_wanted(const struct invocation *in, struct json_object *list) {
        for (size_t k = json_object_array_length(list); k-- > 0;)
                if (!is_wanted(in, json_object_array_get_idx(list, k)))
                        json_object_array_del_idx(list, k, 1);
}

/* Takes out what was not asked for. FAILED if a name is nobody's. */
static int select_volumes(const struct invocation *in, struct call *c, struct json_object *volumes, struct json_object *scratch) {
        for (size_t i = 0; i < in->n_args; i++)
                if (!is_in(in->args[i], volumes) && !is_in(in->args[i], scratch))
                        return fail(EXIT_CODE_FAILED, trust_list_has(c, in->args[i])
                                    ? "%s is on this node's list, and closed: what is known of it is seen when it is open (cmkctl attach)"
                                    : "cmkd has no volume %s", in->args[i]);
        keep_wanted(in, volumes);
        keep_wanted(in, scratch);
        return EXIT_CODE_DONE;
}

/* The state's words come from the daemon; what is not in order in them is for people to see at once. */
static void print_manager(struct json_object *m) {
        struct json_object *v;
        char trail[512], guard[512], events[512];

        printf("cmkd ");
        print_clean(stdout, json_text(m, "version"));
        printf(": audit ");
        print_clean(stdout, json_text(m, "audit_state"));
        printf(", vault worker ");
        print_clean(stdout, json_text(m, "worker_state"));
        printf(", breaker ");
        print_clean(stdout, json_text(m, "breaker_state"));
        printf(", secrets in ");
        print_clean(stdout, json_text(m, "secret_memory"));
        putchar('\n');
        printf("boot: %s\n", boot_chain_text(boot_chain_secure(""), boot_chain_unified("")));
        trail_state_text("", trail, sizeof(trail));
        printf("trail: ");
        print_clean(stdout, trail);
        putchar('\n');
        events_state_text("", events, sizeof(events));
        printf("kernel's events: ");
        print_clean(stdout, events);
        putchar('\n');
        guard_state_text("", guard, sizeof(guard));
        printf("guard: ");
        print_clean(stdout, guard);
        putchar('\n');
        for (size_t i = 0; json_object_object_get_ex(m, "trust_problems", &v) && i < json_object_array_length(v); i++) {
                printf("not trusted: ");
                print_clean(stdout, json_object_get_string(json_object_array_get_idx(v, i)));
                putchar('\n');
        }
        if (json_object_object_get_ex(m, "init_on_free", &v))
                puts(json_object_get_boolean(v) ? "memory: what is freed is zeroed (init_on_free=1)"
                     : "note: the kernel runs without init_on_free=1: plaintext stays in free memory after a cut");
}

static void add_span(struct table *t, struct json_object *v, const char *member) {
        char text[64];

        format_span(json_number(v, member), text, sizeof(text));
        table_add(t, text);
}

/* "attached, 37 % encrypted" */
static void describe_encryption(struct json_object *v, char *buf, size_t size) {
        uint64_t all = json_number(v, "encryption_size"), done = json_number(v, "encryption_done");

        *buf = 0;
        if (*json_text(v, "encryption") && all > 0 && all != UINT64_MAX)
                snprintf(buf, size, ", %llu %% %s", (unsigned long long) (done * 100 / all),
                         streq(json_text(v, "encryption_kind"), "reencrypt") ? "encrypted anew" : "encrypted");
}

/* "attached", or with the end of its pause, or of its notice: that is for everybody to see. */
static void add_state(struct table *t, struct json_object *v) {
        uint64_t until = json_number(v, "paused_until_usec"), due = json_number(v, "action_at_usec");
        char text[32], encrypted[40];

        describe_encryption(v, encrypted, sizeof(encrypted));
        if (due != UINT64_MAX) {
                format_local_time(due, text, sizeof(text));
                table_addf(t, "%s, %s at %s", json_text(v, "state"), json_text(v, "action"), text);
                return;
        }
        if (until == UINT64_MAX) {
                table_addf(t, "%s%s", json_text(v, "state"), encrypted);
                return;
        }
        format_local_time(until, text, sizeof(text));
        table_addf(t, "%s, paused until %s", json_text(v, "state"), text);
}

static void add_key(struct table *t, struct json_object *v) {
        struct json_object *wraps;

        if (json_object_object_get_ex(v, "wraps", &wraps) && json_object_is_type(wraps, json_type_array) &&
            json_object_array_length(wraps) > 1)
                table_addf(t, "%s (of %zu)", json_text(v, "key"), json_object_array_length(wraps));
        else
                table_add(t, json_text(v, "key"));
}

static int print_list(struct json_object *volumes) {
        static const char *const header[] = {
                "NAME", "STATE", "ROLE", "VERDICT", "PROOF", "LEASE", "GRACE", "DEVICE", "USED BY", "KEY",
        };
        struct table t;
        char uses[512];

        table_start(&t, header, ELEMENTSOF(header));
        for (size_t i = 0; i < json_object_array_length(volumes); i++) {
                struct json_object *v = json_object_array_get_idx(volumes, i);

                table_add(&t, json_text(v, "name"));
                add_state(&t, v);
                table_add(&t, json_text(v, "role"));
                table_add(&t, json_text(v, "last_verdict"));
                add_span(&t, v, "seconds_since_proof");
                add_span(&t, v, "lease_left_sec");
                add_span(&t, v, "grace_left_sec");
                table_add(&t, json_text(v, "device"));
                status_uses_text(v, uses, sizeof(uses));
                table_add(&t, uses);
                add_key(&t, v);
        }
        return table_print(&t);
}

/* What is not in order, below the table: a line each. */
static void print_all_findings(struct json_object *volumes) {
        for (size_t i = 0; i < json_object_array_length(volumes); i++) {
                struct json_object *v = json_object_array_get_idx(volumes, i), *list;

                for (size_t k = 0; json_object_object_get_ex(v, "findings", &list) && k < json_object_array_length(list); k++) {
                        printf("%s: ", json_text(v, "name"));
                        print_clean(stdout, strempty(json_object_get_string(json_object_array_get_idx(list, k))));
                        putchar('\n');
                }
        }
}

static void print_text(const char *label, const char *text) {
        if (!*text)
                return;
        printf("  %-12s ", label);
        print_clean(stdout, text);
        putchar('\n');
}

static void print_span(const char *label, struct json_object *v, const char *member, const char *after) {
        char text[64];

        if (json_number(v, member) == UINT64_MAX)
                return;
        format_span(json_number(v, member), text, sizeof(text));
        printf("  %-12s %s%s\n", label, text, after);
}

static void print_encryption(struct json_object *v) {
        char line[160];

        if (!*json_text(v, "encryption") || json_number(v, "encryption_size") == UINT64_MAX)
                return;
        snprintf(line, sizeof(line), "%s: %llu of %llu MiB, %llu MiB/s", json_text(v, "encryption"),
                 (unsigned long long) (json_number(v, "encryption_done") >> 20), (unsigned long long) (json_number(v, "encryption_size") >> 20),
                 (unsigned long long) (json_number(v, "encryption_rate") >> 20));
        print_text("encryption", line);
}

static void print_policy(struct json_object *v) {
        struct json_object *policy;

        if (!json_object_object_get_ex(v, "policy", &policy) || !json_object_is_type(policy, json_type_object))
                return;
        json_object_object_foreach(policy, key, value) {
                printf("  %-12s ", "policy");
                print_clean(stdout, key);
                putchar('=');
                print_clean(stdout, strempty(json_object_get_string(value)));
                putchar('\n');
        }
}

static void print_findings(struct json_object *v) {
        struct json_object *list;

        if (!json_object_object_get_ex(v, "findings", &list) || !json_object_is_type(list, json_type_array))
                return;
        for (size_t i = 0; i < json_object_array_length(list); i++)
                print_text("finding", strempty(json_object_get_string(json_object_array_get_idx(list, i))));
}

static void print_uses(struct json_object *v) {
        struct json_object *list;

        for (size_t i = 0; json_object_object_get_ex(v, "used_by", &list) && i < json_object_array_length(list); i++)
                print_text("used by", json_object_get_string(json_object_array_get_idx(list, i)));
}

static void print_hold(const char *possible) {
        char text[512];

        snprintf(text, sizeof(text), streq(possible, "yes") ? "possible" : "not possible (%s)", possible);
        if (*possible)
                print_text("hold", text);
}

static void print_pause(struct json_object *v) {
        uint64_t until = json_number(v, "paused_until_usec");
        char text[32], line[96];

        if (until == UINT64_MAX)
                return;
        format_local_time(until, text, sizeof(text));
        snprintf(line, sizeof(line), "until %s: nothing is done for what the vault says", text);
        print_text("paused", line);
}

static void print_notice(struct json_object *v) {
        uint64_t due = json_number(v, "action_at_usec");
        char text[32], line[128];

        if (due == UINT64_MAX)
                return;
        format_local_time(due, text, sizeof(text));
        snprintf(line, sizeof(line), "%s at %s, or when nobody uses it any more", json_text(v, "action"), text);
        print_text("announced", line);
}

/* Of a key whose wrapped key the vault keeps. */
static void print_secrets(struct json_object *v) {
        struct json_object *list;

        if (!json_object_object_get_ex(v, "wraps", &list) || !json_object_is_type(list, json_type_array))
                return;
        for (size_t i = 0; i < json_object_array_length(list); i++)
                print_text("secret", json_text(json_object_array_get_idx(list, i), "secret"));
}

/* Of a volume with several keys each, with what its owner last said. */
static void print_wraps(struct json_object *v) {
        struct json_object *list;

        if (!json_object_object_get_ex(v, "wraps", &list) || !json_object_is_type(list, json_type_array) ||
            json_object_array_length(list) < 2)
                return;
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct json_object *w = json_object_array_get_idx(list, i);
                char proof[64] = "never", left[64], line[1024];

                if (json_number(w, "seconds_since_proof") != UINT64_MAX)
                        format_span(json_number(w, "seconds_since_proof"), proof, sizeof(proof));
                format_span(json_number(w, "grace_left_sec"), left, sizeof(left));
                snprintf(line, sizeof(line), "%zu: %s", i + 1, json_text(w, "key"));
                print_text("key", line);
                snprintf(line, sizeof(line), "%s, %s%s%s, proof %s%s, %s left", json_text(w, "state"), json_text(w, "last_verdict"),
                         *json_text(w, "last_code") ? " " : "", json_text(w, "last_code"), proof,
                         json_number(w, "seconds_since_proof") != UINT64_MAX ? " ago" : "", left);
                print_text("", line);
        }
}

static void print_volume(struct json_object *v) {
        print_clean(stdout, json_text(v, "name"));
        putchar('\n');
        print_text("state", json_text(v, "state"));
        print_text("cause", json_text(v, "cause"));
        print_notice(v);
        print_pause(v);
        print_encryption(v);
        print_text("role", json_text(v, "role"));
        print_text("uuid", json_text(v, "uuid"));
        print_text("device", json_text(v, "device"));
        print_text("node", json_text(v, "node"));
        print_uses(v);
        print_text("key", json_text(v, "key"));
        print_wraps(v);
        print_secrets(v);
        if (json_number(v, "generation") != UINT64_MAX)
                printf("  %-12s %llu\n", "generation", (unsigned long long) json_number(v, "generation"));
        print_text("recovery key", json_text(v, "recovery_key"));
        print_text("flags", json_text(v, "flags"));
        print_text("backup", json_text(v, "header_backup"));
        print_text("verdict", json_text(v, "last_verdict"));
        print_text("vault said", json_text(v, "last_code"));
        print_span("proof", v, "seconds_since_proof", " ago");
        print_span("lease", v, "lease_left_sec", " left");
        print_span("grace", v, "grace_left_sec", " left");
        print_hold(json_text(v, "hold_possible"));
        print_policy(v);
        print_findings(v);
}

struct state {
        struct json_object *manager, *volumes, *scratch;
};

static void state_done(struct state *s) {
        json_object_put(s->manager);
        json_object_put(s->volumes);
        json_object_put(s->scratch);
}

static int state_read(const struct invocation *in, struct call *c, struct state *s) {
        int code = node_state_manager(c, &s->manager);

        if (code == EXIT_CODE_DONE)
                code = node_state_volumes(c, &s->volumes);
        if (code == EXIT_CODE_DONE)
                code = scratch_list(c, &s->scratch);
        if (code == EXIT_CODE_DONE)
                code = select_volumes(in, c, s->volumes, s->scratch);
        if (code == EXIT_CODE_DONE)
                status_add_uses(s->volumes);
        return code;
}

/* One document, on one line where more follow. */
static int print_document(const struct state *s, bool line) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();
        char text[512];

        trail_state_text("", text, sizeof(text));
        json_put_text(s->manager, "trail", text);
        events_state_text("", text, sizeof(text));
        json_put_text(s->manager, "kernel_events", text);
        guard_state_text("", text, sizeof(text));
        json_put_text(s->manager, "guard", text);
        json_put_text(s->manager, "boot_chain", boot_chain_text(boot_chain_secure(""), boot_chain_unified("")));
        if (!o || json_object_object_add(o, "manager", json_object_get(s->manager)) < 0 ||
            json_object_object_add(o, "volumes", json_object_get(s->volumes)) < 0 ||
            json_object_object_add(o, "scratch", json_object_get(s->scratch)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        return line ? print_json_line(o) : print_json(o);
}

static int print_chosen(const struct state *s) {
        for (size_t i = 0; i < json_object_array_length(s->volumes); i++)
                print_volume(json_object_array_get_idx(s->volumes, i));
        for (size_t i = 0; i < json_object_array_length(s->scratch); i++)
                scratch_print(json_object_array_get_idx(s->scratch, i));
        return EXIT_CODE_DONE;
}

static int print_all(const struct state *s) {
        int code = EXIT_CODE_DONE;

        print_manager(s->manager);
        if (json_object_array_length(s->volumes) > 0)
                code = print_list(s->volumes);
        else
                puts("no volumes");
        print_all_findings(s->volumes);
        return code == EXIT_CODE_DONE && json_object_array_length(s->scratch) > 0 ? scratch_print_list(s->scratch) : code;
}

static int show(struct call *c, void *user) {
        const struct invocation *in = user;
        _cleanup_(state_done) struct state s = {};
        int code = state_read(in, c, &s);

        if (code != EXIT_CODE_DONE)
                return code;
        if (has_option(in, OPTION_JSON))
                return print_document(&s, has_option(in, OPTION_WATCH));
        return in->n_args > 0 ? print_chosen(&s) : print_all(&s);
}

int verb_status(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        struct invocation asked = *in;

        return has_option(in, OPTION_WATCH) ? status_watch(&c, show, &asked) : show(&c, &asked);
}
