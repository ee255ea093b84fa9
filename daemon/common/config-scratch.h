/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The [Scratch NAME] sections of cmkd.conf: config.c reads them, this is what it asks. */

#include "config.h"

#define CONFIG_SCRATCH_FILE_SYSTEMS "ext4, xfs, btrfs or swap"

/* The section of that name, made if there is none. NULL: no memory. It is the configuration's. */
struct scratch_config *config_scratch_get(struct config *c, const char *name);
void config_scratch_free(struct scratch_config *list);

/* Values of Device= and FileSystem=. *to: the old value, freed. Return 0, -EINVAL or -ENOMEM. */
int config_scratch_device(const char *value, char **to);
int config_scratch_file_system(const char *value, char **to);

/* What is wrong with all of them together: a sentence that the caller frees, or NULL. */
char *config_scratch_check(const struct config *c);
