/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* /run/cmkd/audit.status: what is covered and how far the trail is, as NAME=VALUE lines for status and doctor.
 *
 *   version=1 pid= trail=ok|ERROR seq= hash= probes=all|some|none covered=PROGRAM ... missing=PROGRAM ...
 *   missing_PROGRAM=REASON blind=yes|no submitted= consumed= lost= mirror_lost= place=trail|early
 *   witness=yes|no agreed=: whether the kernel's audit is listened to, and how many of its records were in the ring too
 *   refused=UUID: the volume that the trail would be on, and is not
 *   sealed=yes|no epoch=ID seal_why=TEXT: what is not as configured; privacy=off|strict privacy_key=ID
 *   stopped=TEXT: nothing is recorded, why
 *   guard=STATE guard_mode=off|audit|enforce guard_clean=SECONDS guard_need=SECONDS guard_left=SECONDS guard_why=TEXT */

#include "probes.h"
#include "trail.h"

struct audit_status {
        const struct trail *trail;
        int error;                         /* of its last write; 0: it could be written */
        const struct probes_coverage *coverage;    /* NULL: no probes */
        bool blind, early, witness;
        const char *seal_why;
        const char *refused;
        const char *privacy_key;           /* its id; NULL: names are written */
        uint64_t submitted, consumed, lost, mirror_lost, agreed;
        const char *guard_mode, *guard_state, *guard_why;      /* NULL: there is no guard; guard_why: nothing to say */
        uint64_t guard_clean_usec, guard_need_usec, guard_until_usec;
};

/* Writes it, replacing the old one as a whole. Returns 0 or -errno. */
int audit_status_write(const char *path, const struct audit_status *s);

/* The same of one that does not begin: nothing is recorded. why: a sentence, which the log has at more length. */
int audit_status_write_refused(const char *path, const char *why);
