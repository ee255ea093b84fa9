/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A token, a secret id or the like, from a file that only its owner and the worker's group may read. */

#include "common/secret.h"

enum secret_file_flags {
        SECRET_FILE_PRIVATE = 1 << 0,    /* refuse one that everybody may read */
        SECRET_FILE_PEM = 1 << 1,        /* any text; else only what one line of a header may have */
        SECRET_FILE_NO_LINK = 1 << 2,    /* refuse a symbolic link: somebody else said the path */
};

/* Reads the file, without white space at its end, with a NUL behind. Returns
 * 0, -EBADMSG (empty, more than SECRET_MAX, not a regular file, or characters that it must not have), -EACCES
 * with *ret_why (open to everybody), -ENOMEM, -EPERM, or -errno of the file. *ret_why (static) is filled for each. */
int secret_file_read(const char *path, unsigned flags, struct secret **ret, const char **ret_why);
