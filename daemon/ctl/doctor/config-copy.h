/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The configuration of an image, read by the same code that reads it at boot (common/config): its files are copied to a
 * private directory, under names that are checked to be names, and the directory is removed again. */

#include "common/config.h"
#include "image.h"

/* Returns 0, or as config_load() or the system calls that make files; *ret_why (the caller's) is a sentence with paths
 * as they are in the image, or NULL. */
int config_from_image(const struct image *i, struct config **ret, char **ret_why);
