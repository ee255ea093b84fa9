/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The template of a program of the manager's (common/template.h): one is kept ready, since the start of cmkd-disk and of its
 * libraries is a third of what opening a volume costs, and that of cmkd-ladder most of what a step of a cut does, of which many
 * volumes take ten each at the same time. It is a convenience: while there is none (it starts, it died, the program on the
 * disk is another by now) children are started the long way. A new one takes its place after a child crashed. */

#include <systemd/sd-event.h>

struct disk_template;

/* pid: of the child, which is ours to reap; or a negative errno: there is none (-EPIPE: the template died). */
typedef void (*disk_template_started)(int pid, void *user);

/* Starts one of path (absolute), as soon as there is something to start. word: one more argument, or NULL. Both must outlive it. Returns
 * 0 or -ENOMEM. */
int disk_template_new(sd_event *event, const char *path, const char *word, struct disk_template **ret);
struct disk_template *disk_template_free(struct disk_template *t);

/* Asks for a child; descriptors as for template_ask(). The callback comes exactly once, never from inside this call. Returns
 * 0, -ENOMEM, or -EAGAIN: there is no template now. */
int disk_template_start(struct disk_template *t, const char *name, int child_sock, int secret_fd,
                        disk_template_started callback, void *user);

/* A child of it crashed: no further one gets the same layout of memory. */
void disk_template_retire(struct disk_template *t);

/* It does not answer: it is killed. */
void disk_template_kill(struct disk_template *t);
