/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Takes their core dumps from those who use a volume that is about to be cut: whoever touches a page that he mapped gets SIGBUS
 * then, and would dump what he had read. Volumes that go at once share one look at the processes of this machine. */

#include <systemd/sd-event.h>

struct disk_children;
struct no_cores;
struct volume;

/* Returns 0 or -ENOMEM. */
int no_cores_new(struct disk_children *children, sd_event *event, struct no_cores **ret);

/* Accepts NULL, returns NULL. */
struct no_cores *no_cores_free(struct no_cores *n);

/* Begins in the next turn of the event loop; nobody waits for its end. */
void no_cores_forbid(struct no_cores *n, const struct volume *v);
