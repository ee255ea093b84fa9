/* SPDX-License-Identifier: Apache-2.0 */
#include "bus-manager.h"

#include <fcntl.h>
#include <unistd.h>

#include "bus-call.h"
#include "bus.h"
#include "manager.h"

struct release_call {
        sd_bus_message *message;
        int read_end;              /* of the pipe that the key goes through */
};

static void release_call_free(struct release_call *c) {
        sd_bus_message_unref(c->message);
        safe_close(c->read_end);
        free(c);
}

/* Returns NULL with errno set. */
static struct release_call *release_call_new(sd_bus_message *message, int *ret_sink) {
        struct release_call *c = calloc(1, sizeof(*c));
        int fds[2];

        if (!c || pipe2(fds, O_CLOEXEC) < 0) {
                free(c);
                return NULL;
        }
        c->message = sd_bus_message_ref(message);
        c->read_end = fds[0];
        *ret_sink = fds[1];
        return c;
}

/* The reply takes the read end along. Where nobody is there to take it any more, nobody will make a mapping. */
static void on_released(const struct outcome *o, void *user) {
        struct release_call *c = user;
        int r;

        if (o->code != EXIT_CODE_DONE)
                reply_error(c->message, o->code, "%s", o->message);
        else {
                r = sd_bus_reply_method_return(c->message, "h", c->read_end);
                if (r < 0)
                        reply_error(c->message, EXIT_CODE_FAILED, "%s: the key cannot be handed over: %s", o->volume->name,
                                    strerror(-r));
                if (r < 0 || sd_bus_is_open(sd_bus_message_get_bus(c->message)) <= 0)
                        release_unused(o->volume, "whoever asked for it is gone");
        }
        release_call_free(c);
}

/* The key itself is for root on the private socket only: a bus in between would see it come by. */
static int may_release(sd_bus_message *message, struct manager *m, const char *device, const char *what) {
        const char *why;
        struct volume *v;

        if (!is_private_root(message))
                return reply_error(message, EXIT_CODE_POLICY, "Keys are given out to root on " BUS_PRIVATE_SOCKET " only");
        if ((*device && *device != '/') || (*what ? !volume_name_is_valid(what) : !*device))
                return reply_error(message, EXIT_CODE_USAGE, "%s %s: no device, or no UUID or name of a volume",
                                   device, what);
        v = *what ? find(m, what) : NULL;
        if (v && volume_may_release(v, &why) < 0)
                return reply_error(message, EXIT_CODE_BUSY, "%s: %s", v->name, why);
        if (!breaker_is_ready(m->breaker))
                return reply_error(message, EXIT_CODE_FAILED, "%s: cmkd-breaker does not run: nobody would hold the volume's "
                                   "deadline. See \"systemctl status cmkd-breaker\"", *what ? what : device);
        return 0;
}

int bus_method_release(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        const char *device, *what;
        struct requester who;
        struct release_call *c;
        struct manager *m = user;
        struct options o;
        int r, sink;

        r = sd_bus_message_read(message, "ss", &device, &what);
        if (!begin(m, message, r, &o, &r))
                return r;
        r = may_release(message, m, device, what);
        if (r != 0)
                return r;
        c = release_call_new(message, &sink);
        if (!c)
                return reply_error(message, EXIT_CODE_FAILED, "The operation could not be started: %s", strerror(errno));
        get_requester(message, &who);
        r = release_start(m, device, what, o.token, sink, &who, on_released, c);
        if (r >= 0)
                return 1;
        safe_close(sink);
        release_call_free(c);
        return reply_error(message, EXIT_CODE_FAILED, "The operation could not be started: %s", strerror(-r));
}
