/* SPDX-License-Identifier: Apache-2.0 */
#include "calls.h"

#include "bus.h"
#include "patience.h"
#include "print.h"

#include <time.h>

struct calls;

struct one {
        struct calls *calls;
        const char *what;
        enum { ONE_WAITS, ONE_FLIES, ONE_ENDED } state;
        struct patience patience;
        uint64_t next_usec;            /* it waits until then */
        int code;                      /* of its last try */
        struct json_object *result;
};

struct calls {
        const struct volume_call *call;
        unsigned flags;                /* enum calls_flags; LIST also where there are several */
        sd_bus *bus;
        size_t n, n_flying, n_ended;
        struct one *ones;
};

static void calls_done(struct calls *c) {
        sd_bus_flush_close_unref(c->bus);
        for (size_t i = 0; i < c->n; i++)
                json_object_put(c->ones[i].result);
        free(c->ones);
}

/* value: of member, which may be NULL. */
static struct json_object *new_result(const char *volume, const char *member, const char *value) {
        struct json_object *o = json_object_new_object();

        if (o && json_object_object_add(o, "volume", json_object_new_string(volume)) >= 0 &&
            (!member || json_object_object_add(o, member, json_object_new_string(value)) >= 0))
                return o;
        json_object_put(o);
        return NULL;
}

static void set_result(struct one *one, struct json_object *o) {
        json_object_put(one->result);
        one->result = o;
}

static struct json_object *new_failure(const char *what, int code, const char *why) {
        struct json_object *o = new_result(what, "error", why);

        if (o && json_object_object_add(o, "exit_code", json_object_new_int(code)) >= 0)
                return o;
        json_object_put(o);
        return NULL;
}

/* Says why, under the name of whom it is about where there are several. */
static int fail_one(struct one *one, int code, const char *why) {
        set_result(one, new_failure(one->what, code, why));
        if (!(one->calls->flags & CALLS_LIST) || startswith(why, one->what))
                return fail((enum exit_code) code, "%s", why);
        return fail((enum exit_code) code, "%s: %s", one->what, why);
}

/* --wait: every try that failed has said why; this says what comes next. */
static void end_try(struct one *one, int code) {
        uint64_t now = now_boottime_usec(), next = USEC_INFINITY;
        uint32_t random;

        one->code = code;
        if (code != EXIT_CODE_DONE && !one->result)
                set_result(one, new_failure(one->what, code, last_failure()));
        if (code != EXIT_CODE_DONE && one->patience.end_usec > 0) {
                random_bytes(&random, sizeof(random));
                next = patience_next(&one->patience, (enum exit_code) code, now, random);
                if (next == USEC_INFINITY)
                        fail((enum exit_code) code, "%s: not tried again%s", one->what, code == EXIT_CODE_REVOKED ?
                             ": a key that the vault refuses is not asked about for ever" : "");
        }
        if (next == USEC_INFINITY) {
                one->state = ONE_ENDED;
                one->calls->n_ended++;
                return;
        }
        one->state = ONE_WAITS;
        one->next_usec = next;
        fprintf(stderr, "cmkctl: %s: next try in %llu s, for %llu s more\n", one->what,
                (unsigned long long) ((next - now + USEC_PER_SEC / 2) / USEC_PER_SEC),
                (unsigned long long) ((one->patience.end_usec - now) / USEC_PER_SEC));
}

static int take_reply(struct one *one, sd_bus_message *reply) {
        const struct volume_call *call = one->calls->call;
        const char *name = one->what, *node = NULL;
        struct json_object *o;
        int r, changed;

        r = call->says_node ? sd_bus_message_read(reply, "ssb", &name, &node, &changed)
                            : sd_bus_message_read(reply, "b", &changed);
        if (r < 0)
                return call_misunderstood(r);
        if (!(one->calls->flags & CALLS_JSON)) {
                printf("%s is %s%s%s%s\n", name, call->done, changed ? "" : " already", node ? " as " : "", strempty(node));
                fflush(stdout);
                return EXIT_CODE_DONE;
        }
        o = node ? new_result(name, "node", node) : new_result(name, call->json_state ? "state" : NULL, call->json_state);
        if (!o || json_object_object_add(o, "changed", json_object_new_boolean(changed)) < 0) {
                json_object_put(o);
                return fail(EXIT_CODE_FAILED, "out of memory");
        }
        set_result(one, o);
        return EXIT_CODE_DONE;
}

static int on_reply(sd_bus_message *reply, void *user, sd_bus_error *ret_error _unused_) {
        struct one *one = user;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        const char *why;
        int code;

        one->calls->n_flying--;
        if (e) {
                /* sd-bus answers for a peer that is gone as for one that is late */
                bool gone = sd_bus_is_open(one->calls->bus) <= 0;

                code = call_explain(gone ? NULL : e, gone ? -ECONNRESET : -sd_bus_message_get_errno(reply), &why);
                code = fail_one(one, code, why);
        } else
                code = take_reply(one, reply);
        end_try(one, code);
        return 0;
}

static int send_one(struct one *one) {
        struct calls *c = one->calls;
        sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(c->bus, &m, BUS_NAME, BUS_OBJECT, BUS_MANAGER, c->call->member);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", one->what);
        if (r >= 0 && c->call->flag)
                r = c->flags & CALLS_OPTION ? sd_bus_message_append(m, "a{sv}", 1, c->call->flag, "b", 1) : sd_bus_message_append(m, "a{sv}", 0);
        if (r >= 0)
                r = sd_bus_call_async(c->bus, NULL, m, on_reply, one, CALL_TIMEOUT_USEC);
        sd_bus_message_unref(m);
        if (r < 0)
                return fail_one(one, EXIT_CODE_FAILED, "the request cannot be sent");
        one->state = ONE_FLIES;
        c->n_flying++;
        return EXIT_CODE_DONE;
}

/* What needs the daemon and finds none fails together: it was said once. */
static void start_due(struct calls *c, uint64_t now) {
        int connected = c->call->run || c->bus ? EXIT_CODE_DONE : -1, code;

        for (size_t i = 0; i < c->n; i++) {
                struct one *one = c->ones + i;

                if (one->state != ONE_WAITS || one->next_usec > now)
                        continue;
                if (c->call->run) {
                        end_try(one, c->call->run(one->what));
                        continue;
                }
                if (connected < 0)
                        connected = bus_connect(&c->bus);
                code = connected == EXIT_CODE_DONE ? send_one(one) : connected;
                if (code != EXIT_CODE_DONE)
                        end_try(one, code);
        }
}

static void lose_all(struct calls *c) {
        const char *why;

        for (size_t i = 0; i < c->n; i++)
                if (c->ones[i].state == ONE_FLIES)
                        end_try(c->ones + i, fail_one(c->ones + i, call_explain(NULL, -ECONNRESET, &why), why));
        c->n_flying = 0;
}

static uint64_t next_start(const struct calls *c) {
        uint64_t next = USEC_INFINITY;

        for (size_t i = 0; i < c->n; i++)
                if (c->ones[i].state == ONE_WAITS)
                        next = MIN_OF(next, c->ones[i].next_usec);
        return next;
}

/* Nobody flies: the next tries are on a connection of their own, since cmkd may be another by then. */
static void sleep_until(struct calls *c, uint64_t usec) {
        c->bus = sd_bus_flush_close_unref(c->bus);
        (void) clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &(struct timespec) {
                .tv_sec = (time_t) (usec / USEC_PER_SEC), .tv_nsec = (long) (usec % USEC_PER_SEC * NSEC_PER_USEC) }, NULL);
}

static void run_all(struct calls *c) {
        while (c->n_ended < c->n) {
                uint64_t now = now_boottime_usec(), next;
                int r;

                start_due(c, now);
                next = next_start(c);
                if (c->n_flying == 0) {
                        if (next != USEC_INFINITY)
                                sleep_until(c, next);
                        continue;
                }
                r = sd_bus_process(c->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(c->bus, next == USEC_INFINITY ? UINT64_MAX : next > now ? next - now : 0);
                if (r < 0 && r != -EINTR)
                        lose_all(c);
        }
}

static int print_list(const struct calls *c) {
        _cleanup_(json_object_putp) struct json_object *list = json_object_new_array();

        for (size_t i = 0; list && i < c->n; i++) {
                const struct one *one = c->ones + i;
                struct json_object *o = json_object_get(one->result);

                if (!o || json_object_array_add(list, o) < 0)
                        return fail(EXIT_CODE_FAILED, "out of memory");
        }
        return list ? print_json(list) : fail(EXIT_CODE_FAILED, "out of memory");
}

int calls_run(const struct volume_call *call, char *const *what, size_t n, unsigned flags, uint64_t wait_seconds) {
        _cleanup_(calls_done) struct calls c = { .call = call, .flags = flags | (n > 1 ? CALLS_LIST : 0) };
        int code = EXIT_CODE_DONE;

        for (size_t i = 0; i < n && code == EXIT_CODE_DONE; i++)
                code = call->check ? call->check(what[i]) : EXIT_CODE_DONE;
        if (code != EXIT_CODE_DONE)
                return code;
        c.ones = calloc(n ? n : 1, sizeof(*c.ones));
        if (!c.ones)
                return fail(EXIT_CODE_FAILED, "out of memory");
        c.n = n;
        for (size_t i = 0; i < n; i++)
                c.ones[i] = (struct one) { .calls = &c, .what = what[i], .patience = {
                        .end_usec = wait_seconds ? now_boottime_usec() + wait_seconds * USEC_PER_SEC : 0 } };
        run_all(&c);
        if ((flags & CALLS_JSON) && !call->run)
                code = c.flags & CALLS_LIST ? print_list(&c) : c.ones[0].result ? print_json(c.ones[0].result) : EXIT_CODE_DONE;
        for (size_t i = 0; i < n; i++)
                if (c.ones[i].code != EXIT_CODE_DONE)
                        return c.ones[i].code;
        return code;
}
