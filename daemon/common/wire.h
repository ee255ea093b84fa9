/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Frames between the programs: encoding and limits, no I/O (that is link.h).
 *
 *   | magic u32 | version u16 | type u16 | id u32 | length u32 | payload ... |      all little endian
 *
 * One SOCK_SEQPACKET datagram is one frame. A writer fills a struct wire_frame; a reader walks it with a struct
 * wire_cursor. Both have a sticky error, so that a message is encoded or decoded in straight lines and checked once:
 * wire_finish() for writers, wire_end() for readers, where bytes left over are an error too. Strings travel as
 * length u16 and bytes, without NUL, and may hold no NUL; "absent" and "empty" are the same. */

#include "util.h"

#define WIRE_MAGIC UINT32_C(0x646b6d63)   /* "cmkd" */
#define WIRE_VERSION 1u
#define WIRE_HEADER_SIZE 16u
#define WIRE_FRAME_MAX 32768u
#define WIRE_STRING_MAX 8192u

struct wire_frame {
        size_t size;             /* header and payload */
        int error;               /* sticky: -EMSGSIZE, -EINVAL */
        uint8_t data[WIRE_FRAME_MAX];
};

struct wire_cursor {
        const uint8_t *p, *end;
        int error;               /* sticky: -EBADMSG */
        uint16_t type;
        uint32_t id;
};

/* Starts a frame of that type; id goes back in the reply. */
void wire_start(struct wire_frame *f, uint16_t type, uint32_t id);
void wire_put_u8(struct wire_frame *f, uint8_t v);
void wire_put_u16(struct wire_frame *f, uint16_t v);
void wire_put_u32(struct wire_frame *f, uint32_t v);
void wire_put_u64(struct wire_frame *f, uint64_t v);
void wire_put_string(struct wire_frame *f, const char *s);                      /* NULL counts as empty */
void wire_put_bytes(struct wire_frame *f, const void *p, size_t size);          /* length u16 and bytes */

/* Writes the length into the header. Returns 0, -EMSGSIZE (something did not fit) or -EINVAL (a string too long). */
int wire_finish(struct wire_frame *f);

/* Begins to read a received frame of size bytes. Returns 0 or -EBADMSG (short, foreign magic, wrong length), or
 * -EPROTONOSUPPORT (another version). */
int wire_open(struct wire_cursor *c, const void *data, size_t size);
uint8_t wire_get_u8(struct wire_cursor *c);
uint16_t wire_get_u16(struct wire_cursor *c);
uint32_t wire_get_u32(struct wire_cursor *c);
uint64_t wire_get_u64(struct wire_cursor *c);

/* Copies a string into buf, NUL-terminated. A string that does not fit, or holds a NUL, is an error. */
void wire_get_string(struct wire_cursor *c, char *buf, size_t size);

/* Copies bytes into buf; *ret_size is how many. More than max is an error. */
void wire_get_bytes(struct wire_cursor *c, void *buf, size_t max, size_t *ret_size);

/* Exactly size bytes. */
void wire_get_exact(struct wire_cursor *c, void *buf, size_t size);

/* Nothing may be left. Returns 0 or -EBADMSG. */
int wire_end(const struct wire_cursor *c);
