/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether what a start finds pinned is what an earlier one pinned: root may have put other things under these names while nobody
 * looked. A program knows the maps that it was loaded with, by number, and that is the kernel's word; so each link has to be of a
 * program of its name that uses our maps, and each map has to be the one that the programs use. Whoever brings all of them, and his
 * own programs, is not found out. */

#include "common/util.h"

/* The first of these maps in dir that is not there or is not the one that the programs linked in dir use (or, where none uses it, that
 * is not in the map "own"). NULL: all are. */
const char *belonging_find_foreign_map(const char *dir, const char *const *maps, size_t n);

/* Whether a link is of the program of that name, and that one uses the map that is pinned at path. */
bool belonging_is_link_of(int link_fd, const char *program, const char *map_path);
