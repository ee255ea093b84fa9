/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What was last read of a key's attributes, for the next manager (a restart, or the one after switch-root): an owner's
 * shorter grace must hold also where the vault cannot be asked again.
 *
 * A file a volume and key in /run/cmkd/attributes, named by the UUID and a hash of the key, a line a value: "expires=SECONDS", then the tags as
 * NAME=VALUE. It stays when the volume is closed, so that the floors hold from the next attach on and not from the first
 * reading after it; gone with a reboot. What cannot be read counts as nothing: a first reading follows soon. */

#include "attributes.h"

/* Pure: a reading that is GRANTED, with expires and tags. Returns 0 or -EBADMSG. */
int attributes_mark_parse(const char *text, struct vault_reply *ret);

/* Pure. The text of a mark, "" where there is nothing to keep. */
void attributes_mark_format(const struct attributes *a, char *buf, size_t size);

/* Makes the mark of a volume say what the attributes of that key of it are. A mark that cannot be written is logged. */
void attributes_mark_write(const char *uuid, const char *key, const struct attributes *a);

/* Takes over what the mark says, if there is one. */
void attributes_mark_read(const char *uuid, const char *key, struct attributes *a);

/* The volume is none any more: removes the marks of all its keys. */
void attributes_mark_forget(const char *uuid);
