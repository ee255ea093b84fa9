/* SPDX-License-Identifier: Apache-2.0 */
#include "node-state.h"
#include "print.h"
#include "trail-state.h"

/* cmkctl metrics: OpenMetrics text (counters, gauges and summaries only, which the older text format of Prometheus reads too), for
 * the textfile collector of its node exporter. One that does not answer is a number as well: cmkd_up is 0. */

#define PREFIX "cmkd_"

/* name without PREFIX, and without _total where it is a counter. */
static void family(FILE *f, const char *name, const char *type, const char *help) {
        fprintf(f, "# TYPE " PREFIX "%s %s\n# HELP " PREFIX "%s %s\n", name, type, name, help);
}

/* What stands between the quotes of a label. */
static void put_label(FILE *f, const char *name, const char *value) {
        fprintf(f, "%s=\"", name);
        for (; *value; value++)
                if (*value == '\n')
                        fputs("\\n", f);
                else if ((unsigned char) *value >= ' ' && *value != 127)
                        fprintf(f, "%s%c", *value == '"' || *value == '\\' ? "\\" : "", *value);
        fputc('"', f);
}

static void put_seconds(FILE *f, const char *name, uint64_t usec) {
        fprintf(f, PREFIX "%s %llu.%06llu\n", name, (unsigned long long) (usec / USEC_PER_SEC), (unsigned long long) (usec % USEC_PER_SEC));
}

/* A counter that the cmkd that runs does not have, since it is older, is left out. */
static void put_count(FILE *f, const char *name, struct json_object *counters, const char *member) {
        if (json_number(counters, member) != UINT64_MAX)
                fprintf(f, PREFIX "%s %llu\n", name, (unsigned long long) json_number(counters, member));
}

static void put_count_seconds(FILE *f, const char *name, struct json_object *counters, const char *member) {
        if (json_number(counters, member) != UINT64_MAX)
                put_seconds(f, name, json_number(counters, member));
}

static void put_gauge(FILE *f, const char *name, const char *help, bool value) {
        family(f, name, "gauge", help);
        fprintf(f, PREFIX "%s %d\n", name, value);
}

/* ---- volumes ---- */

static void put_volume_number(FILE *f, struct json_object *volumes, const char *name, const char *help, const char *member) {
        family(f, name, "gauge", help);
        for (size_t i = 0; i < json_object_array_length(volumes); i++) {
                struct json_object *v = json_object_array_get_idx(volumes, i);
                uint64_t n = json_number(v, member);

                if (n == UINT64_MAX)
                        continue;
                fprintf(f, PREFIX "%s{", name);
                put_label(f, "volume", json_text(v, "name"));
                fprintf(f, "} %llu\n", (unsigned long long) n);
        }
}

/* 1 for what is so now: a text is a label. */
static void put_volume_text(FILE *f, struct json_object *volumes, const char *name, const char *help, const char *label, const char *member) {
        family(f, name, "gauge", help);
        for (size_t i = 0; i < json_object_array_length(volumes); i++) {
                struct json_object *v = json_object_array_get_idx(volumes, i);

                if (!*json_text(v, member))
                        continue;
                fprintf(f, PREFIX "%s{", name);
                put_label(f, "volume", json_text(v, "name"));
                fputc(',', f);
                put_label(f, "role", json_text(v, "role"));
                fputc(',', f);
                put_label(f, label, json_text(v, member));
                fputs("} 1\n", f);
        }
}

static void put_findings(FILE *f, struct json_object *volumes) {
        family(f, "volume_findings", "gauge", "What cmkctl status has to say about the volume.");
        for (size_t i = 0; i < json_object_array_length(volumes); i++) {
                struct json_object *v = json_object_array_get_idx(volumes, i), *list;

                if (!json_object_object_get_ex(v, "findings", &list) || !json_object_is_type(list, json_type_array))
                        continue;
                fprintf(f, PREFIX "volume_findings{");
                put_label(f, "volume", json_text(v, "name"));
                fprintf(f, "} %zu\n", json_object_array_length(list));
        }
}

static void put_volumes(FILE *f, struct json_object *volumes) {
        put_volume_text(f, volumes, "volume_state", "The state of the volume.", "state", "state");
        put_volume_text(f, volumes, "volume_verdict", "The last answer to a challenge of its key.", "verdict", "last_verdict");
        put_volume_number(f, volumes, "volume_proof_age_seconds", "Since the challenge that the owner last said yes to.", "seconds_since_proof");
        put_volume_number(f, volumes, "volume_lease_left_seconds", "Until the lease is over.", "lease_left_sec");
        put_volume_number(f, volumes, "volume_grace_left_seconds", "Until lease and grace are over and OnUnreachable= is done.", "grace_left_sec");
        put_volume_number(f, volumes, "volume_generation", "One more with each rotation.", "generation");
        put_findings(f, volumes);
}

/* ---- the daemon ---- */

static void put_counters(FILE *f, struct json_object *manager) {
        struct json_object *c;

        if (!json_object_object_get_ex(manager, "counters", &c))
                return;
        family(f, "vault_answers", "counter", "What the vaults said, to whatever was asked, since cmkd began.");
        for (unsigned i = 0; i < _VERDICT_MAX; i++) {
                const char *verdict = verdict_to_string((enum verdict) i);

                if (json_number(c, verdict) == UINT64_MAX)
                        continue;
                fprintf(f, PREFIX "vault_answers_total{");
                put_label(f, "verdict", verdict);
                fprintf(f, "} %llu\n", (unsigned long long) json_number(c, verdict));
        }
        family(f, "vault_round_trip_seconds", "summary", "How long a vault took to answer.");
        put_count(f, "vault_round_trip_seconds_count", c, "RoundTrips");
        put_count_seconds(f, "vault_round_trip_seconds_sum", c, "RoundTripUsec");
        family(f, "teardown_seconds", "summary", "From the beginning of a cut until no mapping and no key was left.");
        put_count(f, "teardown_seconds_count", c, "Teardowns");
        put_count_seconds(f, "teardown_seconds_sum", c, "TeardownUsec");
        family(f, "teardown_last_seconds", "gauge", "The last of them.");
        put_count_seconds(f, "teardown_last_seconds", c, "TeardownLastUsec");
        family(f, "records_lost", "counter", "Records of cmkd's that cmkd-audit did not take.");
        put_count(f, "records_lost_total", c, "AuditLost");
}

static void put_manager(FILE *f, struct json_object *manager) {
        struct json_object *v;

        put_gauge(f, "audit_connected", "Whether cmkd-audit takes records.", streq(json_text(manager, "audit_state"), "ok"));
        put_gauge(f, "breaker_ready", "Whether cmkd-breaker holds the deadlines.", streq(json_text(manager, "breaker_state"), "ok"));
        if (json_object_object_get_ex(manager, "init_on_free", &v))
                put_gauge(f, "init_on_free", "Whether the kernel zeroes what is freed.", json_object_get_boolean(v));
        put_counters(f, manager);
}

/* ---- the trail ---- */

static void put_trail_number(FILE *f, const char *name, const char *value, const char *help) {
        char text[24];
        uint64_t n;

        trail_state_value("", value, text, sizeof(text));
        if (parse_u64(text, UINT64_MAX, &n) < 0)
                return;
        family(f, name, "counter", help);
        fprintf(f, PREFIX "%s_total %llu\n", name, (unsigned long long) n);
}

static void put_trail_gauge(FILE *f, const char *name, const char *value, const char *good, const char *help) {
        char text[64];

        trail_state_value("", value, text, sizeof(text));
        if (*text)
                put_gauge(f, name, help, streq(text, good));
}

static void put_trail(FILE *f) {
        put_trail_gauge(f, "trail_ok", "trail", "ok", "Whether the last record could be written.");
        put_trail_gauge(f, "trail_sealed", "sealed", "yes", "Whether records are sealed.");
        put_trail_gauge(f, "probes_complete", "probes", "all", "Whether all of the kernel that is to be seen is.");
        put_trail_gauge(f, "probes_blind", "blind", "yes", "Whether a switch of the kernel keeps the probes from seeing.");
        put_trail_gauge(f, "guard_enforcing", "guard", "enforcing", "Whether the kernel refuses what is not allowed.");
        put_trail_number(f, "trail_records", "seq", "Records in the trail.");
        put_trail_number(f, "kernel_events", "submitted", "Events that the kernel had to tell.");
        put_trail_number(f, "kernel_events_lost", "lost", "Those that were lost, which the trail says.");
}

/* ---- the verb ---- */

static int write_metrics(FILE *f) {
        _cleanup_(call_release) struct call c = {};
        _cleanup_(json_object_putp) struct json_object *manager = NULL, *volumes = NULL;
        bool up = node_state_manager(&c, &manager) == EXIT_CODE_DONE && node_state_volumes(&c, &volumes) == EXIT_CODE_DONE;

        put_gauge(f, "up", "Whether cmkd answers.", up);
        if (up) {
                put_manager(f, manager);
                put_volumes(f, volumes);
        }
        put_trail(f);
        fputs("# EOF\n", f);
        return fflush(f) == 0 && !ferror(f) ? EXIT_CODE_DONE : fail(EXIT_CODE_FAILED, "the metrics cannot be written: %s", strerror(errno));
}

int verb_metrics(const struct invocation *in) {
        const char *path = in->values[OPTION_OUTPUT];
        _cleanup_(freep) char *text = NULL;
        size_t size = 0;
        FILE *f;
        int code, r;

        if (!path)
                return write_metrics(stdout);
        f = open_memstream(&text, &size);
        if (!f)
                return fail(EXIT_CODE_FAILED, "out of memory");
        code = write_metrics(f);
        if (fclose(f) != 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        r = code == EXIT_CODE_DONE ? write_output(path, text, size, 0644) : 0;
        return r < 0 ? fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(-r)) : code;
}
