/* SPDX-License-Identifier: Apache-2.0 */
#include "notice-file.h"

#include <inttypes.h>
#include <unistd.h>

#include "common/log.h"

#define DIRECTORY "/run/cmkd/notice"
#define ANSWER_MAX_USEC (10 * USEC_PER_SEC)
#define SIGNAL_MAX_USEC (10 * USEC_PER_SEC)
#define SIGNAL_MIN_USEC (5 * USEC_PER_SEC)

struct notice_times notice_times(uint64_t notice_usec, enum role role) {
        uint64_t quarter = MIN_OF(notice_usec / 4, SIGNAL_MAX_USEC), least = MIN_OF(notice_usec / 2, SIGNAL_MIN_USEC);
        struct notice_times t = {
                .answer_usec = MIN_OF(notice_usec / 4, ANSWER_MAX_USEC),
                .stop_usec = notice_usec - MAX_OF(quarter, least),
                .notice_usec = notice_usec,
        };

        t.hooks_usec = role == ROLE_OS ? t.stop_usec : t.stop_usec / 3 * 2;
        return t;
}

static uint64_t seconds(struct instant began, uint64_t span) {
        return (began.realtime_usec + span) / USEC_PER_SEC;
}

void notice_file_format(const char *name, enum action action, enum lease_cause cause, const struct notice_times *t,
                        struct instant began, char *buf, size_t size) {
        snprintf(buf, size,
                 "# written by cmkd, for hooks: EnvironmentFile=-" DIRECTORY "/%%i; times are seconds since 1970\n"
                 "CMKD_VOLUME=%s\nCMKD_ACTION=%s\nCMKD_CAUSE=\"%s\"\n"
                 "CMKD_HOOKS_UNTIL=%" PRIu64 "\nCMKD_UNTIL=%" PRIu64 "\n",
                 name, action_to_string(action), lease_cause_to_string(cause), seconds(began, t->hooks_usec),
                 seconds(began, t->notice_usec));
}

static void path_of(const char *name, char *buf, size_t size) {
        snprintf(buf, size, DIRECTORY "/%s", name);
}

void notice_file_write(const char *name, enum action action, enum lease_cause cause, const struct notice_times *t,
                       struct instant began) {
        char text[512], path[sizeof(DIRECTORY) + 66];
        int r;

        notice_file_format(name, action, cause, t, began, text, sizeof(text));
        path_of(name, path, sizeof(path));
        r = mkdir_parents(DIRECTORY, 0700);
        if (r >= 0)
                r = write_file_atomic(path, text, strlen(text), 0600);
        if (r < 0)
                log_warning("%s: %s cannot be written: %s", name, path, strerror(-r));
}

void notice_file_remove(const char *name) {
        char path[sizeof(DIRECTORY) + 66];

        path_of(name, path, sizeof(path));
        (void) unlink(path);
}
