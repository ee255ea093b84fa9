/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a scratch disk is known by: a LUKS2 header that nothing opens (no keyslot, ever) with a token of a type of our own.
 *
 *   {"type":"cmkd-scratch", "keyslots":[], "version":1, "name":NAME}
 *
 * Tools see an encrypted disk and not an empty one; the volume key was in the kernel only. The header keeps nobody's secret:
 * its digest is PBKDF2 of a random 512-bit key. */

#include "header-check.h"

#define SCRATCH_TOKEN_TYPE "cmkd-scratch"

/* What stands on a disk that is to become a scratch disk. */
struct scratch_found {
        bool marked;                   /* a copy of the mark is good */
        char name[65];                 /* that it has */
        char signature[256];           /* what libblkid finds; empty: nothing */
        bool zeros;                    /* both ends are zeros */
};

/* Looks for the mark in both copies of the header: in the second only where the first is none at all, as a crash while it
 * was written leaves it. A header that has a keyslot is somebody's. Fills marked and name. Returns 0, -ENOMEM or -errno of read. */
int scratch_mark_read(int fd, struct scratch_found *ret);

/* The token. The caller frees *ret. Returns 0 or -ENOMEM. */
int scratch_mark_format(const char *name, char **ret);

enum scratch_verdict {
        SCRATCH_OURS,                  /* what it has is not readable any more: nothing is lost */
        SCRATCH_EMPTY,
        SCRATCH_OTHERS,                /* a scratch disk of another name */
        SCRATCH_ENCRYPTED,             /* somebody's volume, and not for anybody to tell how much is lost with it: never taken */
        SCRATCH_HOLDS,                 /* another signature */
        SCRATCH_UNKNOWN,               /* no signature, but data */
};

/* Pure: what is the disk to a scratch disk of that name? */
enum scratch_verdict scratch_judge(const struct scratch_found *f, const char *name);
