/* SPDX-License-Identifier: Apache-2.0 */
#include "automatic.h"

#include <inttypes.h>
#include <sys/sysmacros.h>

#include "common/image-volumes.h"
#include "common/log.h"
#include "device-facts.h"
#include "drill.h"
#include "manager.h"

/* A file for each device number, with the number of the appearance: there until the machine goes down, whatever becomes of this process. */
#define DIRECTORY "/run/cmkd/known"

static void path_of(const struct device_facts *f, char *buf, size_t size) {
        snprintf(buf, size, DIRECTORY "/%u:%u", major(f->devnum), minor(f->devnum));
}

static bool is_known(const struct device_facts *f) {
        _cleanup_(freep) char *text = NULL;
        uint64_t diskseq;
        char path[64];

        path_of(f, path, sizeof(path));
        if (read_small_file(path, 32, &text, NULL) < 0)
                return false;
        text[strcspn(text, "\n")] = 0;
        return parse_u64(text, UINT64_MAX, &diskseq) >= 0 && diskseq == f->diskseq;
}

void automatic_know(const char *device) {
        struct device_facts f;
        char path[64], text[32];
        int r;

        if (device_facts_read(device, &f) < 0 || is_known(&f))
                return;
        path_of(&f, path, sizeof(path));
        snprintf(text, sizeof(text), "%" PRIu64 "\n", f.diskseq);
        r = mkdir_parents(DIRECTORY, 0700);
        if (r >= 0)
                r = write_file_atomic(path, text, strlen(text), 0600);
        if (r < 0)
                log_warning("%s: that it is known is not written down: %s; once it is closed, an event of udev's may attach it again", device,
                            strerror(-r));
}

/* A LUKS2 volume of somebody else's is none of our business; one of ours whose token is gone is. */
static enum automatic judge_unreadable(struct manager *m, const char *device, const struct device_facts *f,
                                       const struct disk_reply *y, struct outcome *o) {
        const struct trust_entry *t = trust_find_uuid(m->trust, f->fs_uuid);

        if (!t && y->silence == DISK_ANSWERED && (y->error == -ENOENT || y->error == -ENODATA || y->error == -EBADMSG)) {
                outcome_set(o, EXIT_CODE_DONE, "%s: left alone: %s", device, y->message);
                return AUTOMATIC_LEAVE;
        }
        outcome_from_disk(o, y);
        /* what its header says does not change by trying again */
        if (!disk_reply_is_passing(y))
                o->code = EXIT_CODE_POLICY;
        return AUTOMATIC_REFUSE;
}

static enum automatic judge_serial(struct manager *m, const char *device, const struct device_facts *f,
                                   const struct disk_reply *y, struct outcome *o) {
        const struct trust_entry *t = trust_find_uuid(m->trust, y->uuid);
        bool listed = t && *t->serial && *f->serial, same = listed && streq(t->serial, f->serial);
        char twin[257];

        if (listed && !same) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: volume %s was last seen on a disk with serial %s, this one has %s: a copy "
                            "is not attached by itself. If it took the other's place: cmkctl attach %s", device, t->name,
                            t->serial, f->serial, device);
                return AUTOMATIC_REFUSE;
        }
        if (!same && device_facts_find_twin(device, y->uuid, twin) > 0) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: %s has the same UUID %s: one of them is a copy, and nothing says which. "
                            "Neither is attached by itself", device, twin, y->uuid);
                return AUTOMATIC_REFUSE;
        }
        return AUTOMATIC_GO;
}

enum automatic automatic_judge(struct manager *m, const char *device, const struct disk_reply *y, struct outcome *o) {
        const struct volume *v;
        struct device_facts f;
        int r;

        if (drill_owns(m, device)) {
                outcome_set(o, EXIT_CODE_DONE, "%s: left alone: it is the device of a drill", device);
                return AUTOMATIC_LEAVE;
        }
        r = device_facts_read(device, &f);
        if (r == -ENODEV) {
                outcome_set(o, EXIT_CODE_DONE, "%s: it is gone", device);
                return AUTOMATIC_LEAVE;
        }
        if (r < 0) {
                outcome_set(o, EXIT_CODE_FAILED, "%s: sysfs and udev cannot be asked about it: %s", device, strerror(-r));
                return AUTOMATIC_REFUSE;
        }
        v = manager_volume_by_uuid(m, y->uuid);
        if (is_known(&f) && !(v && volume_is_open(v))) {
                outcome_set(o, EXIT_CODE_DONE, "%s: formatted or closed by hand since it appeared: attach it when it is wanted", device);
                return AUTOMATIC_LEAVE;
        }
        if (y->error < 0)
                return judge_unreadable(m, device, &f, y, o);
        if (v && volume_is_open(v))
                return AUTOMATIC_GO;             /* from here, or from another disk: the list of volumes knows */
        if (*f.holder) {
                outcome_set(o, EXIT_CODE_DONE, "%s: left alone: %s stands on it", device, f.holder);
                return AUTOMATIC_LEAVE;
        }
        if (image_volumes_has(y->uuid)) {
                outcome_set(o, EXIT_CODE_DONE, "%s: left alone: it is an image's, and becomes this machine's own first (cmkd-personalize.service)",
                            device);
                return AUTOMATIC_LEAVE;
        }
        if (f.unfit && !m->config->allow_removable) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: it is %s, or stands on one: not attached by itself (AllowRemovable=no)",
                            device, f.unfit);
                return AUTOMATIC_REFUSE;
        }
        return judge_serial(m, device, &f, y, o);
}
