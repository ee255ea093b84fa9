/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/chain.c daemon/audit/seal.c daemon/audit/record.c daemon/audit/reader.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c
// libs: json-c
// A trail is what somebody found on a disk: any bytes are read, judged and never believed.

#include "audit/verify.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

/* Nobody goes on with a line here. */
int poll(struct pollfd *p _unused_, nfds_t n _unused_, int timeout _unused_) { return 0; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What decodes has texts, and its own hash can be computed. */
static void check_record(const struct record *r) {
        for (size_t i = 0; i < r->n_fields; i++)
                if (strlen(r->fields[i].name) > AUDIT_NAME_MAX || !r->fields[i].value ||
                    record_field(r, r->fields[i].name) == NULL)
                        abort();
        if (r->sequence == 0 || !record_source_to_string(r->source))
                abort();
}

/* The key of the seeds that are sealed: bytes 0 to 31. */
static struct epochs *auditor(void) {
        static const char list[] = "00112233445566778899aabbccddeeff AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
        _cleanup_(closep) int fd = memfd_create("keys", MFD_CLOEXEC);
        struct epochs *e;
        unsigned line;
        char path[64];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (fd < 0 || write_all(fd, list, sizeof(list) - 1) < 0 || epochs_new(&e) < 0 || epochs_add_list(e, path, &line) < 0)
                abort();
        return e;
}

static void check_seals(const char *path) {
        _cleanup_(epochs_freep) struct epochs *e = auditor();
        static struct trail_report report;

        if (trail_verify_seals(path, e, &report) < 0 || report.proven > report.sealed ||
            report.sealed + report.unsealed != report.records)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(reader_freep) struct reader *reader = NULL;
        _cleanup_(closep) int fd = memfd_create("trail", MFD_CLOEXEC);
        static struct trail_report report;
        uint64_t good = 0;
        char path[64];
        int r;

        if (fd < 0 || write_all(fd, data, size) < 0)
                return 0;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (reader_open(path, &reader) < 0)
                abort();
        for (;;) {
                _cleanup_(record_done) struct record record = {};

                r = reader_next(reader, &record);
                if (r == 0 || r == -ENOMEM)
                        break;
                if (r > 0) {
                        check_record(&record);
                        good++;
                }
        }
        if (trail_verify(path, &report) < 0 || report.records > good)
                abort();
        check_seals(path);
        return 0;
}
