/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which volumes are open and by whom, for the next manager (a restart, or the one after switch-root): a mapping that
 * stands does not say whether cmkd released its key.
 *
 * A file a volume in /run/cmkd/open, named by its UUID: "STATE BOOTTIME REALTIME MAPPING", STATE being
 *   released    its key was given out then (of the release), and a mapping of it may appear
 *   attached    it is under its lease, which counts from then
 *   recovery    opened without cmkd
 * Gone with a reboot, as the mappings are. What is there and cannot be read counts as no mark: recovery. */

#include "common/dm-ioctl.h"

struct volume;

enum open_mark { OPEN_MARK_NONE, OPEN_MARK_RELEASED, OPEN_MARK_ATTACHED, OPEN_MARK_RECOVERY, _OPEN_MARK_MAX };

struct open_mark_text {
        enum open_mark mark;
        struct instant issued;                   /* RELEASED, ATTACHED: the lease counts from there; zero: not known */
        char mapping[DM_IOCTL_UUID_SIZE];
};

/* Pure. Returns 0 or -EBADMSG. */
int open_mark_parse(const char *text, struct open_mark_text *ret);

/* Makes the mark true for the state that the volume is in: written at ATTACHED and RECOVERY, gone at CLOSED and CUT; where
 * its key was given out before, and its mapping is waited for, the mark is of that. */
void open_mark_update(const struct volume *v);

/* The same when its key was granted again: of an ATTACHED volume only that is written, at each poll. */
void open_mark_granted(const struct volume *v);

/* A key of the volume is about to be used: the release was asked for then. */
void open_mark_released(const struct volume *v, struct instant issued);

/* Nobody will make a mapping of it; harmless where there is none. */
void open_mark_forget(const char *uuid);

/* OPEN_MARK_NONE where there is none. */
void open_mark_read(const char *uuid, struct open_mark_text *ret);

/* Its encryption got on: UUID.progress beside it, of role os, which is attached once a boot. A new manager knows by it whether it would have
 * this machine booted again and again. */
void open_mark_progressed(const struct volume *v);
bool open_mark_has_progressed(const char *uuid);
