/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where programs of ours find each other's things. */

#define BUS_PRIVATE_SOCKET "/run/cmkd/private"
#define AUDIT_STATUS_FILE "/run/cmkd/audit.status"
#define STATE_DIRECTORY "/var/lib/cmkd"
#define BACKUPS_DIRECTORY STATE_DIRECTORY "/backups"
