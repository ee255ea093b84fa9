/* SPDX-License-Identifier: Apache-2.0 */
#include "bus-properties.h"

#include "common/kernel-parameter.h"
#include "common/secret.h"
#include "manager.h"

#define CMKD_VERSION "0.1"

int bus_get_version(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_,
                       const char *property _unused_, sd_bus_message *reply, void *user _unused_, sd_bus_error *e _unused_) {
        return sd_bus_message_append(reply, "s", CMKD_VERSION);
}

int bus_get_link(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_, const char *property,
                    sd_bus_message *reply, void *user, sd_bus_error *e _unused_) {
        const struct manager *m = user;
        char text[64] = "ok";

        if (streq(property, "AuditState")) {
                if (audit_lost(m->audit) > 0)
                        snprintf(text, sizeof(text), "%llu records lost", (unsigned long long) audit_lost(m->audit));
                else if (!audit_is_connected(m->audit))
                        snprintf(text, sizeof(text), "not connected");
        } else if (streq(property, "WorkerState"))
                snprintf(text, sizeof(text), "%s", worker_is_connected(m->worker) ? "connected" : "idle");
        else if (!breaker_is_ready(m->breaker))
                snprintf(text, sizeof(text), "not connected");
        return sd_bus_message_append(reply, "s", text);
}

int bus_get_trust_problems(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_,
                              const char *property _unused_, sd_bus_message *reply, void *user, sd_bus_error *e _unused_) {
        const struct manager *m = user;

        return sd_bus_message_append_strv(reply, m->trust->bad);
}

/* init_on_free=1 on the kernel's command line; without the parameter the kernel's default is taken to be off. */
int bus_get_init_on_free(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_,
                            const char *property _unused_, sd_bus_message *reply, void *user _unused_,
                            sd_bus_error *e _unused_) {
        _cleanup_(freep) char *text = NULL;

        return sd_bus_message_append(reply, "b", read_small_file("/proc/cmdline", 65536, &text, NULL) >= 0 &&
                                     kernel_parameter_is_on(text, "init_on_free"));
}

int bus_get_secret_memory(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_,
                             const char *property _unused_, sd_bus_message *reply, void *user _unused_,
                             sd_bus_error *e _unused_) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        const char *text = "none: no key can be handled";

        if (secret_new(32, &s) >= 0)
                text = secret_is_unmappable(s) ? "memfd_secret" : "locked pages";
        return sd_bus_message_append(reply, "s", text);
}

/* Since this process began, for cmkctl metrics. */
int bus_get_counters(sd_bus *sd _unused_, const char *path _unused_, const char *interface _unused_,
                        const char *property _unused_, sd_bus_message *reply, void *user, sd_bus_error *e _unused_) {
        const struct manager *m = user;
        const struct worker_counts *c = worker_counts(m->worker);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{st}");
        for (unsigned i = 0; r >= 0 && i < _VERDICT_MAX; i++)
                r = sd_bus_message_append(reply, "{st}", verdict_to_string((enum verdict) i), c->answers[i]);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{st}{st}{st}{st}{st}{st}", "RoundTrips", c->round_trips, "RoundTripUsec",
                                          c->round_trip_usec, "Teardowns", m->teardowns.n, "TeardownUsec", m->teardowns.usec,
                                          "TeardownLastUsec", m->teardowns.last_usec, "AuditLost", audit_lost(m->audit));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
