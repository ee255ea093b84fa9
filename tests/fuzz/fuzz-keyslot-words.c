/* SPDX-License-Identifier: Apache-2.0 */

/* What is said of keyslots. What is accepted, written again, is the same but for the order. */

#include "common/keyslot-words.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_same(const struct keyslot_words *a, const struct keyslot_words *b) {
        for (unsigned i = 0; i < KEYSLOT_WORDS; i++) {
                const struct secret *x = a->slots[i].passphrase, *y = b->slots[i].passphrase;

                if (a->slots[i].drop != b->slots[i].drop || !x != !y || (x && !secret_equal(x, y)) || (x && a->slots[i].drop))
                        return false;
        }
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(keyslot_words_done) struct keyslot_words words = {}, again = {};
        _cleanup_(closep) int fd = memfd_create("words", MFD_CLOEXEC), copy = memfd_create("again", MFD_CLOEXEC);

        if (fd < 0 || copy < 0 || pwrite_all(fd, data, size, 0) < 0 || keyslot_words_read(fd, &words) < 0)
                return 0;
        for (unsigned i = 0; i < KEYSLOT_WORDS; i++)
                if ((words.slots[i].drop || words.slots[i].passphrase) && keyslot_words_write(copy, i, words.slots[i].passphrase) < 0)
                        abort();
        if (lseek(copy, 0, SEEK_SET) < 0 || keyslot_words_read(copy, &again) < 0 || !is_same(&words, &again))
                abort();
        return 0;
}
