/* SPDX-License-Identifier: Apache-2.0 */
#include "our-units.h"

bool our_unit(const char *name, size_t n) {
        static const char *const units[] = {
                "cmkd.service", "cmkd-vault.service", "cmkd-audit.service", "cmkd-breaker.service", "cmkd-disk@", "cmkd-ladder@",
        };
        static const char service[] = ".service";

        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                size_t k = strlen(units[i]), instance = k;

                if (n < k || strncmp(name, units[i], k) != 0)
                        continue;
                if (units[i][k - 1] != '@')
                        return n == k;
                /* NR-PID-UID, NR-COOKIE-PID_PIDFDID-UID: systemd.socket(5), Accept= */
                while (instance < n && strchr("0123456789-_", name[instance]))
                        instance++;
                return instance > k && n == instance + strlen(service) && strncmp(name + instance, service, strlen(service)) == 0;
        }
        return false;
}
