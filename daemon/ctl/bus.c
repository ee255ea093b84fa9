/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"

#include <poll.h>
#include <time.h>

static int new_request(struct call *c, const char *interface, const char *member) {
        int r = sd_bus_message_new_method_call(c->bus, &c->request, BUS_NAME, BUS_OBJECT, interface, member);

        return r < 0 ? fail(EXIT_CODE_FAILED, "cannot make a request: %s", strerror(-r)) : EXIT_CODE_DONE;
}

int call_next(struct call *c, const char *interface, const char *member) {
        c->request = sd_bus_message_unref(c->request);
        c->reply = sd_bus_message_unref(c->reply);
        return new_request(c, interface, member);
}

int call_begin(struct call *c, const char *interface, const char *member) {
        int code = c->bus ? EXIT_CODE_DONE : bus_connect(&c->bus);

        return code != EXIT_CODE_DONE ? code : call_next(c, interface, member);
}

int call_explain(const sd_bus_error *e, int error, const char **ret_text) {
        static const struct { const char *name, *text; } known[] = {
                { SD_BUS_ERROR_SERVICE_UNKNOWN, "cmkd is not running (systemctl start cmkd.service)" },
                { SD_BUS_ERROR_NAME_HAS_NO_OWNER, "cmkd is not running (systemctl start cmkd.service)" },
                { SD_BUS_ERROR_ACCESS_DENIED, "only root may speak to cmkd" },
                { SD_BUS_ERROR_NO_REPLY, "cmkd did not answer in time; it goes on with what was asked" },
                { SD_BUS_ERROR_TIMEOUT, "cmkd did not answer in time; it goes on with what was asked" },
                { SD_BUS_ERROR_UNKNOWN_METHOD, "the cmkd that runs is older than this cmkctl and cannot do that" },
        };

        for (size_t i = 0; e && i < ELEMENTSOF(known); i++)
                if (sd_bus_error_has_name(e, known[i].name)) {
                        *ret_text = known[i].text;
                        return EXIT_CODE_FAILED;
                }
        *ret_text = "cmkd went away before it answered; see journalctl -u cmkd";
        if (error == -ECONNRESET || error == -ENOTCONN || error == -ECONNREFUSED || error == -EPIPE)
                return EXIT_CODE_FAILED;
        *ret_text = e && e->message ? e->message : strerror(-error);
        return exit_code_from_bus_error(e ? strempty(e->name) : "");
}

int call_send(struct call *c, int built) {
        _cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
        const char *why;
        int code, r;

        if (built < 0)
                return fail(EXIT_CODE_FAILED, "cannot make a request: %s", strerror(-built));
        r = sd_bus_call(c->bus, c->request, c->timeout_usec > 0 ? c->timeout_usec : CALL_TIMEOUT_USEC, &e, &c->reply);
        if (r >= 0)
                return EXIT_CODE_DONE;
        code = call_explain(&e, r, &why);
        return fail((enum exit_code) code, "%s", why);
}

static int keep_reply(sd_bus_message *reply, void *user, sd_bus_error *ret_error _unused_) {
        struct call *c = user;

        c->reply = sd_bus_message_ref(reply);
        return 0;
}

/* Waits for either. Returns 1 when fd (-EBADF: none) can be read, 0, or -errno. */
static int wait_for_either(struct call *c, int fd) {
        struct pollfd p[] = { { .fd = sd_bus_get_fd(c->bus), .events = (short) MAX_OF(sd_bus_get_events(c->bus), 0) },
                              { .fd = fd, .events = POLLIN } };
        uint64_t until, now;
        struct timespec t;
        int msec = -1;

        clock_gettime(CLOCK_MONOTONIC, &t);
        now = (uint64_t) t.tv_sec * USEC_PER_SEC + (uint64_t) t.tv_nsec / NSEC_PER_USEC;
        if (sd_bus_get_timeout(c->bus, &until) > 0)
                msec = until > now ? (int) (MIN_OF(until - now, CALL_TIMEOUT_USEC) / USEC_PER_MSEC) + 1 : 0;
        if (poll(p, ELEMENTSOF(p), msec) < 0 && errno != EINTR)
                return -errno;
        return p[1].revents != 0;
}

int call_send_watching(struct call *c, int built, int fd, int (*readable)(int fd, void *user), void *user) {
        const sd_bus_error *e;
        const char *why;
        int code, r;

        if (built < 0)
                return fail(EXIT_CODE_FAILED, "cannot make a request: %s", strerror(-built));
        r = sd_bus_call_async(c->bus, NULL, c->request, keep_reply, c, CALL_TIMEOUT_USEC);
        while (r >= 0 && !c->reply) {
                r = sd_bus_process(c->bus, NULL);
                if (r != 0 || c->reply)
                        continue;
                r = wait_for_either(c, fd);
                if (r > 0) {
                        (void) readable(fd, user);
                        fd = -EBADF;
                }
        }
        e = c->reply ? sd_bus_message_get_error(c->reply) : NULL;
        if (r >= 0 && c->reply && !e)
                return EXIT_CODE_DONE;
        /* sd-bus answers for a peer that is gone as for one that is late */
        if (r >= 0 && sd_bus_is_open(c->bus) <= 0) {
                e = NULL;
                r = -ECONNRESET;
        }
        code = call_explain(e, r < 0 ? r : -sd_bus_message_get_errno(c->reply), &why);
        return fail((enum exit_code) code, "%s", why);
}

int call_misunderstood(int error) {
        return fail(EXIT_CODE_FAILED, "the answer of cmkd is not understood (%s): are cmkd and cmkctl of one version?",
                    strerror(-error));
}
