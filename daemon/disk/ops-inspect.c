/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "unlock-key.h"
#include "volume.h"

#define WIPE_CHUNK (1u << 20)

int op_inspect(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = VOLUME_NONE;
        int r;

        (void) in_fd;
        (void) ret_fd;
        r = volume_read(&v, q, y);
        if (r < 0)
                return r;
        if (v.header->damaged)
                snprintf(y->message, sizeof(y->message), "One of the two header copies of %s is damaged or old (the "
                         "good one is used): cryptsetup repair", q->device);
        if (q->flags & DISK_FLAG_STAY)
                volume_keep_header(&v);
        return 0;
}

static bool is_zero(const uint8_t *p, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (p[i])
                        return false;
        return true;
}

/* Keyslots first: whenever this is interrupted, no header is left that a key could still open. */
static int erase(const struct device *d, const struct header *h) {
        _cleanup_(freep) uint8_t *buffer = malloc(WIPE_CHUNK);
        int r;

        if (!buffer)
                return -ENOMEM;
        random_bytes(buffer, WIPE_CHUNK);
        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++)
                for (uint64_t at = 0; at < h->layout.areas[i].size; at += WIPE_CHUNK) {
                        r = device_write(d, buffer, MIN_OF(h->layout.areas[i].size - at, (uint64_t) WIPE_CHUNK),
                                         h->layout.areas[i].offset + at);
                        if (r < 0)
                                return r;
                }
        memset(buffer, 0, WIPE_CHUNK);
        for (uint64_t at = 0; at < h->layout.data_offset; at += WIPE_CHUNK) {
                r = device_write(d, buffer, MIN_OF(h->layout.data_offset - at, (uint64_t) WIPE_CHUNK), at);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Never more than what FORMAT made: the UUID that the manager was given, generation 1, the header as FORMAT left it
 * where the manager remembers its digest, nobody using it. */
int op_erase(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = VOLUME_NONE;
        int r;

        (void) in_fd;
        (void) ret_fd;
        if (!q->uuid[0])
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "ERASE needs a UUID");
        r = volume_read(&v, q, y);
        if (r < 0)
                return r;
        if (v.header->layout.n_wraps != 1 || v.header->layout.wraps[0].token.generation != 1)
                return op_fail(y, -EPERM, EXIT_CODE_POLICY, "%s is not fresh from a format (%u keys, generation %llu): not "
                               "erased", q->device, v.header->layout.n_wraps,
                               (unsigned long long) v.header->layout.wraps[0].token.generation);
        if (!is_zero(q->header_digest, sizeof(q->header_digest)) && !digest_equal(q->header_digest, v.header->digest))
                return op_fail(y, -ESTALE, EXIT_CODE_POLICY, "The header of %s changed after the format: not erased",
                               q->device);
        r = device_claim(&v.device, q->device, y);
        if (r < 0)
                return r;
        r = erase(&v.device, v.header);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The header of %s cannot be erased: %s", q->device,
                               strerror(-r));
        return 0;
}
