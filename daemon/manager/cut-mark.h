/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which volumes were cut, or are being cut, for the next manager: a mapping that is gone leaves nothing to derive that
 * from, and the key has to be asked on, or the volume would stay closed when its owner enables the key again; a cut that
 * was interrupted goes on for the cause that it had.
 *
 * A file a volume in /run/cmkd/cut, named by its UUID, with the cause in it, and a line each with the UUIDs of its fellows
 * (fellows.h); written before the first step. Gone with a reboot, as the volume's users are. What is not undone by the key (an operator's cut, a refusal, a pulled disk) leaves
 * no mark once it is done. */

#include "volume.h"

/* Makes the mark true for the state that the volume is in. A mark that cannot be written is logged. */
void cut_mark_update(const struct volume *v);

/* The cause, or CAUSE_NONE: it was not cut, or for good. Fills in its fellows. */
enum lease_cause cut_mark_read(struct volume *v);

/* Pure; cuts up the text. Lines that are no UUIDs are passed over. */
enum lease_cause cut_mark_parse(char *text, char fellows[static FELLOWS_MAX][37], unsigned *ret_n);
