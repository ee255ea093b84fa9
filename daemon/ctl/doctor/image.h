/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an initramfs holds, as far as the doctor asks for it: every path with its kind, the content of small
 * configuration files, build id and libraries of programs. Nothing of the image is ever written to a disk here; the
 * content of all that is kept is bounded (IMAGE_KEPT_MAX).
 *
 *   unpack.c ──► image_sink() ──► files, in the archives' order ──► image_finish(): sorted, later ones win
 *
 * Paths are relative, without "./", and with /bin, /sbin and /lib as in a merged /usr: usr/lib/cmkd/cmkd. A path that
 * has ".." in it is noted and left out. */

#include "cpio.h"
#include "elf.h"

#define IMAGE_FILE_MAX (1u << 20)           /* of a file whose content is kept */
#define IMAGE_TABLE_MAX (8u << 20)          /* modules.dep, modules.builtin */
#define IMAGE_ELF_MAX (64u << 20)           /* of a program that is read, and then forgotten */
#define IMAGE_KEPT_MAX (64u << 20)

struct image_file {
        char *path;
        size_t order;                       /* in the archives: the kernel lets the last one win */
        uint32_t mode;
        uint64_t size;
        char *link;                         /* of a symbolic link */
        char *data;                         /* NULL: not kept. One NUL more than size */
        bool is_elf, is_private_key;
        struct elf_facts elf;
};

struct image {
        struct image_file *files;
        size_t n_files, n_allocated, n_kept, n_odd_paths;
        char release[128];                  /* of the kernel, by its modules; empty: there are none */
        /* while it is read */
        struct image_file *current;
        uint8_t *buffer;
        size_t buffer_size, buffer_filled;
        bool wants_content, wants_elf, wants_head;
};

/* What fills i from archives. */
struct cpio_sink image_sink(struct image *i);

/* Puts the paths in order. Call it once, after reading. */
void image_finish(struct image *i);

void image_release(struct image *i);

/* The file or directory, links in the last part followed; NULL: there is none. path: absolute or as above. */
const struct image_file *image_find(const struct image *i, const char *path);

/* Kept content as text, or NULL: not there, too large, or holds a NUL. */
const char *image_text(const struct image *i, const char *path);

/* Calls for each path that begins with prefix, in order, until one returns true. Returns whether one did. */
bool image_any(const struct image *i, const char *prefix, bool (*match)(const struct image_file *f, void *user),
               void *user);

/* Whether the image has a kernel module of this name, as a file or built into its kernel (by the image's list). */
bool image_has_module(const struct image *i, const char *name);

/* Whether a list as in modules.builtin names the module. */
bool module_list_has(const char *list, const char *name);

/* Writes the path in the form above. Returns 0, or -EINVAL (empty, too long, or has ".." in it). */
int image_path(const char *path, char *buf, size_t size);
