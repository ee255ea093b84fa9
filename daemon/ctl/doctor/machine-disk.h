/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a volume's LUKS2 header says of itself, asked from cryptsetup(8): the header is a stranger's input, and its
 * reader is the one that opens it. */

#include "common/util.h"

struct json_object;

/* The JSON metadata, the caller's. Returns 0, -ENOENT (no cryptsetup), -EBADMSG (it could not read the header, or said something else than
 * JSON), -EPERM (not root), or -errno. */
int disk_read_metadata(const char *device, struct json_object **ret);

/* Whether the header has a token of type systemd-recovery. Returns 1, 0, or as above. */
int disk_has_recovery_key(const char *device);
