/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include "early.h"
#include "metadata.h"
#include "common/config.h"
#include "common/kernel-parameter.h"
#include "common/log.h"
#include "common/torn-files.h"

#include <inttypes.h>
#include <unistd.h>

#define DEVICES_USEC (10 * USEC_PER_SEC)       /* while mappings come and go */
#define DEVICES_QUIET_USEC (60 * USEC_PER_SEC)
#define DEVICES_LOOKS 2u                       /* after that: guard_maps_devices() */
#define MOUNTS_USEC (10 * USEC_PER_SEC)
#define PROGRAMS_USEC (60 * USEC_PER_SEC)
#define RECOGNISE_USEC (30 * USEC_PER_SEC)     /* our own echo comes long before */
#define SAVE_USEC (60 * USEC_PER_SEC)

struct guard {
        const struct probes *probes;
        struct writer *writer;
        struct config *config;             /* NULL: it could not be read */
        struct guard_maps *maps;           /* NULL: the programs know nobody */
        struct guard_plan plan;
        enum guard_state state;
        const char *why;                   /* it is not what was configured; static */
        int recognised;                    /* by the kernel's programs, as one of ours: 1, 0, -1: not known yet */
        bool is_loaded, is_told, is_said, is_released;
        uint64_t since_usec, mounts_usec, devices_usec, programs_usec, saved_usec, asked_usec;
        unsigned devices_looks;            /* that are due, for mappings came or went */
};

/* All of these have to be attached: a guard with holes is none. */
static const char *const needed[] = {
        "on_file_open", "on_file_ioctl", "on_ptrace_access_check", "on_inode_unlink", "on_inode_rename", "on_bpf_map",
        "on_bpf_prog", "on_bpf", "on_sb_umount", "on_sysctl", "on_connect4", "on_connect6",
};

static void guard_freep(struct guard **g) { guard_free(*g); }

struct guard *guard_free(struct guard *g) {
        if (!g)
                return NULL;
        guard_maps_free(g->maps);
        config_free(g->config);
        free(g);
        return NULL;
}

static bool is_switched_off(void) {
        _cleanup_(freep) char *text = NULL, *value = NULL;

        if (read_small_file("/proc/cmdline", 65536, &text, NULL) < 0)
                return false;
        value = kernel_parameter(text, "cmkd.guard");
        return value && streq(value, "off");
}

static void read_config(struct guard *g) {
        _cleanup_(freep) char *why = NULL;
        int r = config_load("", &g->config, &why);

        if (r < 0)
                log_warning("The guard only watches, as if Mode=audit: %s", why ? why : strerror(-r));
        g->plan.mode = g->config ? (enum guard_mode) g->config->guard.mode : GUARD_AUDIT;
        g->plan.arm_after_usec = g->config ? g->config->guard.arm_after_usec : 0;
        g->plan.confirm_usec = g->config ? g->config->guard.confirm_usec : 0;
        if (r < 0)
                g->why = "the configuration cannot be read";
        if (is_switched_off()) {
                g->plan.mode = GUARD_OFF;
                g->why = "cmkd.guard=off on the kernel's command line";
        }
}

/* NULL: all that is needed is there. */
static const char *why_impossible(const struct guard *g) {
        const struct probes_coverage *c = probes_coverage(g->probes);
        uint64_t until;

        if (!g->maps)
                return "it is not known where cmkd's own programs are";
        for (size_t i = 0; i < ELEMENTSOF(needed); i++) {
                size_t k;

                for (k = 0; k < c->n && !streq(c->items[k].program, needed[i]); k++)
                        ;
                if (k == c->n || c->items[k].why[0])
                        return k == c->n ? "a program is not loaded" : c->items[k].why;
        }
        if (g->recognised < 0 && guard_maps_enforces(g->maps, &until))
                return NULL;
        return g->recognised > 0 ? NULL : g->recognised < 0 ? "it is not known yet whether the kernel recognises cmkd's programs"
                                                            : "the kernel does not recognise cmkd's own programs";
}

static void settle(struct guard *g, uint64_t now, bool seeing) {
        const char *why = why_impossible(g);

        g->plan.possible = !why && g->is_loaded;
        if (g->plan.mode == GUARD_ENFORCE)
                g->why = why ? why : g->is_loaded ? NULL : "the trail is not there yet";
        g->state = guard_plan_tick(&g->plan, now, seeing);
}

static void load_state(struct guard *g) {
        _cleanup_(freep) char *text = NULL;
        char *rest, *line;
        uint64_t n;

        (void) torn_files_remove(TRAIL_DIR, GUARD_STATE_NAME, "");
        if (read_small_file(GUARD_STATE_FILE, 4096, &text, NULL) < 0)
                return;
        for (rest = text; (line = strsep(&rest, "\n")); ) {
                const char *value;

                if ((value = startswith(line, "clean=")) && parse_u64(value, UINT32_MAX, &n) >= 0)
                        g->plan.clean_usec = n * USEC_PER_SEC;
                else if ((value = startswith(line, "confirmed=")))
                        g->plan.confirmed = streq(value, "yes");
        }
}

/* At once, so that nothing of ours is taken for somebody else's. What enforces goes on: a restart opens no door. */
static void take_up(struct guard *g) {
        enum cmkd_guard_mode mode = g->plan.mode == GUARD_OFF ? CMKD_GUARD_OFF : CMKD_GUARD_AUDIT;
        uint64_t until = 0;

        g->is_loaded = access(EARLY_OVER_MARK, F_OK) >= 0;
        if (g->is_loaded)
                load_state(g);
        if (!g->maps) {
                settle(g, now_boottime_usec(), false);
                return;
        }
        if (g->plan.mode == GUARD_ENFORCE && guard_maps_enforces(g->maps, &until) &&
            (g->plan.confirmed ? until == 0 : until > now_boottime_usec()))
                mode = CMKD_GUARD_ENFORCE;
        else
                until = 0;
        g->plan.armed_until_usec = until;
        (void) guard_maps_set(g->maps, mode, until);
        settle(g, now_boottime_usec(), false);
}

int guard_new(const struct probes *probes, struct writer *writer, struct guard **ret) {
        _cleanup_(guard_freep) struct guard *g = calloc(1, sizeof(*g));
        int r;

        if (!g)
                return -ENOMEM;
        g->probes = probes;
        g->writer = writer;
        g->recognised = -1;
        g->since_usec = g->asked_usec = now_boottime_usec();
        g->devices_looks = DEVICES_LOOKS;
        read_config(g);
        r = guard_maps_new(probes, g->config ? &g->config->guard : NULL, &g->maps);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                log_warning("The guard knows nobody: %s", strerror(-r));
        r = metadata_allow(probes_map(probes, "units"), g->config ? g->config->guard.allow_metadata : NULL);
        if (r < 0)
                log_warning("Not all units that may connect to the metadata service are known to the kernel: %s", strerror(-r));
        take_up(g);
        *ret = TAKE_PTR(g);
        return 0;
}

static bool is_of_a_mapping(const struct cmkd_event *e) {
        switch (e->kind) {
        case CMKD_KEY_SET:
        case CMKD_KEY_FREED:
        case CMKD_DM_LOAD:
        case CMKD_DM_CREATE:
        case CMKD_DM_REMOVE:
        case CMKD_DM_SUSPEND:
                return true;
        default:
                return false;
        }
}

void guard_event(struct guard *g, struct cmkd_event *e) {
        if (e->version != CMKD_EVENT_VERSION)
                return;
        if (is_of_a_mapping(e))
                g->devices_looks = DEVICES_LOOKS;
        if (e->how & CMKD_HOW_WOULD)
                guard_plan_would(&g->plan);
        guard_maps_name(e);
}

void guard_heard(struct guard *g, const struct cmkd_event *e) {
        g->recognised = (e->how & CMKD_HOW_OURS) != 0;
}

static void save_state(struct guard *g, uint64_t now) {
        char text[128];
        int n = snprintf(text, sizeof(text), "clean=%" PRIu64 "\nconfirmed=%s\n", g->plan.clean_usec / USEC_PER_SEC,
                         g->plan.confirmed ? "yes" : "no");

        g->saved_usec = now;
        if (write_file_atomic(GUARD_STATE_FILE, text, (size_t) n, 0600) < 0)
                log_debug("%s cannot be written", GUARD_STATE_FILE);
}

static enum cmkd_guard_mode kernel_mode(enum guard_state s) {
        if (s == GUARD_STATE_OFF)
                return CMKD_GUARD_OFF;
        return s == GUARD_STATE_ARMED || s == GUARD_STATE_ENFORCING ? CMKD_GUARD_ENFORCE : CMKD_GUARD_AUDIT;
}

static void say(struct guard *g, struct audit_message_record *m) {
        bool is_less = g->plan.mode == GUARD_ENFORCE && kernel_mode(g->state) != CMKD_GUARD_ENFORCE;

        audit_record_start(m, "guard_mode", is_less || g->state == GUARD_STATE_ARMED ? LOG_WARNING : LOG_NOTICE, true);
        audit_record_add(m, "state", guard_state_to_string(g->state));
        audit_record_add(m, "mode", guard_mode_to_string(g->plan.mode));
        audit_record_addf(m, "clean", "%" PRIu64, g->plan.clean_usec / USEC_PER_SEC);
        if (g->state == GUARD_STATE_ARMED)
                audit_record_addf(m, "confirm_within", "%" PRIu64, g->plan.confirm_usec / USEC_PER_SEC);
        audit_record_add(m, "why", g->why);
        (void) writer_say(g->writer, m);
        if (g->state == GUARD_STATE_ARMED)
                log_warning("The guard refuses from now on; unless `cmkctl guard confirm` says so within %" PRIu64
                            " s it stops by itself", g->plan.confirm_usec / USEC_PER_SEC);
}

static void tell_kernel(struct guard *g) {
        if (g->maps)
                g->is_told = guard_maps_set(g->maps, kernel_mode(g->state), g->plan.armed_until_usec) >= 0;
}

/* What repeats itself is no event. */
static void look_at_metadata(struct guard *g, uint64_t now, struct audit_message_record *record) {
        if (metadata_tell(probes_map(g->probes, "metadata"), g->asked_usec * NSEC_PER_USEC, g->writer, record))
                guard_plan_would(&g->plan);
        g->asked_usec = now;
}

static void refresh(struct guard *g, uint64_t now) {
        if (!g->maps)
                return;
        if (now - g->mounts_usec >= MOUNTS_USEC) {
                g->mounts_usec = now;
                guard_maps_mounts(g->maps);
        }
        if (now - g->devices_usec >= (g->devices_looks > 0 ? DEVICES_USEC : DEVICES_QUIET_USEC)) {
                g->devices_usec = now;
                g->devices_looks -= g->devices_looks > 0;
                guard_maps_devices(g->maps);
        }
        if (now - g->programs_usec >= PROGRAMS_USEC) {
                g->programs_usec = now;
                guard_maps_programs(g->maps);
        }
}

void guard_tick(struct guard *g, bool seeing, struct audit_message_record *record) {
        uint64_t now = now_boottime_usec();
        enum guard_state before = g->state;
        bool is_new;

        refresh(g, now);
        look_at_metadata(g, now, record);
        if (!g->is_loaded && access(EARLY_OVER_MARK, F_OK) >= 0) {
                load_state(g);
                g->is_loaded = true;
        }
        settle(g, now, seeing);
        if (g->plan.mode == GUARD_ENFORCE && g->recognised < 0 && now - g->since_usec < RECOGNISE_USEC)
                return;
        is_new = g->state != before || !g->is_said;
        if (is_new || !g->is_told)
                tell_kernel(g);
        if (is_new)
                say(g, record);
        g->is_said = true;
        if (g->is_loaded && (is_new || now - g->saved_usec >= SAVE_USEC))
                save_state(g, now);
}

void guard_end(struct guard *g, uint64_t until_usec, struct audit_message_record *record) {
        metadata_end(probes_map(g->probes, "metadata"), until_usec, g->writer, record);
}

void guard_note(struct guard *g, const struct audit_message_record *m) {
        if (streq(m->event, "guard_confirm") && guard_plan_confirm(&g->plan, now_boottime_usec()) < 0)
                log_info("There is nothing to confirm: the guard is not armed");
        if (streq(m->event, "guard_release"))
                g->is_released = kernel_mode(g->state) != CMKD_GUARD_ENFORCE;
}

bool guard_is_released(const struct guard *g) {
        return g->is_released;
}

void guard_fill_status(const struct guard *g, struct audit_status *s) {
        s->guard_mode = guard_mode_to_string(g->plan.mode);
        s->guard_state = guard_state_to_string(g->state);
        s->guard_why = g->why;
        s->guard_clean_usec = g->plan.clean_usec;
        s->guard_need_usec = g->plan.arm_after_usec;
        s->guard_until_usec = g->plan.armed_until_usec;
}
