/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Programs of a distribution that open volumes in the course of their work: udev, mount, fsck, LVM, md, multipath, and
 * cmkctl. cmkd-audit tells the kernel which files they are (guard-maps.h), `cmkctl audit` knows them by the path that a
 * record has: what one of these paths did, and the kernel did not know it for that file, was another program under its
 * name. None that copies a device or reads any block of it (e2image, xfs_db), and no script: the kernel sees its shell. */

#include <stdbool.h>
#include <stddef.h>

/* As enum cmkd_program_may of event.h. */
enum known_may {
        KNOWN_OPEN = 1 << 0,
        KNOWN_TABLE = 1 << 1,
        KNOWN_CONNECT = 1 << 2,
        KNOWN_KEYS = 1 << 3,
};

struct known_program {
        const char *name;
        unsigned may;
};

/* Where Debian, Fedora and SUSE have them, each with a "/" at its end; the one with that number, NULL behind the last. */
const char *known_directory(size_t i);

/* The one with that number, NULL behind the last. */
const struct known_program *known_program(size_t i);

/* What the program of that path may: 0 where it is not in one of these directories, or none of these. */
unsigned known_path_may(const char *path);
