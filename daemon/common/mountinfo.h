/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The text of /proc/PID/mountinfo and /proc/swaps, one line at a time. Pure but for the reading; mount points, sources
 * and options hold whatever bytes those who may mount chose. */

#include "util.h"

struct mount_line {
        uint64_t id, parent;
        uint32_t major, minor;
        uint64_t group;                    /* that it shares its mounts with; 0: none */
        const char *root, *point, *type, *source, *options;    /* into the line, unescaped */
};

/* Parses one line of mountinfo (proc(5)), without its newline, in place. Returns 0 or -EINVAL. */
int mount_line_parse(char *line, struct mount_line *ret);

/* The path of a line of /proc/swaps as swapoff(2) wants it, in place; NULL: there is none (the heading). */
char *swap_line_path(char *line);

/* Whether path is the directory or below it, by their text. */
bool path_is_below(const char *path, const char *directory);

/* Reads what there is from there on of a file of procfs, as one text; what a user mounted beyond 32 MiB is left out.
 * Returns 0, -ENOMEM, or what read(2) says. */
int mountinfo_read(int fd, char **ret);

/* The number of a line ("mnt_id:", "ino:") of the text of a file of /proc/PID/fdinfo. Returns 0, -ENODATA, or -EINVAL or -ERANGE
 * (above max). */
int fdinfo_number(const char *text, const char *name, uint64_t max, uint64_t *ret);

/* What this system cannot do without, whatever it is mounted from; ends with NULL. */
extern const char *const system_places[];
