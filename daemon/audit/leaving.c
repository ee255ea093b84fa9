/* SPDX-License-Identifier: Apache-2.0 */
#include "leaving.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>

/* The service manager itself: at shutdown there is no bus any more. */
#define MANAGER "unix:path=/run/systemd/private"
#define UNITS "/org/freedesktop/systemd1/unit"
#define ASK_USEC (2 * USEC_PER_SEC)

/* The job that is at work on the unit: its object's path. Returns 1, 0 (there is none), -errno. */
static int get_job(sd_bus *bus, const char *unit, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(freep) char *path = NULL;
        const char *job;
        uint32_t id;
        int r;

        r = sd_bus_path_encode(UNITS, unit, &path);
        if (r >= 0)
                r = sd_bus_get_property(bus, NULL, path, "org.freedesktop.systemd1.Unit", "Job", NULL, &reply, "(uo)");
        if (r >= 0)
                r = sd_bus_message_read(reply, "(uo)", &id, &job);
        if (r < 0 || id == 0)
                return r < 0 ? r : 0;
        *ret = strdup(job);
        return *ret ? 1 : -ENOMEM;
}

bool service_is_leaving(void) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(freep) char *unit = NULL, *job = NULL, *type = NULL;
        int r;

        if (sd_pid_get_unit(0, &unit) < 0 || sd_bus_new(&bus) < 0)
                return false;
        r = sd_bus_set_address(bus, MANAGER);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, ASK_USEC);
        if (r >= 0)
                r = get_job(bus, unit, &job);
        if (r <= 0 || sd_bus_get_property_string(bus, NULL, job, "org.freedesktop.systemd1.Job", "JobType", NULL, &type) < 0)
                return false;
        return streq(type, "stop");
}
