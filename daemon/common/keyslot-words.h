/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What somebody says of keyslots that are not cmkd's own: what opens each, or that it may go. From cmkctl through a pipe, which cmkd passes
 * on unread, to the child that changes the header:
 *
 *   number, size (2 bytes, little endian), passphrase; size 0: may go; ... end of file */

#include "secret.h"

#define KEYSLOT_WORDS 32
#define KEYSLOT_PASSPHRASE_MAX SECRET_MAX

struct keyslot_words {
        struct {
                struct secret *passphrase;    /* NULL: nothing is said, or drop */
                bool drop;
        } slots[KEYSLOT_WORDS];
};

void keyslot_words_done(struct keyslot_words *w);

/* Until the end of the file. Returns 0, -EBADMSG (not as above, or something of a keyslot twice), errors of secret_read(). */
int keyslot_words_read(int fd, struct keyslot_words *ret);

/* One of them; passphrase: NULL: may go. Returns 0, -EINVAL (no such number, or size), or what write(2) says. */
int keyslot_words_write(int fd, unsigned slot, const struct secret *passphrase);
