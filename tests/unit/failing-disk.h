/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* device_write() to a disk whose power fails. The unit is the sector: so many still reach the disk, and the write on which they
 * end is torn between two of them. What writes itself out of order is not played. For one file that is a program of its own. */

#include <unistd.h>

#include "disk/ops.h"

#define SECTOR 512u

static size_t power = SIZE_MAX;         /* sectors that still reach the disk before it fails */
static size_t written;                  /* and those that did so far */

int device_write(const struct device *d, const void *data, size_t size, uint64_t offset) {
        size_t n = MIN_OF(size, power * SECTOR);

        assert_int_equal(pwrite(d->fd, data, n, (off_t) offset), n);
        power -= (n + SECTOR - 1) / SECTOR;
        written += (n + SECTOR - 1) / SECTOR;
        return n == size ? 0 : -EIO;
}

int op_fail(struct disk_reply *y, int error, enum exit_code code _unused_, const char *format _unused_, ...) {
        return y->error = error;
}
