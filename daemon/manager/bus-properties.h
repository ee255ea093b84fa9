/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The manager's properties on the bus: handlers of bus-manager.c's table. */

#include <systemd/sd-bus.h>

int bus_get_version(sd_bus *sd, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *user,
                    sd_bus_error *e);
int bus_get_link(sd_bus *sd, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *user,
                 sd_bus_error *e);
int bus_get_trust_problems(sd_bus *sd, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *user,
                           sd_bus_error *e);
int bus_get_init_on_free(sd_bus *sd, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *user,
                         sd_bus_error *e);
int bus_get_secret_memory(sd_bus *sd, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *user,
                          sd_bus_error *e);
int bus_get_counters(sd_bus *sd, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *user,
                     sd_bus_error *e);
