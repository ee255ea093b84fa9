/* SPDX-License-Identifier: Apache-2.0 */
#include "recovery-text.h"

static const char alphabet[16] = "cbdefghijklnrtuv";

/* All ones where a equals b, both below 256. */
static unsigned mask_equal(unsigned a, unsigned b) {
        return 0u - (((a ^ b) - 1u) >> 31);
}

static uint8_t letter(unsigned nibble) {
        unsigned c = 0;

        for (unsigned i = 0; i < 16; i++)
                c |= (unsigned) alphabet[i] & mask_equal(i, nibble);
        return (uint8_t) c;
}

/* Above 15: not a letter of the alphabet. */
static unsigned nibble(uint8_t c) {
        unsigned n = 0, found = 0;

        for (unsigned i = 0; i < 16; i++) {
                unsigned m = mask_equal((unsigned) alphabet[i], c) | mask_equal((unsigned) alphabet[i] - 32u, c);

                n |= i & m;
                found |= m;
        }
        return n | (~found & 16u);
}

int recovery_text_encode(const struct secret *key, struct secret **ret) {
        _cleanup_(secret_freep) struct secret *text = NULL;
        const uint8_t *from;
        uint8_t *to;
        int r;

        if (secret_size(key) != RECOVERY_KEY_SIZE)
                return -EINVAL;
        r = secret_new(RECOVERY_TEXT_SIZE, &text);
        if (r < 0)
                return r;
        from = secret_cdata(key);
        to = secret_data(text);
        for (size_t i = 0; i < RECOVERY_KEY_SIZE; i++) {
                if (i > 0 && i % 4 == 0)
                        *to++ = '-';
                *to++ = letter(from[i] >> 4);
                *to++ = letter(from[i] & 15);
        }
        *ret = TAKE_PTR(text);
        return 0;
}

int recovery_text_make(struct secret **ret) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        int r;

        r = secret_random(RECOVERY_KEY_SIZE, &key);
        return r < 0 ? r : recovery_text_encode(key, ret);
}

int recovery_text_normalize(const struct secret *typed, struct secret **ret) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        const uint8_t *p = secret_cdata(typed);
        size_t size = secret_size(typed);
        unsigned bad = 0;
        uint8_t *to;
        bool dashes;
        int r;

        if (size > 0 && p[size - 1] == '\n')
                size--;
        if (size != RECOVERY_TEXT_SIZE && size != RECOVERY_TEXT_RAW_SIZE)
                return -EINVAL;
        dashes = size == RECOVERY_TEXT_SIZE;
        r = secret_new(RECOVERY_KEY_SIZE, &key);
        if (r < 0)
                return r;
        to = secret_data(key);
        for (size_t i = 0; i < RECOVERY_KEY_SIZE; i++) {
                unsigned high, low;

                if (dashes && i > 0 && i % 4 == 0)
                        bad |= *p++ ^ '-';
                high = nibble(*p++);
                low = nibble(*p++);
                bad |= (high | low) & 16u;
                to[i] = (uint8_t) (high << 4 | low);
        }
        return bad ? -EINVAL : recovery_text_encode(key, ret);
}
