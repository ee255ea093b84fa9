/* SPDX-License-Identifier: Apache-2.0 */
#include "azure-attributes.h"

bool azure_level_protects(const char *level) {
        return level && strcasestr(level, "Recoverable") && !strcasestr(level, "Purgeable");
}

int azure_read_time(struct json_object *attributes, const char *name, uint64_t *ret) {
        struct json_object *m;

        *ret = 0;
        if (!json_object_object_get_ex(attributes, name, &m) || !m)
                return 0;
        return json_get_u64(attributes, name, ret) < 0 ? -EBADMSG : 0;
}
