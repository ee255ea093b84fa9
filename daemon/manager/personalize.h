/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What becomes of the list when a copy of an image's volume gets a UUID of its own (operation.h, personalize_start()). */

struct manager;

/* The header of a disk is of that UUID. Where it is the one that a copy was to get, it has it: from now on the list has it in the place of
 * the image's, whoever it was that was interrupted before. Nothing happens while that is being done, and for any other UUID. */
void personalize_seen(struct manager *m, const char *uuid);
