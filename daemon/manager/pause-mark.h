/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which volumes are paused, for the next manager, and for a volume that is closed and opened again meanwhile.
 *
 * A file a volume in /run/cmkd/pause, named by its UUID: "SINCE BOOTTIME REALTIME\n", microseconds. SINCE is when the pause
 * began, by the boot clock; it is over when either clock has reached what follows, so that a wall clock that is set back
 * extends nothing. Gone with a reboot, as what it was for is. What is there and cannot be read is no pause. */

#include "common/util.h"

struct pause_mark {
        uint64_t since_boottime_usec;
        struct instant until;
};

/* Pure. Returns 0 or -EBADMSG: not of that form to the letter, a pause that ends before it begins, or one that is longer
 * than longest_usec or begins after now (by the boot clock, which never steps: somebody else wrote it). */
int pause_mark_parse(const char *text, uint64_t longest_usec, struct instant now, struct pause_mark *ret);

/* Pure. */
void pause_mark_format(const struct pause_mark *m, char *buf, size_t size);

/* Returns 0, or what making the directory and the file said: the next manager will not know then. */
int pause_mark_write(const char *uuid, const struct pause_mark *m);

/* Returns 0, -ENOENT (there is none), -EBADMSG as above, or what reading it said. */
int pause_mark_read(const char *uuid, uint64_t longest_usec, struct instant now, struct pause_mark *ret);

/* Nothing happens where there is none. */
void pause_mark_remove(const char *uuid);
