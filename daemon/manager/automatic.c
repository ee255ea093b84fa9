/* SPDX-License-Identifier: Apache-2.0 */
#include "automatic.h"

#include "common/image-volumes.h"
#include "device-facts.h"
#include "drill.h"
#include "manager.h"

static bool is_known(const struct manager *m, const struct device_facts *f) {
        for (size_t i = 0; i < AUTOMATIC_KNOWN_MAX; i++)
                if (m->known[i].devnum == (uint64_t) f->devnum && m->known[i].diskseq == f->diskseq)
                        return true;
        return false;
}

void automatic_know(struct manager *m, const char *device) {
        struct device_facts f;

        if (device_facts_read(device, &f) < 0 || is_known(m, &f))
                return;
        m->known[m->n_known++ % AUTOMATIC_KNOWN_MAX] =
                (struct appearance) { .devnum = (uint64_t) f.devnum, .diskseq = f.diskseq };
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
        if (is_known(m, &f) && !(v && volume_is_open(v))) {
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
