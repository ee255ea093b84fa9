/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The end of an encryption in place that libcryptsetup came to, all but its last write: its parts are done, and the header still says
 * that it is under way.
 *
 *   last part written, header: one segment, encrypted ─► [interrupted] ─► what was moved is overwritten ─► header: nothing under way
 *
 * libcryptsetup cannot go on from there: of one segment it believes that it is the first part, and that it is still to do (lib/luks2/
 * luks2_reencrypt.c, reencrypt_offset()); an encryption fails then, a reencryption would be done twice. So it is ended here, before the
 * volume is opened, while the device is nobody else's: from then on what is mapped reaches over what was moved. */

#include "volume.h"

/* Has it come to that? */
bool encryption_has_ended(const struct header_encryption *x);

/* v: opened by volume_open(); its header is the new one afterwards, and its volume key is still that. A file system that is larger than
 * what was encrypted was made so later, and nothing behind it is overwritten. Interrupted, it is done again. Fills y: errors of
 * header_lock(), header_lock_encryption(), device_claim(), header_read(), and -EIO (the header could not be written; it is as it was, or
 * one of its copies is). */
int encryption_end(struct volume *v, const struct disk_request *q, struct disk_reply *y);
