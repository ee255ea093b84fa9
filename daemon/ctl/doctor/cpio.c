/* SPDX-License-Identifier: Apache-2.0 */
#include "cpio.h"

#define TRAILER "TRAILER!!!"

/* Fields of the header after the magic, eight hexadecimal digits each. */
enum { FIELD_MODE = 1, FIELD_SIZE = 6, FIELD_NAME_SIZE = 11 };

void cpio_init(struct cpio *c, const struct cpio_sink *sink) {
        *c = (struct cpio) { .sink = *sink, .state = CPIO_BETWEEN };
}

static int read_field(const char *header, unsigned field, uint32_t *ret) {
        const char *p = header + 6 + 8 * field;
        uint32_t v = 0;

        for (unsigned i = 0; i < 8; i++) {
                char ch = p[i];
                unsigned digit;

                if (ch >= '0' && ch <= '9')
                        digit = (unsigned) (ch - '0');
                else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f')
                        digit = (unsigned) ((ch | 0x20) - 'a') + 10;
                else
                        return -EBADMSG;
                v = v << 4 | digit;
        }
        *ret = v;
        return 0;
}

static int header_done(struct cpio *c) {
        uint32_t size;

        if (memcmp(c->header, "07070", 5) != 0 || (c->header[5] != '1' && c->header[5] != '2') ||
            read_field(c->header, FIELD_MODE, &c->entry.mode) < 0 || read_field(c->header, FIELD_SIZE, &size) < 0 ||
            read_field(c->header, FIELD_NAME_SIZE, &c->name_size) < 0 || c->name_size == 0 ||
            c->name_size > CPIO_NAME_MAX + 1)
                return -EBADMSG;
        c->entry.size = size;
        c->total += sizeof(c->header) + c->name_size + size;
        if (++c->entries > CPIO_ENTRIES_MAX || c->total > CPIO_TOTAL_MAX)
                return -E2BIG;
        c->state = CPIO_NAME;
        c->left = c->name_size;
        c->filled = 0;
        return 0;
}

static int name_done(struct cpio *c) {
        if (c->entry.name[c->name_size - 1] || strlen(c->entry.name) != c->name_size - 1)
                return -EBADMSG;
        c->state = CPIO_NAME_PAD;
        c->left = -(sizeof(c->header) + c->name_size) & 3;
        return 0;
}

static int data_done(struct cpio *c) {
        int r = c->sink.end(c->sink.user);

        c->state = CPIO_DATA_PAD;
        c->left = -c->entry.size & 3;
        return r;
}

static int name_pad_done(struct cpio *c) {
        int r;

        if (streq(c->entry.name, TRAILER)) {
                if (c->entry.size != 0)
                        return -EBADMSG;
                c->archives++;
                c->state = CPIO_BETWEEN;
                return 0;
        }
        r = c->sink.begin(c->sink.user, &c->entry);
        c->state = CPIO_DATA;
        c->left = c->entry.size;
        return r;
}

static int next_header(struct cpio *c) {
        c->state = CPIO_HEADER;
        c->left = sizeof(c->header);
        c->filled = 0;
        return 0;
}

/* What follows a part that is complete. */
static int part_done(struct cpio *c) {
        switch (c->state) {
        case CPIO_HEADER:
                return header_done(c);
        case CPIO_NAME:
                return name_done(c);
        case CPIO_NAME_PAD:
                return name_pad_done(c);
        case CPIO_DATA:
                return data_done(c);
        case CPIO_DATA_PAD:
                return next_header(c);
        case CPIO_BETWEEN:
                break;
        }
        return 0;
}

static int take(struct cpio *c, const uint8_t *data, size_t size) {
        switch (c->state) {
        case CPIO_HEADER:
                memcpy(c->header + c->filled, data, size);
                c->filled += size;
                return 0;
        case CPIO_NAME:
                memcpy(c->entry.name + c->filled, data, size);
                c->filled += size;
                return 0;
        case CPIO_DATA:
                return c->sink.data(c->sink.user, data, size);
        default:
                return 0;
        }
}

int cpio_feed(struct cpio *c, const uint8_t *data, size_t size, size_t *ret_used) {
        size_t used = 0;
        int r = 0;

        while (r >= 0 && used < size) {
                size_t n;

                if (c->state == CPIO_BETWEEN) {
                        if (data[used] == 0) {
                                used++;
                                continue;
                        }
                        if (data[used] != '0') {
                                *ret_used = used;
                                return 1;
                        }
                        next_header(c);
                }
                n = (size_t) MIN_OF(c->left, (uint64_t) (size - used));
                r = take(c, data + used, n);
                used += n;
                c->left -= n;
                while (r >= 0 && c->left == 0 && c->state != CPIO_BETWEEN)
                        r = part_done(c);
        }
        if (r < 0)
                return r;
        *ret_used = used;
        return 0;
}
