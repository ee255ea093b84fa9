/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* /etc/cmkd/personalize: which volumes of this machine are copied with an image, as "cmkctl personalize --prepare" writes it before the
 * image is taken. While a volume stands there under the UUID that it has, it is the image's: udev does not attach it, and
 * cmkd-personalize.service makes it the copy's own. Lines, # begins a comment:
 *
 *   UUID NAME [drop-image-keyslots] */

#include "util.h"

#define IMAGE_VOLUMES_FILE "/etc/cmkd/personalize"
#define IMAGE_VOLUMES_MAX 64u

struct image_volume {
        char uuid[37], name[65];
        bool drop;                     /* keyslots of the image that are not cmkd's may go */
};

/* Pure; text is changed. Returns how many there are, or -EINVAL (*ret_line: where; not as above, too many, or a UUID or name twice). */
int image_volumes_parse(char *text, struct image_volume ret[static IMAGE_VOLUMES_MAX], unsigned *ret_line);

/* Pure: the file for them. Returns an allocated text, or NULL without memory. */
char *image_volumes_print(const struct image_volume *v, size_t n);

/* The same of the file below a root. Returns 0 also where there is none, -EINVAL as above, or what reading it says (*ret_line: 0). */
int image_volumes_read(const char *root, struct image_volume ret[static IMAGE_VOLUMES_MAX], unsigned *ret_line);

/* Which of the files that say what a boot opens has that UUID in it, in whatever words: its name, or NULL. */
const char *image_volume_is_named(const char *uuid);

/* Whether that one is there; false too where the file cannot be read. */
bool image_volumes_has(const char *uuid);
