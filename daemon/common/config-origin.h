/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which line of which file said what is in force: for people, who look for it. */

#include "config.h"

struct config_origin;

/* section: as it stands in the file ("Vault main"); key: a static text. A later line takes an earlier one's place. The rest is copied.
 * Returns 0 or -ENOMEM. */
int config_origin_note(struct config *c, const char *section, const char *key, const char *path, unsigned line);

/* "FILE:LINE", the configuration's; NULL: nobody said it. */
const char *config_origin_find(const struct config *c, const char *section, const char *key);

void config_origin_free(struct config_origin *list);
