/* SPDX-License-Identifier: Apache-2.0 */
#include "keyslot-words.h"

#include <unistd.h>

#define HEAD 3u

void keyslot_words_done(struct keyslot_words *w) {
        for (unsigned i = 0; i < KEYSLOT_WORDS; i++)
                w->slots[i].passphrase = secret_free(w->slots[i].passphrase);
}

/* Returns 0 (the end), 1, or an error. */
static int read_head(int fd, uint8_t head[static HEAD]) {
        size_t have = 0;
        ssize_t n;

        while (have < HEAD) {
                n = read(fd, head + have, HEAD - have);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return have == 0 ? 0 : -EBADMSG;
                have += (size_t) n;
        }
        return 1;
}

static int read_word(int fd, const uint8_t head[static HEAD], struct keyslot_words *w) {
        unsigned slot = head[0], size = head[1] | (unsigned) head[2] << 8;
        int r;

        if (slot >= KEYSLOT_WORDS || size > KEYSLOT_PASSPHRASE_MAX || w->slots[slot].drop || w->slots[slot].passphrase)
                return -EBADMSG;
        if (size > 0) {
                r = secret_read(fd, size, &w->slots[slot].passphrase);
                return r == -EPIPE ? -EBADMSG : r;
        }
        w->slots[slot].drop = true;
        return 0;
}

int keyslot_words_read(int fd, struct keyslot_words *ret) {
        struct keyslot_words w = {};
        uint8_t head[HEAD];
        int r;

        while ((r = read_head(fd, head)) > 0) {
                r = read_word(fd, head, &w);
                if (r < 0)
                        break;
        }
        if (r < 0) {
                keyslot_words_done(&w);
                return r;
        }
        *ret = w;
        return 0;
}

int keyslot_words_write(int fd, unsigned slot, const struct secret *passphrase) {
        size_t size = passphrase ? secret_size(passphrase) : 0;
        const uint8_t head[HEAD] = { (uint8_t) slot, (uint8_t) size, (uint8_t) (size >> 8) };

        if (slot >= KEYSLOT_WORDS || size > KEYSLOT_PASSPHRASE_MAX || (passphrase && size == 0))
                return -EINVAL;
        if (write(fd, head, sizeof(head)) != (ssize_t) sizeof(head))
                return errno > 0 ? -errno : -EIO;
        return passphrase ? secret_write(fd, passphrase) : 0;
}
