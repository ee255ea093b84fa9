/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Is a directory in its place yet? Programs of ours start before file systems that /etc/fstab names. */

#include <stdbool.h>

/* Whether the file system that dir belongs to is there: no entry of fstab for a directory above it (other than /
 * and noauto) lacks its mount. fstab: a path; one that is missing holds no entries. */
bool place_ready(const char *dir, const char *fstab);
