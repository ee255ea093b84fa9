/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One disk operation in one disposable child (cmkd-disk where a header or a key is needed, else cmkd-ladder): started,
 * given its request, and killed at its deadline. A child that does not die (D state) is abandoned: its callback comes at
 * the deadline all the same. */

#include <systemd/sd-event.h>

#include "common/disk-proto.h"

#define DISK_PROGRAMS "/usr/lib/cmkd/"

struct disk_child;

/* What they are started with: the event loop, and the templates of both programs (disk-template.h). fips: cmkd-disk is to compute with
 * OpenSSL's FIPS provider only. early: there is no systemd that would start them. Returns 0 or -ENOMEM. */
struct disk_children;
int disk_children_new(sd_event *event, bool fips, bool early, struct disk_children **ret);
struct disk_children *disk_children_free(struct disk_children *c);

/* y is always filled: on a failure of the child itself (killed at the deadline: -ETIMEDOUT; died: -EPIPE; sent rubbish:
 * -EBADMSG; could not start) with error, silence, exit code and message. fd: a descriptor that came with the reply, or -EBADF;
 * the callback owns it. */
typedef void (*disk_callback)(const struct disk_reply *y, int fd, void *user);

/* Starts op. secret_fd: read end of the pipe with secret W, or -EBADF; in_fd: travels with the request, or -EBADF; both
 * stay the caller's. The callback comes exactly once, never from inside this call. Returns 0 or -ENOMEM. ret (may be
 * NULL): for disk_child_cancel(), valid until the callback. With DISK_FLAG_STAY it is needed, and where the callback says
 * that it was done it is the caller's from then on, until disk_child_again() or disk_child_cancel(); no deadline runs
 * meanwhile. */
int disk_child_start(struct disk_children *c, const struct disk_request *q, int secret_fd, int in_fd, uint64_t timeout_usec,
                     disk_callback callback, void *user, struct disk_child **ret);

/* One request more for a child that stayed, which is the caller's no longer, but for disk_child_cancel(); with DISK_FLAG_STAY
 * again, to a program that sees no keys, it may stay once more. fd: in_fd, and of an operation that sees keys secret_fd, as
 * above. Returns 0, or a negative errno: it is gone, no callback comes, a new one has to be started. */
int disk_child_again(struct disk_child *d, const struct disk_request *q, int fd, uint64_t timeout_usec,
                     disk_callback callback, void *user);

/* Ends a child: SIGTERM, where its operation knows of that, or SIGKILL; the callback comes as ever. One that is being started yet
 * is sent it as soon as it is there (SIGKILL, if both were said). wait_usec: blocks until it has ended or the time is over; not for one that is
 * being started. */
void disk_child_end(struct disk_child *d, int signal, uint64_t wait_usec);

/* Kills the child; the callback will not come. */
void disk_child_cancel(struct disk_child *d);
