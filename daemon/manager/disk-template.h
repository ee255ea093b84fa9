/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A program of the manager's, of which one process is kept ready to be copied (common/template.h): the start of cmkd-disk and of its
 * libraries is a third of what opening a volume costs, and that of cmkd-ladder most of what a step of a cut does, of which many volumes
 * take ten each at the same time. It runs in a unit of its own, with rights that the manager does not have; in an initramfs the
 * manager starts it. Where it died, or one of its children crashed, the next child is made by another one, for which nobody waits: what is
 * asked stands in its socket until it is there. */

#include <systemd/sd-event.h>

struct disk_template;
struct disk_maker;              /* one process that is copied: there are several while those of its children live that it may not outlive */

/* pidfd: of the child, the callback's; or a negative errno: there is none (-EPIPE: the template died). */
typedef void (*disk_template_started)(int pidfd, void *user);

/* Gets one ready as soon as there is something to start it. socket: where systemd waits for whoever wants one, or NULL, then path
 * (absolute) is executed here. word: what it is told first, or "". All of them must outlive it. Returns 0 or -ENOMEM. */
int disk_template_new(sd_event *event, const char *path, const char *socket, const char *word, struct disk_template **ret);
struct disk_template *disk_template_free(struct disk_template *t);

/* Asks for a child; descriptors as for template_ask(). The callback comes exactly once, never from inside this call, and ret is who
 * makes it: the caller's until disk_maker_unref(), at the end of the child or after a callback without one. Returns 0, -ENOMEM, -EAGAIN
 * (it does not answer, or ended at once the last time: a second later), or what connect(2), clone(2) and sendmsg(2) say. */
int disk_template_start(struct disk_template *t, const char *name, int child_sock, int secret_fd,
                        disk_template_started callback, void *user, struct disk_maker **ret);

struct disk_maker *disk_maker_unref(struct disk_maker *k);

/* It does not answer, and it is not just that it is being started yet: nobody asks it again, and it is killed as soon as none of the children that it made before is left, which would die
 * with it. */
void disk_maker_give_up(struct disk_maker *k);
