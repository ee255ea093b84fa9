/* SPDX-License-Identifier: Apache-2.0 */
#include "boot-image.h"

#include <unistd.h>

#include "bus.h"
#include "common/log.h"
#include "manager.h"
#include "unit-jobs.h"

#define ANSWER_USEC (30 * USEC_PER_SEC)
#define TOTAL_USEC (40 * 60 * USEC_PER_SEC)       /* the unit gives up before (TimeoutStartSec=) */
/* One that was running may have read the list before it changed. */
#define STARTS_MAX 2u

struct building {
        struct manager *manager;
        struct unit_jobs *jobs;
        unsigned starts;
        boot_image_done done;
        void *user;
};

/* Of each time another content: by that the unit knows that it was made again meanwhile. */
int boot_image_mark(void) {
        char id[37];

        random_uuid(id);
        return write_file_atomic(BOOT_IMAGE_DUE, id, strlen(id), 0600);
}

bool boot_image_is_due(void) {
        return access(BOOT_IMAGE_DUE, F_OK) >= 0 || errno != ENOENT;
}

void boot_image_forget(void) {
        (void) unlink(BOOT_IMAGE_DUE);
}

int boot_image_list(struct header_work *w, const struct trust_entry *t) {
        int r = t->role == ROLE_OS ? boot_image_mark() : 0;

        return r < 0 ? r : header_work_list(w, t);
}

static int start(struct building *b);

static void on_over(enum unit_jobs_end end, const struct unit_job *jobs, size_t n _unused_, void *user) {
        struct building *b = user;
        char why[512] = "";

        b->jobs = NULL;
        if (end == UNIT_JOBS_NO_ANSWER)
                snprintf(why, sizeof(why), "systemd does not answer");
        else if (end == UNIT_JOBS_LATE)
                snprintf(why, sizeof(why), "it takes too long");
        else if (!streq(jobs[0].result, "done"))
                snprintf(why, sizeof(why), "%s: %s (\"journalctl -u " BOOT_IMAGE_UNIT "\")", jobs[0].name, jobs[0].result);
        else if (boot_image_is_due() && b->starts < STARTS_MAX && start(b) >= 0)
                return;
        else if (boot_image_is_due())
                snprintf(why, sizeof(why), "%s ended, and " BOOT_IMAGE_DUE " is still there", jobs[0].name);
        b->done(*why ? why : NULL, b->user);
        free(b);
}

static int start(struct building *b) {
        static const char *const unit = BOOT_IMAGE_UNIT;
        sd_bus *sd = bus_system(b->manager->bus);

        b->starts++;
        return !sd ? -ENOTCONN : unit_jobs_start(sd, "StartUnit", "replace", &unit, 1, ANSWER_USEC, TOTAL_USEC, on_over, b, &b->jobs);
}

int boot_image_build(struct manager *m, boot_image_done done, void *user) {
        struct building *b = calloc(1, sizeof(*b));
        int r;

        if (!b)
                return -ENOMEM;
        *b = (struct building) { .manager = m, .done = done, .user = user };
        r = start(b);
        if (r < 0)
                free(b);
        return r;
}
