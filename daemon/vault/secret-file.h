/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A token, a secret id or the like, from a file that only its owner and the worker's group may read. */

#include "common/secret.h"

/* Reads the file, without white space at its end, with a NUL behind. private_file: refuse one that everybody may read. Returns
 * 0, -EBADMSG (empty, more than SECRET_MAX, not a regular file, or characters that are not in one line of a header), -EACCES
 * with *ret_why (open to everybody), -ENOMEM, -EPERM, or -errno of the file. *ret_why (static) is filled for each. */
int secret_file_read(const char *path, bool private_file, struct secret **ret, const char **ret_why);
