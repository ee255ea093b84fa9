/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* org.cmkd1.Manager: the verbs. Each starts an operation; the reply comes when the operation is done. */

#include <systemd/sd-bus.h>

#define BUS_MANAGER_INTERFACE "org.cmkd1.Manager"

/* bus-release.c */
int bus_method_release(sd_bus_message *message, void *user, sd_bus_error *e);

/* bus-recovery.c */
int bus_method_recovery_key_add(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_recovery_key_rotate(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_recovery_key_remove(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_recovery_key_escrow(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_header_accept(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_keyslots_remove(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_header_backup(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_header_restore(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_recovery_key_test(sd_bus_message *message, void *user, sd_bus_error *e);

/* bus-change.c */
int bus_method_reencrypt(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_personalize(sd_bus_message *message, void *user, sd_bus_error *e);

/* bus-usage.c */
int bus_method_key_usage(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_pinned_keys(sd_bus_message *message, void *user, sd_bus_error *e);

/* bus-scratch.c */
int bus_method_scratch_create(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_scratch_renew(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_scratch_remove(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_list_scratch(sd_bus_message *message, void *user, sd_bus_error *e);

/* bus-pause.c */
int bus_method_pause(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_pause_end(sd_bus_message *message, void *user, sd_bus_error *e);

/* bus-plan.c: finds out what a cut of v would do and answers message, later. Returns 0, -ENOMEM or as plan_make(). */
struct volume;
int bus_plan_start(struct volume *v, sd_bus_message *message);

/* bus-drill.c */
int bus_method_drill_begin(sd_bus_message *message, void *user, sd_bus_error *e);
int bus_method_drill_end(sd_bus_message *message, void *user, sd_bus_error *e);

extern const sd_bus_vtable bus_manager_vtable[];
