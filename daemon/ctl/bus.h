/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Talking to cmkd: the private socket for root where there is one, else the system bus.
 *
 * Both carry the same objects (/org/cmkd1, /org/cmkd1/volume/NAME). On the private socket there is no bus driver and no
 * authorisation but the socket's mode; cmkd dies and comes back under us, so that one invocation is one connection. */

#include "ctl.h"

#include <json-c/json.h>
#include <systemd/sd-bus.h>

#define BUS_NAME "org.cmkd1"
#define BUS_OBJECT "/org/cmkd1"
#define BUS_MANAGER "org.cmkd1.Manager"
#define BUS_VOLUME "org.cmkd1.Volume"

/* How long a reply is waited for. */
#define CALL_TIMEOUT_USEC (5 * 60 * USEC_PER_SEC)

/* One call under construction. A zeroed one can be released. */
struct call {
        sd_bus *bus;
        sd_bus_message *request, *reply;
        uint64_t timeout_usec;                 /* 0: CALL_TIMEOUT_USEC */
};

static inline void call_release(struct call *c) {
        sd_bus_message_unref(c->reply);
        sd_bus_message_unref(c->request);
        sd_bus_flush_close_unref(c->bus);
        *c = (struct call) {};
}

/* The private socket if we are root and it is there, else the system bus. FAILED, said why: cmkd is not running, or
 * only root may. The connection is the caller's. A file of its own, so that tests put another in its place. */
int bus_connect(sd_bus **ret);

/* Connects, unless c is connected, and begins a call to the manager object. The caller appends the arguments to c->request. Exit codes:
 * those of bus_connect(), or FAILED (no memory). */
int call_begin(struct call *c, const char *interface, const char *member);

/* One more call on the same connection; gives the earlier messages back. */
int call_next(struct call *c, const char *interface, const char *member);

/* Sends it and waits for the reply, in c->reply, for up to 5 minutes. built: what appending returned; negative is
 * reported here. What the daemon refused is printed as it said it and becomes its exit code. */
int call_send(struct call *c, int built);

/* The same, and calls readable() once, when fd can be read from before the reply is there; what it returns is of no interest
 * here. */
int call_send_watching(struct call *c, int built, int fd, int (*readable)(int fd, void *user), void *user);

/* The exit code and, in *ret_text, the words for a call that failed: the daemon's own, or what it means that there are none
 * (error, e may be NULL). The text lives as long as e. */
int call_explain(const sd_bus_error *e, int error, const char **ret_text);

/* A reply that does not have the shape of the contract: FAILED, said. */
int call_misunderstood(int error);

/* What the cursor of m stands at, as JSON: properties (a{sv}) with names in snake_case (LeaseLeftSec: lease_left_sec),
 * the keys of other dictionaries as they are, UINT64_MAX as null. Returns 0, -ENOMEM, -EBADMSG (a type that the
 * contract does not use, a truncated message), -ELOOP (nested too deeply) or what sd-bus says; *ret is the caller's. */
int bus_message_to_json(sd_bus_message *m, struct json_object **ret);
