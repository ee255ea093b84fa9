/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the methods of the bus have in common: who asks, with which options, and how an error is said. */

#include <systemd/sd-bus.h>

#include "operation.h"

struct options {
        bool wipe, read_only, automatic, remove, finish;
        uint32_t token;                /* UINT32_MAX: not said */
        const char *accept_unsafe, *version;
        char expected[KEY_DIGEST_SIZE];
        enum store store;
};

/* Answers with the error that stands for code. Returns what a handler returns. */
int reply_error(sd_bus_message *m, enum exit_code code, const char *format, ...) _printf_(3, 4);

/* r: of starting an operation, which took over a reference to m if it was started. Returns what the handler returns. */
int started(sd_bus_message *m, int r);

/* On the private socket the kernel says who is at the other end; on the system bus the bus does. Both stay untouched
 * when nobody knows. */
void get_ids(sd_bus_message *m, uid_t *uid, pid_t *pid);
void get_requester(sd_bus_message *m, struct requester *ret);

/* Root at the other end of the private socket: who keys may travel to, since a bus in between would see them come by. */
bool is_private_root(sd_bus_message *m);

/* Reads a{sv}; an option that is not known is an error, so that a wish is never silently ignored. */
int read_options(sd_bus_message *m, struct options *ret);

/* Verbs wait for the start to be over. False: answered, and *ret is what the handler returns. */
bool ready(struct manager *m, sd_bus_message *message, int *ret);

/* What a method with options does once its arguments were read with result r: reads them, and ready(). */
bool begin(struct manager *m, sd_bus_message *message, int r, struct options *ret_options, int *ret);

/* Whether that can be a device, or is on the list. Returns 0, or answers and returns what the handler returns. */
int bus_check_what(const struct manager *m, sd_bus_message *message, const char *what);

/* operation_done of what makes or changes a volume: answers user, the message, with UUID and whether anything changed. */
void reply_made(const struct outcome *o, void *user);

/* A volume by name or UUID, or NULL. */
struct volume *find(struct manager *m, const char *name);
