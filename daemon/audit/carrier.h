/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the trail would be written to. A volume of role data or scratch is no place for it: its key's owner would end the
 * recording for everybody by revoking, and what is said of that revocation would be the first thing to be lost. */

#include "common/policy-values.h"

struct carrier {
        char uuid[37];                     /* of the volume; "": none of ours that may not */
        enum role role;
};

/* The volume of role data or scratch that dir is on, directly or through what is stacked on it. Returns 1, 0 (none, or it
 * cannot be told), or -errno of /proc. Of a file system on several devices the one that it was mounted by is looked at. */
int carrier_find(const char *dir, struct carrier *ret);

/* The device that dir is on, from a text like /proc/self/mountinfo (which is taken apart); major 0: a file system that has
 * no device of its own, *ret_source: what it was mounted from, into the text. Pure. Returns 1 or 0: none is above it. */
int carrier_mount(char *mountinfo, const char *dir, uint32_t *ret_major, uint32_t *ret_minor, const char **ret_source);
