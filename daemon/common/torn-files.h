/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What write_file_atomic() leaves where it is killed: a file beside the one that was to be, with a dot and six letters or digits behind its
 * name. Nobody reads it; it is taken away at the next start by whoever alone writes that file. */

/* Removes those of dir, of the file NAME SUFFIX, name NULL: of any UUID. Only regular files of ours. No name that is meant may have six
 * letters or digits behind such a name. Returns how many there were, or a negative errno of the directory (-ENOENT: it is not there). */
int torn_files_remove(const char *dir, const char *name, const char *suffix);
