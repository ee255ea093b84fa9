/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The files of an export (bundle.h): written once into a directory under another name, each with its SHA-256, and that
 * directory renamed when all of them are on disk. Without bundle_files_end() nothing is left. */

#include "common/util.h"

#define BUNDLE_FILES_MAX 4200u
#define BUNDLE_SUM_SIZE 64u

struct bundle_files {
        const char *dir;                   /* the name that it gets */
        char *made;                        /* the one that it has; NULL: nothing to be taken back */
        int fd;                            /* of that */
        struct { char *name; char sum[BUNDLE_SUM_SIZE + 1]; uint64_t size; } f[BUNDLE_FILES_MAX];
        size_t n;
};

struct bundle_file;

/* Begins. Returns 0, -EEXIST (dir is there), -ENOMEM or -errno. */
int bundle_files_begin(const char *dir, struct bundle_files *ret);

/* Everything becomes durable and gets its name. Returns 0, -EEXIST (somebody else made dir meanwhile) or -errno. */
int bundle_files_end(struct bundle_files *b);

/* Frees; what did not get its name is removed. */
void bundle_files_done(struct bundle_files *b);

/* Writes SHA256SUMS, for sha256sum -c; ret: its own sum. Errors as of bundle_file_text(). */
int bundle_files_sums(struct bundle_files *b, char ret[static BUNDLE_SUM_SIZE + 1]);

/* One file: begun, added to, ended (which notes its sum). Returns 0, -E2BIG (too many), -EEXIST, -ENOMEM, -EIO or -errno. */
int bundle_file_new(struct bundle_files *b, const char *name, struct bundle_file **ret);
int bundle_file_add(struct bundle_file *f, const void *data, size_t size);
int bundle_file_end(struct bundle_file *f);
struct bundle_file *bundle_file_free(struct bundle_file *f);
static inline void bundle_file_freep(struct bundle_file **f) { bundle_file_free(*f); }

/* The three in one, with a text; and with a copy of DIR/NAME as it is now, up to its last newline where it is a .jsonl (a line that
 * is being written is none yet). What is no regular file is left out. Errors as above. */
int bundle_file_text(struct bundle_files *b, const char *name, const char *text);
int bundle_file_copy(struct bundle_files *b, const char *dir, const char *name);
