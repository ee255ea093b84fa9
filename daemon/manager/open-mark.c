/* SPDX-License-Identifier: Apache-2.0 */
#include "open-mark.h"

#include <inttypes.h>
#include <unistd.h>

#include "common/log.h"
#include "common/role-mark.h"
#include "given-out.h"
#include "wrap.h"
#include "wrap-mark.h"

#define DIRECTORY "/run/cmkd/open"
#define PATH_SIZE (sizeof(DIRECTORY) + 40)
#define PROGRESS ".progress"

static const char *const names[_OPEN_MARK_MAX] = { "none", "released", "attached", "recovery" };

static void write_text(const struct volume *v, const struct open_mark_text *t) {
        char path[PATH_SIZE], text[256];
        int r;

        snprintf(path, sizeof(path), DIRECTORY "/%s", v->uuid);
        snprintf(text, sizeof(text), "%s %" PRIu64 " %" PRIu64 " %s\n", names[t->mark], t->issued.boottime_usec,
                 t->issued.realtime_usec, t->mapping);
        r = mkdir_parents(DIRECTORY, 0700);
        if (r >= 0)
                r = write_file_atomic(path, text, strlen(text), 0600);
        if (r < 0)
                log_warning("%s: that it is open is not written down: %s; a new cmkd may take it for opened by others",
                            v->name, strerror(-r));
}

static void write_mark(const struct volume *v, enum open_mark mark, struct instant issued) {
        struct open_mark_text t = { .mark = mark, .issued = issued };

        snprintf(t.mapping, sizeof(t.mapping), "%s", v->mapping);
        write_text(v, &t);
}

/* What a key's owner said to an earlier manager is kept until this one has heard him. */
void open_mark_granted(const struct volume *v) {
        struct open_mark_text before;
        struct instant issued;

        if (v->state != VOLUME_ATTACHED)
                return;
        issued = wraps_lease_begin(v);
        if (!wraps_have_heard(v)) {
                open_mark_read(v->uuid, &before);
                if (before.issued.boottime_usec > 0 || issued.boottime_usec == 0)
                        issued = before.issued;
        }
        write_mark(v, OPEN_MARK_ATTACHED, issued);
        wrap_mark_update(v);
}

void open_mark_forget(const char *uuid) {
        char path[PATH_SIZE];

        snprintf(path, sizeof(path), DIRECTORY "/%s", uuid);
        (void) unlink(path);
        role_mark_remove(uuid);
}

void open_mark_update(const struct volume *v) {
        struct open_mark_text given;
        struct breaker_slot slot;

        if (v->state == VOLUME_ATTACHED || v->state == VOLUME_RECOVERY)
                role_mark_write(v->uuid, v->role);
        open_mark_granted(v);
        if (v->state == VOLUME_RECOVERY)
                write_mark(v, OPEN_MARK_RECOVERY, (struct instant) {});
        else if ((v->state == VOLUME_CLOSED || v->state == VOLUME_CUT) && given_out_find(v->manager, v->uuid, &given, &slot))
                write_text(v, &given);
        else if (v->state == VOLUME_CLOSED || v->state == VOLUME_CUT)
                open_mark_forget(v->uuid);
}

void open_mark_released(const struct volume *v, struct instant issued) {
        wrap_mark_update(v);
        write_mark(v, OPEN_MARK_RELEASED, issued);
        role_mark_write(v->uuid, v->role);
}

void open_mark_progressed(const struct volume *v) {
        char path[PATH_SIZE + sizeof(PROGRESS)];
        int r;

        snprintf(path, sizeof(path), DIRECTORY "/%s" PROGRESS, v->uuid);
        r = v->role == ROLE_OS ? write_file_atomic(path, "", 0, 0600) : 0;
        if (r < 0)
                log_warning("%s: that its encryption gets on is not written down: %s", v->name, strerror(-r));
}

bool open_mark_has_progressed(const char *uuid) {
        char path[PATH_SIZE + sizeof(PROGRESS)];

        snprintf(path, sizeof(path), DIRECTORY "/%s" PROGRESS, uuid);
        return access(path, F_OK) >= 0;
}

int open_mark_parse(const char *text, struct open_mark_text *ret) {
        struct open_mark_text t = {};
        char name[16], mapping[129];
        int end = 0;

        if (sscanf(text, "%15s %" SCNu64 " %" SCNu64 " %128s%n", name, &t.issued.boottime_usec, &t.issued.realtime_usec,
                   mapping, &end) != 4 || !streq(text + end, "\n") || !dm_mapping_name_is_valid(mapping))
                return -EBADMSG;
        for (enum open_mark m = OPEN_MARK_NONE + 1; m < _OPEN_MARK_MAX; m++)
                if (streq(name, names[m]))
                        t.mark = m;
        if (t.mark == OPEN_MARK_NONE)
                return -EBADMSG;
        memcpy(t.mapping, mapping, sizeof(mapping));
        *ret = t;
        return 0;
}

void open_mark_read(const char *uuid, struct open_mark_text *ret) {
        _cleanup_(freep) char *text = NULL;
        char path[PATH_SIZE];

        *ret = (struct open_mark_text) {};
        snprintf(path, sizeof(path), DIRECTORY "/%s", uuid);
        if (read_small_file(path, 512, &text, NULL) >= 0)
                (void) open_mark_parse(text, ret);
}
