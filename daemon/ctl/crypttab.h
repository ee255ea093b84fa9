/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whose is a device: is it named in crypttab(5)? Then systemd-cryptsetup opens it, and cmkd takes it over from there. */

#include <stdbool.h>

#define CRYPTTAB_LINKS_MAX 64u

/* What udev knows about one device. Empty texts: unknown. */
struct crypttab_device {
        const char *uuid, *label, *partuuid, *partlabel;
        const char *paths[CRYPTTAB_LINKS_MAX];      /* its node and its links; ends with NULL */
};

/* Pure. text: the file. A device is named by UUID=, LABEL=, PARTUUID=, PARTLABEL= (values may stand in quotes) or by one
 * of its paths; \040 and the like are read as fstab(5) does. Options are not looked at: a noauto line names it too. */
bool crypttab_names(const char *text, const struct crypttab_device *d);
