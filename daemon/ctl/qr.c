/* SPDX-License-Identifier: Apache-2.0 */
#include "qr.h"

#include <dlfcn.h>
#include <stdio.h>
#include <sys/mman.h>

#define QUIET 4
#define WIDTH_MAX 177                  /* of version 40 */

/* libqrencode 4, qrencode.h: what is used of it, and has not changed since 3.0. */
struct qr_code {
        int version, width;
        unsigned char *data;
};

typedef struct qr_code *(*encode_function)(const char *text, int version, int level, int hint, int case_sensitive);
typedef void (*free_function)(struct qr_code *);
enum { LEVEL_LOW = 0, MODE_8 = 2 };

char *qr_render(const unsigned char *modules, int width) {
        static const char *const blocks[2][2] = { { "\xe2\x96\x88", "\xe2\x96\x80" }, { "\xe2\x96\x84", " " } };   /* [above][below] is black */
        int from = -QUIET, to = width + QUIET;
        char *text = NULL;
        size_t size = 0;
        FILE *f;

        if (width < 1 || width > WIDTH_MAX)
                return NULL;
        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        for (int y = from; y < to; y += 2) {
                fputs("\033[40;37;1m", f);
                for (int x = from; x < to; x++) {
                        bool black[2];

                        for (int i = 0; i < 2; i++)
                                black[i] = x >= 0 && x < width && y + i >= 0 && y + i < width && (modules[(y + i) * width + x] & 1);
                        /* an odd number of rows: below the last one there is nothing to be lit */
                        fputs(y + 1 >= to && !black[0] ? blocks[0][1] : blocks[black[0]][black[1]], f);
                }
                fputs("\033[0m\n", f);
        }
        return fclose(f) == 0 ? text : (free(text), NULL);
}

static int encode(void *library, const struct secret *text, struct qr_code **ret) {
        encode_function f = (encode_function) dlsym(library, "QRcode_encodeString");
        char *s;

        if (!f)
                return -ENOPKG;
        s = strndup((const char *) secret_cdata(text), secret_size(text));
        if (!s)
                return -ENOMEM;
        *ret = f(s, 0, LEVEL_LOW, MODE_8, 1);
        explicit_bzero(s, strlen(s));
        free(s);
        return *ret ? 0 : errno == ENOMEM ? -ENOMEM : -E2BIG;
}

int qr_draw(int fd, const struct secret *text) {
        void *library = dlopen("libqrencode.so.4", RTLD_NOW|RTLD_LOCAL);
        struct qr_code *code = NULL;
        free_function done;
        char *picture;
        int r;

        if (!library)
                return -ENOPKG;
        /* What it copies is never swapped. */
        (void) mlockall(MCL_CURRENT|MCL_FUTURE);
        r = encode(library, text, &code);
        if (r < 0)
                return r;
        picture = qr_render(code->data, code->width);
        r = picture ? write_all(fd, picture, strlen(picture)) : -ENOMEM;
        if (picture)
                explicit_bzero(picture, strlen(picture));
        free(picture);
        explicit_bzero(code->data, (size_t) code->width * (size_t) code->width);
        done = (free_function) dlsym(library, "QRcode_free");
        if (done)
                done(code);
        return r;
}
