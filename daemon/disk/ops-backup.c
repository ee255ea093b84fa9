/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "header-write.h"
#include "volume.h"

#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* Both copies and the keyslots that count, in their places, zeros between them: what cryptsetup luksHeaderRestore takes. Bytes of
 * keyslots that are gone are not in it. */
static int copy_header(const struct header *h, int to, uint64_t *ret_size) {
        _cleanup_(closep) int image = header_image(h);
        struct stat st;
        off_t at = 0;

        if (image < 0)
                return image;
        if (fstat(image, &st) < 0)
                return -errno;
        while (at < st.st_size) {
                ssize_t n = sendfile(to, image, &at, (size_t) (st.st_size - at));

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0)
                        return -EIO;
        }
        *ret_size = (uint64_t) st.st_size;
        return fsync(to) < 0 ? -errno : 0;
}

int op_header_backup(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = VOLUME_NONE;
        struct stat st;
        uint64_t size = 0;
        int r;

        if (!q->uuid[0] || in_fd < 0 || fstat(in_fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > 0)
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "A backup needs a UUID and an empty file");
        r = volume_read(&v, q, y);
        if (r >= 0)
                r = volume_check_unchanged(&v, q, y);
        if (r < 0)
                return r;
        if (v.header->damaged)
                return op_fail(y, -EUCLEAN, EXIT_CODE_FAILED, "One of the two header copies of %s is damaged or old: no backup of "
                               "that. cryptsetup repair, then try again", q->device);
        r = copy_header(v.header, in_fd, &size);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The backup cannot be written: %s", strerror(-r));
        y->count = (uint32_t) size;
        return 0;
}
