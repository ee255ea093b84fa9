/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <fcntl.h>
#include <stdarg.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "common/paths.h"
#include "common/retry.h"
#include "common/verdict.h"

#define CALL_EXTRA_USEC (30 * USEC_PER_SEC)      /* what was begun before the limit may end after it */

struct said {
        char last[1200];       /* without request id: the same failure is said once */
};

static void bus_freep(sd_bus **b) { sd_bus_close_unref(*b); }
static void message_freep(sd_bus_message **m) { sd_bus_message_unref(*m); }

static void say(const struct client_request *q, const char *format, ...) _printf_(2, 3);
static void say(const struct client_request *q, const char *format, ...) {
        char text[1400];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        for (char *p = text; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 127)
                        *p = '?';
        q->say(q->user, text);
}

static void say_once(const struct client_request *q, struct said *s, const char *text, uint64_t pause) {
        const char *id = strstr(text, ", request ");
        size_t n = MIN_OF(id ? (size_t) (id - text) : strlen(text), sizeof(s->last) - 1);

        if (strncmp(s->last, text, n) == 0 && s->last[n] == 0)
                return;
        memcpy(s->last, text, n);
        s->last[n] = 0;
        say(q, "cmkd: %s%s", text, pause > 0 ? " (trying again)" : "");
}

/* There is no driver to say Hello to on the other end. */
static int connect_private(sd_bus **ret) {
        _cleanup_(bus_freep) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, "unix:path=" BUS_PRIVATE_SOCKET);
        if (r >= 0)
                r = sd_bus_negotiate_fds(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

static int send_request(const struct client_request *q, uint64_t timeout_usec, sd_bus_error *e, int *ret_fd) {
        _cleanup_(bus_freep) sd_bus *bus = NULL;
        _cleanup_(message_freep) sd_bus_message *request = NULL, *reply = NULL;
        int fd, r;

        r = connect_private(&bus);
        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &request, "org.cmkd1", "/org/cmkd1", "org.cmkd1.Manager", "Release");
        if (r >= 0)
                r = q->one_token ? sd_bus_message_append(request, "ssa{sv}", q->device, q->what, 1, "token", "u", q->token)
                                 : sd_bus_message_append(request, "ssa{sv}", q->device, q->what, 0);
        if (r >= 0)
                r = sd_bus_call(bus, request, timeout_usec, e, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "h", &fd);
        if (r < 0)
                return r;
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);        /* the message keeps its own */
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

static enum attempt classify(const sd_bus_error *e, int error, char *text, size_t size, int *ret_errno) {
        static const struct { enum exit_code code; int error; enum attempt attempt; } known[] = {
                { EXIT_CODE_REVOKED, -EACCES, ATTEMPT_DENIED }, { EXIT_CODE_UNREACHABLE, -EAGAIN, ATTEMPT_UNREACHABLE },
                { EXIT_CODE_POLICY, -EPERM, ATTEMPT_HOPELESS }, { EXIT_CODE_BUSY, -EBUSY, ATTEMPT_HOPELESS },
        };
        enum exit_code code = exit_code_from_bus_error(strempty(e->name));

        snprintf(text, size, "%s", e->message ? e->message : strerror(-error));
        *ret_errno = error == -ENOMEM ? -ENOMEM : -EIO;
        if (sd_bus_error_has_name(e, BUS_ERROR_NOT_READY)) {
                *ret_errno = -EAGAIN;
                return ATTEMPT_NOT_READY;
        }
        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (known[i].code == code) {
                        *ret_errno = known[i].error;
                        return known[i].attempt;
                }
        if (!startswith(strempty(e->name), "org.cmkd1.") &&
            (error == -ENOENT || error == -ECONNREFUSED || error == -ECONNRESET || error == -ENOTCONN || error == -EPIPE)) {
                snprintf(text, size, "nobody answers on " BUS_PRIVATE_SOCKET " (%s): see \"systemctl status cmkd\"", strerror(-error));
                *ret_errno = -EAGAIN;
                return ATTEMPT_ABSENT;
        }
        return ATTEMPT_HOPELESS;
}

static int pause_for(uint64_t usec) {
        struct timespec t = { (time_t) (usec / USEC_PER_SEC), (long) (usec % USEC_PER_SEC * NSEC_PER_USEC) };

        return nanosleep(&t, NULL) < 0 ? -errno : 0;
}

int client_release(const struct client_request *q, int *ret_fd) {
        struct retry retry = { .begin_usec = now_boottime_usec(), .limit_usec = q->limit_usec };
        struct said said = {};

        for (;;) {
                sd_bus_error e = SD_BUS_ERROR_NULL;
                uint64_t now = now_boottime_usec(), end = retry.begin_usec + retry.limit_usec, pause;
                char text[1100];
                int r, error;

                r = send_request(q, (end > now ? end - now : 0) + CALL_EXTRA_USEC, &e, ret_fd);
                if (r >= 0)
                        return 0;
                pause = retry_next(&retry, classify(&e, r, text, sizeof(text), &error), now_boottime_usec());
                sd_bus_error_free(&e);
                say_once(q, &said, text, pause);
                if (pause == 0) {
                        if (retry.tries > 1)
                                say(q, "cmkd: gave up on %s after %u tries in %llu s", q->what, retry.tries,
                                    (unsigned long long) ((now_boottime_usec() - retry.begin_usec) / USEC_PER_SEC));
                        return error;
                }
                r = pause_for(pause);
                if (r < 0)
                        return r;
        }
}
