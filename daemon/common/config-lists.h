/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Values of cmkd.conf(5) that are several words. Each fills *list, NULL-terminated, in the place of what was there (which is
 * freed), and returns 0, -EINVAL (a word that does not belong there, or none at all: *list stays as it was) or -ENOMEM. */

#include "util.h"

/* Accepts NULL. */
void config_list_free(char **list);

/* Names of keys, made lower case; commas may stand between them. */
int config_list_keys(const char *value, char ***list);

/* Digests of public keys (key-digest.h); commas may stand between them. */
int config_list_digests(const char *value, char ***list);

/* Absolute paths. */
int config_list_paths(const char *value, char ***list);

/* Absolute paths and names of units; askers: of units whose names are as short as the kernel keeps them. */
int config_list_programs(const char *value, char ***list);
int config_list_askers(const char *value, char ***list);

/* NAME=VALUE, the name in capitals, and none by which the C library is told what to do. */
int config_list_environment(const char *value, char ***list);

/* Words that take makes into what is kept: 0, -EINVAL or -ENOMEM. */
int config_list_take(const char *value, const char *separators, int (*take)(const char *word, char **ret), char ***list);
