/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An image as the boot loader hands it to the kernel: archives one after the other (processor microcode, modules), the
 * last one usually compressed. Nothing is written anywhere: the distribution's own decompressor runs as a child without
 * rights, between the file and a pipe, and cpio.c reads from the pipe.
 *
 *   file ─► cpio ─► cpio ─► 1f 8b ... ─► gzip -dc ─► cpio
 *
 * A UKI (pe.h) is such a file from its section .initrd on. */

#include "cpio.h"

struct unpack_result {
        char compression[16];               /* of the last part; empty: none */
        bool rest_unread;                   /* something follows the compressed part */
        bool is_unified, is_signed;         /* a UKI, and whether it carries a signature */
};

/* Reads all of fd into sink. On an error *ret_why is a sentence for people (the caller's). Returns 0, -EBADMSG (no
 * image, or a damaged one), -E2BIG, -ENOENT (the decompressor is not installed), or -errno. */
int unpack_image(int fd, const struct cpio_sink *sink, struct unpack_result *ret, char **ret_why);
