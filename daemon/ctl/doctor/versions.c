/* SPDX-License-Identifier: Apache-2.0 */
#include "versions.h"

#include <unistd.h>

#include "common/paths.h"
#include "ctl/key-usage.h"
#include "ctl/print.h"

#define DAY 86400u
#define SOON (30 * DAY)

void judge_versions(struct json_object *list, uint64_t now, struct findings *l) {
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct json_object *o = json_object_array_get_idx(list, i);
                uint64_t expires = json_number(o, "expires");

                if (streq(json_text(o, "use"), "left over"))
                        finding_add(l, FINDING_LEFT_OVER, "the header of volume %s has key %s, which is not on this node's list",
                                    json_text(o, "volume"), json_text(o, "key"));
                if (!streq(json_text(o, "use"), "needed"))
                        continue;
                if (expires != UINT64_MAX && expires > now && expires - now <= SOON)
                        finding_add(l, FINDING_KEY_VERSION, "volume %s needs %s, which expires in %llu days", json_text(o, "volume"),
                                    json_text(o, "key"), (unsigned long long) (expires - now) / DAY);
                if (*json_text(o, "newest"))
                        finding_add(l, FINDING_KEY_VERSION, "volume %s needs %s, and there is a newer version, %s", json_text(o, "volume"),
                                    json_text(o, "key"), json_text(o, "newest"));
        }
}

int ask_versions(struct json_object **ret) {
        if (access(BUS_PRIVATE_SOCKET, F_OK) >= 0)
                return key_usage("", ret);
        *ret = json_object_new_array();
        return *ret ? EXIT_CODE_DONE : fail(EXIT_CODE_FAILED, "out of memory");
}
