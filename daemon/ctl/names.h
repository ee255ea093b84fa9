/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How volumes and devices are named on the command line: what can be judged here is judged before the daemon is asked, so
 * that a typing error never reaches a disk. All return an exit code, and have said why if it is not DONE. */

/* A volume's name: DONE or USAGE. */
int check_name(const char *name);

/* A block device below /dev that is there: DONE, USAGE (another kind of path) or FAILED. */
int check_device(const char *path);

/* A device, a UUID or a name, what attach takes: as the two above. */
int check_what(const char *what);
