/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* org.cmkd1.Volume: what is known of one volume, as properties. */

#include <systemd/sd-bus.h>

#define BUS_ROOT "/org/cmkd1"
#define BUS_VOLUMES "/org/cmkd1/volume"
#define BUS_VOLUME_INTERFACE "org.cmkd1.Volume"

extern const sd_bus_vtable bus_volume_vtable[];

/* sd_bus_object_find_t: the volume of a path, user is the manager. */
int bus_volume_find(sd_bus *sd, const char *path, const char *interface, void *user, void **ret_found, sd_bus_error *e);

/* sd_bus_node_enumerator_t: every volume's path. */
int bus_volume_enumerate(sd_bus *sd, const char *prefix, void *user, char ***ret_nodes, sd_bus_error *e);
