/* SPDX-License-Identifier: Apache-2.0 */
#include "trail-state.h"

#include <limits.h>

#include "common/paths.h"

#define STATUS_MAX 65536u

/* The value in a line NAME=VALUE of the text, cut off at its end; "" if there is none. */
static void find(const char *text, const char *name, char *ret, size_t size) {
        size_t n = strlen(name);

        *ret = 0;
        for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
                if (strncmp(p, name, n) == 0 && p[n] == '=') {
                        snprintf(ret, size, "%.*s", (int) strcspn(p + n + 1, "\n"), p + n + 1);
                        return;
                }
}

/* NULL: it is not there. */
static char *read_status(const char *root) {
        char path[PATH_MAX], *text;

        if (snprintf(path, sizeof(path), "%s" AUDIT_STATUS_FILE, root) >= (int) sizeof(path) ||
            read_small_file(path, STATUS_MAX, &text, NULL) < 0)
                return NULL;
        return text;
}

bool trail_state_value(const char *root, const char *name, char *ret, size_t size) {
        _cleanup_(freep) char *text = read_status(root);

        find(strempty(text), name, ret, size);
        return text;
}

void trail_state_text(const char *root, char *ret, size_t size) {
        _cleanup_(freep) char *text = read_status(root);
        char sealed[8], epoch[40], why[256], place[8], refused[40], stopped[256], privacy[8];
        size_t n;

        if (!text) {
                snprintf(ret, size, "not known: cmkd-audit has not run");
                return;
        }
        find(text, "sealed", sealed, sizeof(sealed));
        find(text, "epoch", epoch, sizeof(epoch));
        find(text, "seal_why", why, sizeof(why));
        find(text, "place", place, sizeof(place));
        find(text, "refused", refused, sizeof(refused));
        find(text, "stopped", stopped, sizeof(stopped));
        find(text, "privacy", privacy, sizeof(privacy));
        if (*stopped)
                snprintf(ret, size, "NOTHING IS RECORDED: %s", stopped);
        else if (*refused)
                snprintf(ret, size, "IN /run ONLY: /var/log/cmkd is on the volume %s, where no trail is kept", refused);
        else if (streq(place, "early"))
                snprintf(ret, size, "in /run, and not sealed before it is joined to that in /var/log/cmkd");
        else if (streq(sealed, "yes"))
                snprintf(ret, size, "sealed, epoch %s%s%s", epoch, *why ? ", but: " : "", why);
        else if (*why)
                snprintf(ret, size, "NOT SEALED: %s", why);
        else
                snprintf(ret, size, "a hash chain only, which whoever is root can write anew (PublicKey= in cmkd.conf)");
        n = strlen(ret);
        if (streq(privacy, "strict"))
                snprintf(ret + n, size - n, "; names are pseudonyms");
}

void guard_state_text(const char *root, char *ret, size_t size) {
        _cleanup_(freep) char *text = read_status(root);
        char state[16], mode[16], why[160], left[24];

        if (!text) {
                snprintf(ret, size, "not known: cmkd-audit has not run");
                return;
        }
        find(text, "guard", state, sizeof(state));
        find(text, "guard_mode", mode, sizeof(mode));
        find(text, "guard_why", why, sizeof(why));
        find(text, "guard_left", left, sizeof(left));
        if (!*state)
                snprintf(ret, size, "nothing is recorded from the kernel");
        else if (streq(state, "armed"))
                snprintf(ret, size, "armed (Mode=%s): for %s s more, unless `cmkctl guard confirm` is given", mode, *left ? left : "0");
        else
                snprintf(ret, size, "%s (Mode=%s)%s%s", state, mode, *why ? ": " : "", why);
}

void events_state_text(const char *root, char *ret, size_t size) {
        _cleanup_(freep) char *text = read_status(root);
        char probes[8], missing[256], blind[8];

        if (!text) {
                snprintf(ret, size, "not known: cmkd-audit has not run");
                return;
        }
        find(text, "probes", probes, sizeof(probes));
        find(text, "missing", missing, sizeof(missing));
        find(text, "blind", blind, sizeof(blind));
        if (streq(blind, "yes"))
                snprintf(ret, size, "DO NOT ARRIVE");
        else if (streq(probes, "all"))
                snprintf(ret, size, "all recorded");
        else if (streq(probes, "some"))
                snprintf(ret, size, "NOT ALL RECORDED, without: %s", missing);
        else
                snprintf(ret, size, "NONE RECORDED");
}
