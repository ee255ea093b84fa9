/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The D-Bus face: org.cmkd1.Manager at /org/cmkd1 and org.cmkd1.Volume for each volume, on the private socket (peer to
 * peer, root only, there without any bus) and, where there is a system bus, as org.cmkd1. Vtables and permissions,
 * nothing else: each method starts an operation and answers when it is done. */

#include <systemd/sd-event.h>

#include "common/paths.h"

struct bus;
struct manager;
struct volume;

/* Opens the private socket, and the system bus if there is one (tried again every 15 s until then). Returns 0 or what
 * opening the private socket said. */
int bus_new(struct manager *m, sd_event *event, struct bus **ret);
struct bus *bus_free(struct bus *b);

/* Emits VolumeChanged and the volume's changed properties on every connection. */
void bus_volume_changed(struct bus *b, const struct volume *v);

/* The system bus, on which systemd is; NULL: it is not there, or not yet. */
struct sd_bus *bus_system(struct bus *b);

/* Asks systemd, if it is there, to start TEMPLATE@VOLUME.target; nobody waits for it. */
void bus_start_unit(struct bus *b, const char *template, const char *volume);

/* The same for the worker, which reads the configuration when it starts: a new one, if one runs. */
void bus_restart_worker(struct bus *b);
