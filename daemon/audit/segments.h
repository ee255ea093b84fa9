/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The files of a trail: STEM.jsonl is written to; STEM-FIRST.jsonl are the older ones, FIRST being the number of the first
 * record in 20 digits, so that their names sort as their records do. */

#include "common/util.h"

#define SEGMENT_SUFFIX ".jsonl"
#define SEGMENT_NAME_MAX 256u

/* The file's name. Returns 0 or -ENAMETOOLONG. */
int segment_name(const char *stem, uint64_t first, char *ret, size_t size);

/* The number in a name. Returns 0 or -EINVAL: not such a name. */
int segment_parse(const char *stem, const char *name, uint64_t *ret_first);

/* The numbers of the segments above after, in their order: an array (the caller's) of *ret_n. The directory is read once; a segment that is
 * made later has a larger number than all there are. Returns 0, -ENOMEM or -errno of the directory. */
int segments_list(int dir_fd, const char *stem, uint64_t after, uint64_t **ret, size_t *ret_n);
