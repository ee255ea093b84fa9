/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where programs of ours find each other's things. */

#define BUS_PRIVATE_SOCKET "/run/cmkd/private"
/* systemd's: a connection is a template (template.h) of cmkd-disk or cmkd-ladder */
#define DISK_SOCKET "/run/cmkd/disk.sock"
#define LADDER_SOCKET "/run/cmkd/ladder.sock"
#define AUDIT_STATUS_FILE "/run/cmkd/audit.status"
#define STATE_DIRECTORY "/var/lib/cmkd"
#define BACKUPS_DIRECTORY STATE_DIRECTORY "/backups"
