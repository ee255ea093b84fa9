/* SPDX-License-Identifier: Apache-2.0 */
#include "stored.h"

#include <time.h>

static void describe_deleted(uint64_t purge, uint64_t now, char *buf, size_t size) {
        static const char what[] = "The wrapped key's secret was deleted";
        time_t t = (time_t) purge;
        char date[32];
        struct tm tm;

        if (purge == 0 || !gmtime_r(&t, &tm) || strftime(date, sizeof(date), "%Y-%m-%d", &tm) == 0)
                snprintf(buf, size, "%s: the volume is revoked, not erased: the secret can be recovered until the vault's retention ends",
                         what);
        else if (now < purge)
                snprintf(buf, size, "%s: the volume is revoked, not erased: the secret can be recovered until %s", what, date);
        else
                snprintf(buf, size, "%s, and was to be purged on %s", what, date);
}

bool stored_text(const struct vault_reply *y, uint64_t now, char *buf, size_t size) {
        if (streq(y->code, "SecretNotFound"))
                describe_deleted(y->expires, now, buf, size);
        else if (streq(y->code, "Forbidden/SecretDisabled"))
                snprintf(buf, size, "The wrapped key's secret is disabled; nothing opens this volume until its owner enables it again");
        else if (streq(y->code, "secret altered"))
                snprintf(buf, size, "The wrapped key's secret is another than was enrolled: its owner has to set back the version before");
        else
                return false;
        return true;
}

void wrap_fill_request(const struct disk_wrap *w, const char volume[static 37], struct vault_request *q) {
        snprintf(q->algorithm, sizeof(q->algorithm), "%s", w->algorithm);
        memcpy(q->volume, volume, sizeof(q->volume));
        q->stored = w->stored;
        if (w->stored) {
                memcpy(q->digest, w->wrapped, sizeof(q->digest));
                return;
        }
        memcpy(q->blob, w->wrapped, w->wrapped_size);
        q->blob_size = w->wrapped_size;
}
