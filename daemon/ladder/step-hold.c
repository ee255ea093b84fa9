/* SPDX-License-Identifier: Apache-2.0 */

/* QUERY and HOLD: what is there, and taking the key away in a way that can be undone. */

#include "reencryption.h"

int op_query(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        _cleanup_(usage_done) struct usage u = {};
        struct dm_info other;
        int r;

        r = mapping_find(&m, q, y);
        if (r >= 0)
                r = usage_find(&u, &m, y);
        if (r < 0)
                return r;
        if (!m.present) {
                /* The name may be somebody else's. */
                if (*q->mapping && dm_query(m.control, (struct dm_id) { .name = q->mapping }, &other) >= 0) {
                        y->flags |= DISK_FLAG_MAPPED;
                        y->dev_major = other.major;
                        y->dev_minor = other.minor;
                }
                return 0;
        }
        y->count = usage_count_mounts(&u);
        usage_describe_mounts(&u, y->message, sizeof(y->message));
        replace_unprintable(y->message);
        return 0;
}

/* Tasks that wait for a held volume look hung to the kernel; where that is a panic, a hold would be one. */
static bool hung_task_panics(void) {
        _cleanup_(freep) char *text = NULL;

        return read_small_file("/proc/sys/kernel/hung_task_panic", 32, &text, NULL) >= 0 && *text != '0';
}

static const char *why_no_hold(const struct usage *u, char *buf, size_t size) {
        const char *place = usage_of_system(u);

        if (place)
                (void) snprintf(buf, size, "it carries %s of this system", place);
        else if (hung_task_panics())
                (void) snprintf(buf, size, "kernel.hung_task_panic is set");
        else
                return NULL;
        return buf;
}

int op_hold(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        _cleanup_(usage_done) struct usage u = {};
        struct subs subs = {};
        char why[128];
        int r;

        r = mapping_find(&m, q, y);
        if (r >= 0)
                r = usage_find(&u, &m, y);
        if (r < 0 || !m.present || m.table.all_error)
                return r;
        subs_find(&m, &subs);
        if (subs.n > 0)
                return op_fail(y, -EPERM, EXIT_CODE_POLICY, "hold of %s: not possible (it is being reencrypted)", q->name);
        if (why_no_hold(&u, why, sizeof(why)))
                return op_fail(y, -EPERM, EXIT_CODE_POLICY, "hold of %s: not possible (%s)", q->name, why);
        /* With the file system frozen: what is written by now is on the disk, and nothing is half done at a resume. */
        if (!(m.info.state & DM_STATE_SUSPENDED))
                r = dm_suspend(m.control, mapping_id(&m), 0);
        if (r >= 0)
                r = dm_message(m.control, mapping_id(&m), "key wipe");
        if (r >= 0)
                r = dm_query(m.control, mapping_id(&m), &m.info);
        if (r >= 0 && !(m.info.state & DM_STATE_SUSPENDED))
                r = -EIO;
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s is not held: %s", q->name, strerror(-r));
        (void) keys_drop(q->uuid, 0);
        y->flags |= DISK_FLAG_SUSPENDED;
        return 0;
}
