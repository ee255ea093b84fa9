/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Asks systemd which units use a volume. Nothing waits for it: a bus or a systemd that does not answer costs the time that
 * it was given, and the answer is that there are none.
 *
 *   struct uses ─► names (unit-name.h) ─ ListUnits: loaded and active? ─► struct unit_set
 *                      ▲                                                     │ GetAll of each
 *                      └── RequiredBy=, BoundBy=, ... TriggeredBy= ◄─────────┘ */

#include <systemd/sd-bus.h>

#include "common/uses.h"
#include "unit-set.h"

struct unit_look;

/* error: 0, or why systemd could not be asked (set is NULL then). set is the callback's: unit_set_done(), free(). Called
 * exactly once, never from inside unit_look_start(). */
typedef void (*unit_look_done)(int error, struct unit_set *set, void *user);

/* sd: the system bus; uses: who uses the volume; mapping: its name below /dev/mapper, whose device unit others may be bound
 * to. answer_usec: how long each answer may take, and all of them together may take twice that. Returns 0 or -errno. */
int unit_look_start(sd_bus *sd, const struct uses *uses, const char *mapping, uint64_t answer_usec, unit_look_done done,
                    void *user, struct unit_look **ret);

/* The callback will not come. Accepts NULL. Returns NULL. Not to be called once the callback was. */
struct unit_look *unit_look_cancel(struct unit_look *l);

/* What is said of a unit that the mark tells of (unit-mark.h): reads the reply to a GetAll of the interface Unit. */
struct unit_facts {
        struct unit_set dependants;      /* names only: those that stop when it stops */
        struct unit_set triggers;        /* those that would start it again */
        char **after;
        char load_state[24], active_state[24], file_state[24];
        char invocation[33];
        bool can_start, refuses_stop;
};

#define UNIT_SERVICE_NAME "org.freedesktop.systemd1"
#define UNIT_MANAGER_PATH "/org/freedesktop/systemd1"
#define UNIT_MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"

/* Returns 0 or what sd-bus says. */
int unit_facts_read(sd_bus_message *m, struct unit_facts *ret);
void unit_facts_done(struct unit_facts *f);

/* Calls a method of systemd's manager, with arguments as of sd_bus_message_append(3); *ret_slot is the caller's. Returns 0 or
 * what sd-bus says. */
int unit_manager_call(sd_bus *sd, const char *method, uint64_t answer_usec, sd_bus_message_handler_t reply, void *user,
                      sd_bus_slot **ret_slot, const char *types, ...);

/* Asks for the facts of the unit with that path: the reply is for unit_facts_read(). Returns as above. */
int unit_facts_ask(sd_bus *sd, const char *path, uint64_t answer_usec, sd_bus_message_handler_t reply, void *user,
                   sd_bus_slot **ret_slot);
