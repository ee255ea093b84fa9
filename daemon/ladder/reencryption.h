/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A volume that is being reencrypted: the mapping stands on others of cryptsetup's, which have the keys and show the plaintext
 * to whoever opens them, and the process that does it has the keys too.
 *
 *   NAME (CRYPT-LUKS2-<uuid>-NAME, no key) ─► NAME-overlay, NAME-hotzone-... (CRYPT-SUBDEV-<uuid>-...) ─► the disk, which
 *   the process writes to
 */

#include "subs.h"

/* SIGKILL to the processes that write to the disks below: before the error table, since they could load another one over it. */
void subs_kill_writers(const struct subs *s);

/* Each of those that were suspended when they were found, or of the others, gets its error table. Returns 0 or the first error as
 * of dm_cut(). */
int subs_cut(const struct mapping *m, const struct subs *s, bool suspended);

/* Removes them, those first on which none of the others stands, and what kept the volume's integrity tags. Returns 0, -EBUSY, or what ioctl(2) says. */
int subs_remove(const struct mapping *m, const struct subs *s, uint64_t wait_usec);
