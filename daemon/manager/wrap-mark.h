/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What was last heard of each key of a volume that has several, for the next manager and the next attach since this boot: the
 * lease of each goes on where it was, and an owner who was silent when the volume was opened by another key is not given
 * lease and grace anew by closing and opening it.
 *
 * A file a volume in /run/cmkd/wraps, named by its UUID, a line a key: "STATE BOOTTIME REALTIME KEY", STATE being
 *   granted    its last grant was issued then
 *   silent     it has not been granted since it was first asked, which was then
 * What cannot be read counts as nothing. */

#include "trust.h"

struct volume;

struct wrap_mark_line {
        char key[KEY_URI_MAX];
        bool granted;
        struct instant at;
};

/* Pure. Returns how many lines there are, or -EBADMSG. */
int wrap_mark_parse(const char *text, struct wrap_mark_line ret[static DISK_WRAPS_MAX]);

/* Writes down what is known of the volume's keys now, if there are several. */
void wrap_mark_update(const struct volume *v);

/* A volume whose keys were just bound: of those that have not been granted since, the silence counts from when the mark says
 * that it began, else from now. */
void wrap_mark_apply(struct volume *v);

/* A volume that was open before this manager was: its keys' last yes was when the mark says, for a key that it does not name
 * `yes` (zero: that is not known), and its lease goes on from there. Where that is another instant it goes on from `began`; what other
 * volumes of the key have of it is their business. */
void wrap_mark_adopt(struct volume *v, struct instant yes, struct instant began);
