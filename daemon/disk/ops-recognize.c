/* SPDX-License-Identifier: Apache-2.0 */

/* RECOGNIZE: a mapping that is there, and the header on the device that it was made of. No secret: whether the volume
 * key in the kernel is the header's nobody can say, only that the table asks for it by the header's name. */

#include "activation.h"
#include "header-write.h"
#include "live-table.h"
#include "ops.h"
#include "volume.h"

#include "ladder/dm.h"

#include <time.h>

/* At one that changes meanwhile. */
#define LOOKS 4
/* How long a part of an encryption may take until it has ended. */
#define PART_USEC (20 * USEC_PER_SEC)
#define PART_PAUSE_MSEC 50

static void check_table(const struct mapping *m, const struct volume *v, const struct disk_request *q, uint64_t sectors,
                        struct disk_reply *y) {
        const struct live_table_expected e = {
                .name = m->info.name, .dm_uuid = m->dm_uuid, .uuid = v->header->copy.uuid, .major = v->device.major,
                .minor = v->device.minor, .sectors = sectors, .offset = v->header->layout.data_offset / 512,
                .sector_size = v->header->layout.sector_size, .digest = v->header->layout.digest, .read_only = m->info.state & DM_STATE_READ_ONLY,
                .by_others = true, .activation = v->header->layout.activation, .integrity = v->header->layout.integrity,
                .encryption = v->header->encryption.under_way ? &v->header->encryption : NULL,
        };
        struct live_table live;
        const char *why;

        /* The key of a held volume is wiped, and its table says so in its own way. */
        if (m->info.state & DM_STATE_SUSPENDED)
                return;
        if (v->header->encryption.under_way && (q->plain_max == 0 || v->header->encryption.plain > q->plain_max ||
                                                 v->header->encryption.rekeys != !!(q->flags & DISK_FLAG_REKEYING)))
                snprintf(y->message, sizeof(y->message), "more of it is not encrypted than this node knows of");
        else if (live_table_check(&e, &live, &why) >= 0 && live.major == m->info.major && live.minor == m->info.minor) {
                y->flags |= DISK_FLAG_TABLE_OK;
                activation_to_text(live.activation, y->activation);
        } else
                snprintf(y->message, sizeof(y->message), "its table is not what the header of the device asks for: %s", why);
}

/* The mapping's; reading a volume says that of the device below. */
static void say_number(const struct mapping *m, struct disk_reply *y) {
        y->dev_major = m->info.major;
        y->dev_minor = m->info.minor;
}

static int look(struct mapping *ret, const struct disk_request *q, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = VOLUME_NONE;
        _cleanup_(usage_done) struct usage u = {};
        uint64_t sectors;
        int r;

        r = mapping_find(ret, q, y);
        if (r < 0 || !ret->present)
                return r;
        if (ret->table.targets == 0) {
                y->flags |= DISK_FLAG_NO_TABLE;
                y->sectors = 1;                  /* for the table of errors that it may get: nothing was ever there to be read */
                say_number(ret, y);
                return 0;
        }
        r = usage_find(&u, ret, y);
        if (r < 0)
                return r;
        r = volume_read(&v, q, y);
        sectors = y->sectors;
        say_number(ret, y);
        y->sectors = ret->table.sectors;
        if (r >= 0 && !ret->table.all_error)
                check_table(ret, &v, q, sectors, y);
        return r;
}

static bool has_changed(const struct mapping *m, const struct disk_request *q) {
        _cleanup_(mapping_done) struct mapping now = MAPPING_NONE;
        struct disk_reply scratch = {};

        return mapping_find(&now, q, &scratch) >= 0 &&
               (now.present != m->present || now.info.state != m->info.state || now.table.all_error != m->table.all_error);
}

/* Of the root file system who encrypts it outlives its manager, up to the end of the part that it is at: only then the table is the header's.
 * Returns whether there was one, and nobody encrypts it any more. */
static bool await_part(const struct disk_request *q) {
        const struct timespec pause = { 0, PART_PAUSE_MSEC * 1000 * 1000 };
        uint64_t until = now_boottime_usec() + PART_USEC;
        struct disk_reply unused = {};

        while (q->role == ROLE_OS && q->plain_max > 0) {
                struct header_lock lock = HEADER_LOCK_NONE;
                int r = header_lock_encryption(q->uuid, q->device, &lock, &unused);

                header_unlock(&lock);
                if (r >= 0)
                        return true;
                if (r != -EBUSY || now_boottime_usec() >= until)
                        return false;
                (void) nanosleep(&pause, NULL);
        }
        return false;
}

/* A mapping that is cut by the breaker while it is looked at has for a moment a table that is neither. */
int op_recognize(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        const struct disk_reply before = *y;
        bool ended = await_part(q);

        for (unsigned n = 1;; n++) {
                _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
                int r = look(&m, q, y);

                if (n == LOOKS || !has_changed(&m, q)) {
                        y->flags |= ended && mapping_part_waits(&m) ? DISK_FLAG_HALF_WAY : 0;
                        return r;
                }
                *y = before;
        }
}
