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

/* The segment with the smallest number above after; or with the largest of all. Returns 1, 0 (there is none) or
 * -errno of the directory. */
int segments_next(int dir_fd, const char *stem, uint64_t after, uint64_t *ret_first);
int segments_last(int dir_fd, const char *stem, uint64_t *ret_first);
