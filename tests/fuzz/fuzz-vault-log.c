/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/review/vault-entry.c daemon/ctl/review/vault-log.c daemon/ctl/review/issued.c daemon/ctl/review/match.c
// sources: daemon/ctl/review/anchors.c daemon/ctl/review/anchor-log.c
// sources: daemon/audit/record.c daemon/audit/chain.c daemon/audit/seal.c
// libs: json-c
// A vault's log is a file that somebody else wrote: whatever it holds is read to its end and judged.

#include "ctl/review/anchor-log.h"
#include "ctl/review/match.h"
#include "ctl/review/vault-log.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct vault_entry *e) {
        if (strlen(e->operation) >= sizeof(e->operation) || strlen(e->host) >= sizeof(e->host) ||
            strlen(e->key) >= sizeof(e->key) || strlen(e->identity) >= sizeof(e->identity) || e->realtime_usec == 0 ||
            e->n_ids > VAULT_ENTRY_IDS_MAX || (e->uses_key && !*e->key))
                abort();
}

/* Two records: the first has a hash of zeros, the second of ones. */
static void add_records(struct anchor_log *a, struct issued *issued) {
        uint8_t hash[ANCHOR_HASH_SIZE] = {};

        for (unsigned i = 1; i <= 2; i++) {
                struct record r = { .sequence = i, .realtime_usec = UINT64_C(1700000000) * USEC_PER_SEC, .event = "x" };

                if (anchor_log_record(a, &r, hash) < 0 || anchors_add(&issued->anchors, hash, i, r.realtime_usec) < 0)
                        abort();
                memset(hash, 0xff, sizeof(hash));
        }
}

static void check_anchors(struct anchor_log *a) {
        anchor_log_finish(a);
        if (a->found + a->lost + a->others + a->plain + a->strangers + a->outside > a->entries || a->newest.sequence > 2 ||
            !a->newest.sequence != !a->found || (a->lost > 0) != !!a->worst || a->others_alike > a->others ||
            (a->backwards > 0 && a->back_from.sequence <= a->back_to.sequence))
                abort();
        anchor_log_done(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static struct issued_key keys[] = { { .text = "https://vault.test/keys/k1", .host = "vault.test", .name = "k1" } };
        struct issued issued = { .keys = keys, .n_keys = 1, .first_usec = 1, .last_usec = UINT64_C(1700000009) * USEC_PER_SEC };
        struct anchor_log a = {};
        _cleanup_(match_done) struct match m = { .issued = &issued };
        _cleanup_(vault_log_freep) struct vault_log *l = NULL;
        _cleanup_(closep) int fd = memfd_create("log", MFD_CLOEXEC);
        uint64_t line = 0;
        char path[64];
        int r;

        if (fd < 0 || write_all(fd, data, size) < 0)
                return 0;
        add_records(&a, &issued);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (vault_log_open(path, &l) < 0)
                abort();
        for (;;) {
                struct vault_entry e;

                r = vault_log_next(l, &e);
                if (r == 0 || r == -ENOMEM || r == -E2BIG)
                        break;
                if (r < 0 && r != -EBADMSG)
                        abort();
                if (vault_log_line(l) < line)
                        abort();
                line = vault_log_line(l);
                if (r < 0)
                        continue;
                check_entry(&e);
                if (match_entry(&m, &e, line) < 0 || anchor_log_entry(&a, &e, line) < 0)
                        break;
        }
        (void) match_finish(&m);
        check_anchors(&a);
        anchors_done(&issued.anchors);
        return 0;
}
