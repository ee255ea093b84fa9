/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A key as a QR code of half blocks on a terminal, by libqrencode where that is installed: it is looked for at run time and
 * needed for nothing else. */

#include "common/secret.h"

/* Draws the text into fd. Its copies in libqrencode are overwritten where they can be reached; the rest is in locked memory of a process
 * that ends soon. Returns 0, -ENOPKG (there is no library), -ENOMEM, -E2BIG (it does not fit into a code), or -errno of write. */
int qr_draw(int fd, const struct secret *text);

/* Pure: width times width modules, 1 of each byte is a black one, with the quiet zone of four that readers ask for, light on
 * dark as terminals mostly are. Returns UTF-8 that the caller wipes and frees, or NULL without memory. */
char *qr_render(const unsigned char *modules, int width);
