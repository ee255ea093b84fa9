/* SPDX-License-Identifier: Apache-2.0 */
#include "base64.h"

/* All ones where lo <= c <= hi, else zero; the sign of either difference decides. */
static inline int in_range(int c, int lo, int hi) {
        return (int) ((unsigned) ((c - lo) | (hi - c)) >> 31) - 1;
}

static inline char encode6(unsigned v, int c62, int c63) {
        int x = (int) v;

        return (char) ((in_range(x, 0, 25) & (x + 'A')) | (in_range(x, 26, 51) & (x - 26 + 'a')) |
                       (in_range(x, 52, 61) & (x - 52 + '0')) | (in_range(x, 62, 62) & c62) | (in_range(x, 63, 63) & c63));
}

/* 0 to 63, or negative. */
static inline int decode6(int c, int c62, int c63) {
        int ok = 0, v = 0, m;

        m = in_range(c, 'A', 'Z'); ok |= m; v |= m & (c - 'A');
        m = in_range(c, 'a', 'z'); ok |= m; v |= m & (c - 'a' + 26);
        m = in_range(c, '0', '9'); ok |= m; v |= m & (c - '0' + 52);
        m = in_range(c, c62, c62); ok |= m; v |= m & 62;
        m = in_range(c, c63, c63); ok |= m; v |= m & 63;
        return v | ~ok;
}

static size_t encode(const uint8_t *in, size_t n, char *out, int c62, int c63, bool pad) {
        size_t o = 0;

        for (size_t i = 0; i < n; i += 3) {
                size_t left = n - i;
                unsigned v = (unsigned) in[i] << 16;

                if (left > 1)
                        v |= (unsigned) in[i + 1] << 8;
                if (left > 2)
                        v |= in[i + 2];
                out[o++] = encode6(v >> 18, c62, c63);
                out[o++] = encode6((v >> 12) & 63, c62, c63);
                if (left > 1)
                        out[o++] = encode6((v >> 6) & 63, c62, c63);
                else if (pad)
                        out[o++] = '=';
                if (left > 2)
                        out[o++] = encode6(v & 63, c62, c63);
                else if (pad)
                        out[o++] = '=';
        }
        out[o] = 0;
        return o;
}

static int decode(const char *in, size_t n, uint8_t *out, size_t max, size_t *ret_size, int c62, int c63) {
        size_t size = n / 4 * 3 + (n % 4 ? n % 4 - 1 : 0), o = 0;
        unsigned acc = 0;
        int bad = 0;

        if (n % 4 == 1)
                return -EINVAL;
        if (size > max)
                return -ENOSPC;
        for (size_t i = 0; i < n; i++) {
                int v = decode6((unsigned char) in[i], c62, c63);

                bad |= v;
                acc = acc << 6 | ((unsigned) v & 63);
                if (i % 4 == 1)
                        out[o++] = (uint8_t) (acc >> 4);
                else if (i % 4 == 2)
                        out[o++] = (uint8_t) (acc >> 2);
                else if (i % 4 == 3)
                        out[o++] = (uint8_t) acc;
        }
        if (n % 4 == 2)
                bad |= -(int) (acc & 15);
        else if (n % 4 == 3)
                bad |= -(int) (acc & 3);
        if (bad < 0) {
                explicit_bzero(out, o);
                return -EINVAL;
        }
        *ret_size = o;
        return 0;
}

void base64_encode(const uint8_t *in, size_t n, char *out) {
        encode(in, n, out, '+', '/', true);
}

void base64url_encode(const uint8_t *in, size_t n, char *out) {
        encode(in, n, out, '-', '_', false);
}

static size_t without_padding(const char *in, size_t n) {
        for (int i = 0; i < 2 && n > 0 && in[n - 1] == '='; i++)
                n--;
        return n;
}

int base64_decode(const char *in, size_t n, uint8_t *out, size_t max, size_t *ret_size) {
        if (n % 4 != 0)
                return -EINVAL;
        return decode(in, without_padding(in, n), out, max, ret_size, '+', '/');
}

int base64url_decode(const char *in, size_t n, uint8_t *out, size_t max, size_t *ret_size) {
        size_t bare = without_padding(in, n);

        if (bare != n && n % 4 != 0)
                return -EINVAL;
        return decode(in, bare, out, max, ret_size, '-', '_');
}

void hex_encode(const uint8_t *in, size_t n, char *out) {
        for (size_t i = 0; i < n; i++)
                for (int k = 0; k < 2; k++) {
                        int v = (in[i] >> (k ? 0 : 4)) & 15;

                        out[2 * i + (size_t) k] = (char) ((in_range(v, 0, 9) & (v + '0')) | (in_range(v, 10, 15) & (v - 10 + 'a')));
                }
        out[2 * n] = 0;
}

int hex_decode(const char *in, uint8_t *out, size_t n) {
        int bad = 0;

        for (size_t i = 0; i < n; i++) {
                int byte = 0;

                for (int k = 0; k < 2; k++) {
                        int c = (unsigned char) in[2 * i + (size_t) k], ok, v, m;

                        if (c == 0)
                                return -EINVAL;
                        m = in_range(c, '0', '9'); ok = m; v = m & (c - '0');
                        m = in_range(c, 'a', 'f'); ok |= m; v |= m & (c - 'a' + 10);
                        m = in_range(c, 'A', 'F'); ok |= m; v |= m & (c - 'A' + 10);
                        bad |= ~ok;
                        byte = byte << 4 | v;
                }
                out[i] = (uint8_t) byte;
        }
        return bad ? -EINVAL : 0;
}
