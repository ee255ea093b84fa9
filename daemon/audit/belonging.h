/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether what a start finds pinned is what an earlier one pinned: root may have put other things under these names while nobody
 * looked. A program knows the maps that it was loaded with and the object that it came from (by that one's BTF), by number, and that
 * is the kernel's word; so each link has to be of a program of its name, from an object that uses our maps, and each map has to be the
 * one that the programs use. Whoever brings all of them is not found out. */

#include "common/util.h"

/* The first of these maps in dir that is not there or is not the one that the programs linked in dir use (or, where none uses it, that
 * is not in the map "own"). NULL: all are. */
const char *belonging_find_foreign_map(const char *dir, const char *const *maps, size_t n);

/* Where the programs come from that are linked in a directory and use a map. */
struct belonging {
        uint32_t origins[32];
        size_t n;
};

void belonging_begin(struct belonging *b, const char *dir, const char *map);

/* Whether a link is of the program of that name, and that one comes from where those do. */
bool belonging_has_link(const struct belonging *b, int link_fd, const char *program);
