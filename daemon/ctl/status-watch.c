/* SPDX-License-Identifier: Apache-2.0 */
#include "status-watch.h"

#include <unistd.h>

#define CLEAR_SCREEN "\033[H\033[J"

static int on_changed(sd_bus_message *m _unused_, void *user, sd_bus_error *e _unused_) {
        bool *changed = user;

        *changed = true;
        return 0;
}

/* Volumes that come and go, and their states. */
static int listen_for_changes(struct call *c, bool *changed) {
        static const char *const signals[][2] = {
                { BUS_MANAGER, "VolumeChanged" },
                { "org.freedesktop.DBus.ObjectManager", "InterfacesAdded" },
                { "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved" },
        };
        int code = bus_connect(&c->bus), r = 0;

        for (size_t i = 0; code == EXIT_CODE_DONE && r >= 0 && i < ELEMENTSOF(signals); i++)
                r = sd_bus_match_signal(c->bus, NULL, NULL, BUS_OBJECT, signals[i][0], signals[i][1], on_changed, changed);
        return r < 0 ? fail(EXIT_CODE_FAILED, "cannot listen to cmkd: %s", strerror(-r)) : code;
}

/* Until something changed, or on a terminal a second is over. Several changes at once are one. Returns 0 or -errno. */
static int wait_for_change(struct call *c, const bool *changed, bool terminal) {
        int r;

        for (;;) {
                do
                        r = sd_bus_process(c->bus, NULL);
                while (r > 0);
                if (r < 0 || *changed)
                        return r;
                r = sd_bus_wait(c->bus, terminal ? USEC_PER_SEC : UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        return r;
                if (r == 0 && terminal)
                        return 0;
        }
}

int status_watch(struct call *c, int (*show)(struct call *c, void *user), void *user) {
        static char screen[1 << 16];
        bool terminal = isatty(STDOUT_FILENO), changed = false;

        /* what was cleared is written again in one go: it does not flicker */
        if (terminal)
                setvbuf(stdout, screen, _IOFBF, sizeof(screen));
        for (;;) {
                int code = EXIT_CODE_DONE;

                if (terminal)
                        fputs(CLEAR_SCREEN, stdout);
                if (!c->bus)
                        code = listen_for_changes(c, &changed);
                changed = false;
                if (code == EXIT_CODE_DONE)
                        code = show(c, user);
                if (fflush(stdout) != 0)
                        return fail(EXIT_CODE_FAILED, "cannot write the result: %s", strerror(errno));
                if (code == EXIT_CODE_DONE && wait_for_change(c, &changed, terminal) < 0)
                        code = fail(EXIT_CODE_FAILED, "cmkd went away; see journalctl -u cmkd");
                if (code == EXIT_CODE_DONE)
                        continue;
                if (!terminal)
                        return code;
                call_release(c);
                sleep(1);
        }
}
