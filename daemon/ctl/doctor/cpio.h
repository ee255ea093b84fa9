/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reads cpio archives of the kind that the kernel unpacks at boot ("newc", Documentation/driver-api/early-userspace/
 * buffer-format.rst) from a stream of bytes, as they come. Pure: no files, no decompression.
 *
 *   bytes ──► cpio_feed() ──► begin(entry) data(...)* end()   for each entry, also of the archives that follow
 *
 * Archives may follow one another, with zeros between them. What is neither ends the reading: the caller looks whether
 * it is compressed. Nothing that an archive says is believed: names are bounded, sizes are counted and never allocated
 * here, and the sum of both is limited. */

#include "common/util.h"

#define CPIO_NAME_MAX 4096u
#define CPIO_ENTRIES_MAX 262144u
#define CPIO_TOTAL_MAX (UINT64_C(4) << 30)

struct cpio_entry {
        char name[CPIO_NAME_MAX + 1];       /* as it stands in the archive: may hold "..", is not to be opened */
        uint32_t mode;
        uint64_t size;
};

/* Each returns 0 or a negative errno, which ends the reading. */
struct cpio_sink {
        int (*begin)(void *user, const struct cpio_entry *e);
        int (*data)(void *user, const void *data, size_t size);
        int (*end)(void *user);
        void *user;
};

enum cpio_state { CPIO_BETWEEN, CPIO_HEADER, CPIO_NAME, CPIO_NAME_PAD, CPIO_DATA, CPIO_DATA_PAD };

struct cpio {
        struct cpio_sink sink;
        enum cpio_state state;
        uint64_t left;                      /* bytes to come of the part that state names */
        uint64_t total;
        uint32_t entries, archives;         /* archives: whose end was seen */
        size_t filled;                      /* of header or name */
        char header[110];
        uint32_t name_size;
        struct cpio_entry entry;
};

void cpio_init(struct cpio *c, const struct cpio_sink *sink);

/* Reads on. Returns 0 (all of data was used), 1 (data + *ret_used begins something that is no cpio archive, and stands
 * where an archive may end), -EBADMSG (an archive that is damaged), -E2BIG (more than the limits above), or what the
 * sink returned. */
int cpio_feed(struct cpio *c, const uint8_t *data, size_t size, size_t *ret_used);

/* Whether the bytes may end here: at least one archive was complete and none is begun. */
static inline bool cpio_is_complete(const struct cpio *c) { return c->archives > 0 && c->state == CPIO_BETWEEN; }
