/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How the time of a notice is shared out, and the file that tells its hooks.
 *
 *   0 ───── hooks_usec ────── stop_usec ──── notice_usec = NoticeSec
 *   hooks   units stopped     SIGTERM,       the cut
 *           by systemd        unmount
 *
 * NoticeSec=10: 3.3, 5, 10; 60: 33, 50, 60; a busy machine needs its time to find who gets a signal. Each part ends early when
 * it is done, and with the last of them the notice. Role os: nobody is stopped before stop_usec,
 * so that a mistake can still be stopped; the notice ends no earlier than it says. */

#include "lease.h"

struct notice_times {
        uint64_t answer_usec;            /* for systemd to say anything at all */
        uint64_t hooks_usec, stop_usec, notice_usec;
};

/* Pure. */
struct notice_times notice_times(uint64_t notice_usec, enum role role);

/* Pure: for EnvironmentFile= of the hooks. began: of the notice. */
void notice_file_format(const char *name, enum action action, enum lease_cause cause, const struct notice_times *t,
                        struct instant began, char *buf, size_t size);

/* /run/cmkd/notice/NAME. What cannot be written is logged: the hooks then do not know how long they have. */
void notice_file_write(const char *name, enum action action, enum lease_cause cause, const struct notice_times *t,
                       struct instant began);

/* Nothing happens where there is none. */
void notice_file_remove(const char *name);
