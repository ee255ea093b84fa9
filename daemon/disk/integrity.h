/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What lies between a volume with integrity tags and its disk: a mapping of dm-integrity, which keeps for each sector the tag that dm-crypt
 * gives it (Documentation/admin-guide/device-mapper/dm-integrity.rst). It has no key, and judges nothing.
 *
 *   NAME (CRYPT-LUKS2-<uuid>-NAME) ─► NAME_dif (CRYPT-SUBDEV-<uuid>-NAME_dif, or CRYPT-INTEGRITY-...) ─► the disk
 *
 * Parameters: DEVICE OFFSET TAG_SIZE MODE N OPTIONS... Mode J: by a journal, so that no crash leaves a sector with another's tag. */

#include "common/dm-ioctl.h"

#include <linux/dm-ioctl.h>

struct integrity_expected {
        const char *mapping;             /* the volume's name in device-mapper */
        const char *uuid;                /* of the volume */
        uint32_t major, minor;           /* of the disk */
        uint64_t offset;                 /* of the data on it, 512-byte sectors */
        unsigned tag_size;
        bool read_only;
};

/* Its name, NAME_dif. Returns 0 or -EINVAL: too long. */
int integrity_name(const char *mapping, char ret[static DM_NAME_LEN]);

/* Pure: the parameters of the target. Returns 0 or -EUCLEAN. */
int integrity_check_params(const char *params, const struct integrity_expected *e);

/* Pure: what DM_TABLE_STATUS with DM_STATUS_TABLE_FLAG said of it. Returns 0 with its size in 512-byte sectors, or -EUCLEAN. */
int integrity_check_table(const struct dm_ioctl *io, const struct integrity_expected *e, uint64_t *ret_sectors);

/* Takes away one of the volume's that nothing stands on: another cannot be made under its name. Returns 0, also where there is none, or
 * what ioctl(2) says (-EBUSY: something does). */
int integrity_remove_left_over(int control, const char *mapping, const char *uuid);
