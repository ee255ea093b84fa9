/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

static void put_le(uint8_t *p, uint64_t v, size_t n) {
        for (size_t i = 0; i < n; i++)
                p[i] = (uint8_t) (v >> (8 * i));
}

static uint64_t get_le(const uint8_t *p, size_t n) {
        uint64_t v = 0;

        for (size_t i = 0; i < n; i++)
                v |= (uint64_t) p[i] << (8 * i);
        return v;
}

static uint8_t *reserve(struct wire_frame *f, size_t n) {
        uint8_t *p;

        if (f->error == 0 && n > sizeof(f->data) - f->size)
                f->error = -EMSGSIZE;
        if (f->error != 0)
                return NULL;
        p = f->data + f->size;
        f->size += n;
        return p;
}

static void put_number(struct wire_frame *f, uint64_t v, size_t n) {
        uint8_t *p = reserve(f, n);

        if (p)
                put_le(p, v, n);
}

void wire_start(struct wire_frame *f, uint16_t type, uint32_t id) {
        f->size = 0;
        f->error = 0;
        put_number(f, WIRE_MAGIC, 4);
        put_number(f, WIRE_VERSION, 2);
        put_number(f, type, 2);
        put_number(f, id, 4);
        put_number(f, 0, 4);
}

void wire_put_u8(struct wire_frame *f, uint8_t v) { put_number(f, v, 1); }
void wire_put_u16(struct wire_frame *f, uint16_t v) { put_number(f, v, 2); }
void wire_put_u32(struct wire_frame *f, uint32_t v) { put_number(f, v, 4); }
void wire_put_u64(struct wire_frame *f, uint64_t v) { put_number(f, v, 8); }

void wire_put_bytes(struct wire_frame *f, const void *p, size_t size) {
        uint8_t *to;

        if (size > UINT16_MAX) {
                if (f->error == 0)
                        f->error = -EMSGSIZE;
                return;
        }
        put_number(f, size, 2);
        to = reserve(f, size);
        if (to && size > 0)
                memcpy(to, p, size);
}

void wire_put_string(struct wire_frame *f, const char *s) {
        size_t n = s ? strlen(s) : 0;

        if (n > WIRE_STRING_MAX) {
                if (f->error == 0)
                        f->error = -EINVAL;
                return;
        }
        wire_put_bytes(f, s, n);
}

int wire_finish(struct wire_frame *f) {
        if (f->error != 0)
                return f->error;
        put_le(f->data + 12, f->size - WIRE_HEADER_SIZE, 4);
        return 0;
}

int wire_open(struct wire_cursor *c, const void *data, size_t size) {
        const uint8_t *p = data;

        if (size < WIRE_HEADER_SIZE || size > WIRE_FRAME_MAX || get_le(p, 4) != WIRE_MAGIC)
                return -EBADMSG;
        if (get_le(p + 4, 2) != WIRE_VERSION)
                return -EPROTONOSUPPORT;
        if (get_le(p + 12, 4) != size - WIRE_HEADER_SIZE)
                return -EBADMSG;
        *c = (struct wire_cursor) {
                .p = p + WIRE_HEADER_SIZE,
                .end = p + size,
                .type = (uint16_t) get_le(p + 6, 2),
                .id = (uint32_t) get_le(p + 8, 4),
        };
        return 0;
}

static const uint8_t *take(struct wire_cursor *c, size_t n) {
        const uint8_t *p = c->p;

        if (c->error == 0 && n > (size_t) (c->end - c->p))
                c->error = -EBADMSG;
        if (c->error != 0)
                return NULL;
        c->p += n;
        return p;
}

static uint64_t get_number(struct wire_cursor *c, size_t n) {
        const uint8_t *p = take(c, n);

        return p ? get_le(p, n) : 0;
}

uint8_t wire_get_u8(struct wire_cursor *c) { return (uint8_t) get_number(c, 1); }
uint16_t wire_get_u16(struct wire_cursor *c) { return (uint16_t) get_number(c, 2); }
uint32_t wire_get_u32(struct wire_cursor *c) { return (uint32_t) get_number(c, 4); }
uint64_t wire_get_u64(struct wire_cursor *c) { return get_number(c, 8); }

void wire_get_string(struct wire_cursor *c, char *buf, size_t size) {
        size_t n = wire_get_u16(c);
        const uint8_t *p;

        buf[0] = 0;
        if (c->error == 0 && (n > WIRE_STRING_MAX || n >= size))
                c->error = -EBADMSG;
        p = take(c, n);
        if (!p)
                return;
        if (memchr(p, 0, n)) {
                c->error = -EBADMSG;
                return;
        }
        memcpy(buf, p, n);
        buf[n] = 0;
}

void wire_get_bytes(struct wire_cursor *c, void *buf, size_t max, size_t *ret_size) {
        size_t n = wire_get_u16(c);
        const uint8_t *p;

        if (c->error == 0 && n > max)
                c->error = -EBADMSG;
        p = take(c, n);
        if (!p)
                return;
        if (n > 0)
                memcpy(buf, p, n);
        *ret_size = n;
}

void wire_get_exact(struct wire_cursor *c, void *buf, size_t size) {
        size_t n = 0;

        wire_get_bytes(c, buf, size, &n);
        if (c->error == 0 && n != size)
                c->error = -EBADMSG;
}

int wire_end(const struct wire_cursor *c) {
        if (c->error != 0)
                return c->error;
        return c->p == c->end ? 0 : -EBADMSG;
}
