/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/describe.c daemon/audit/repeat.c daemon/audit/who.c daemon/audit/mount-table.c daemon/audit/chain.c daemon/audit/seal.c
// sources: daemon/audit/record.c
// libs: json-c libcrypto

/* What stands in the ring: events of any size and content, of which another build's programs may have put some there. Each
 * becomes a record that can be written and read again, or is refused. */

#include "audit/describe.h"
#include "audit/record.h"
#include "audit/repeat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_encode(const struct audit_message_record *m) {
        static const uint8_t prev[CHAIN_HASH_SIZE];
        static struct record_line line;
        struct record r;

        if (record_encode(m, RECORD_KERNEL, 1, prev, NULL, &line) < 0)
                abort();
        if (record_decode(line.text, line.size - 1, &r) < 0)
                abort();
        record_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const struct instant now = { .boottime_usec = UINT64_C(1) << 40, .realtime_usec = UINT64_C(1) << 51 };
        static struct audit_message_record m;
        struct who_names names = { .cgroup = "/system.slice/x.service" };
        struct repeat p;
        bool repeated;
        int r;

        repeat_start(&p, data, size, 1);
        repeated = repeat_add(&p, data, size, 2);
        if (p.count != 1 + (uint64_t) repeated)
                abort();
        who_exe_from_event(&p.event, names.exe, sizeof(names.exe));
        names.ours = who_program_is_ours(names.exe);
        r = describe_event(&p.event, p.size, &names, &now, "r.1", &m);
        if (r >= 0)
                must_encode(&m);
        else if (r != -EBADMSG)
                abort();
        return 0;
}
