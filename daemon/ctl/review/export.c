/* SPDX-License-Identifier: Apache-2.0 */
#include "review.h"

#include "bundle.h"
#include "sheet.h"

#include <fcntl.h>
#include <unistd.h>

/* cmkctl audit export: the trail with its proofs in a directory of its own, for an auditor elsewhere; or, with --format, the
 * records that a filter wants as a sheet. Nothing that is there is overwritten. */

static int refuse_filters(const struct invocation *in) {
        if (in->given & FILTER_OPTIONS & ~(OPTION_BIT(OPTION_SINCE)|OPTION_BIT(OPTION_UNTIL)|OPTION_BIT(OPTION_ROOT)))
                return fail(EXIT_CODE_USAGE, "a trail with records left out proves nothing: only --since and --until go with it; "
                            "--format csv or json takes every filter");
        return EXIT_CODE_DONE;
}

static int export_bundle(const struct invocation *in, const struct filter *f) {
        _cleanup_(freep) struct trail_report *t = NULL;
        char sum[CHAIN_HEX_SIZE + 1];
        struct bundle b = { .dir = in->args[0], .trail = review_path(in), 
                            .own = !in->values[OPTION_FILE], .since_usec = f->since_usec, .until_usec = f->until_usec,
                            .strict = f->config && f->config->audit.privacy == PRIVACY_STRICT,
                            .privacy = f->veil.privacy, .baseline = f->config ? f->config->baseline : NULL };
        int r, code;

        if (in->values[OPTION_DIRECTORY])
                return fail(EXIT_CODE_USAGE, "journals prove nothing: export the trails of the nodes, or a sheet with --format");
        code = refuse_filters(in);
        if (code == EXIT_CODE_DONE)
                code = review_verify(in, &t);
        if (code != EXIT_CODE_DONE)
                return code;
        b.report = t;
        r = bundle_write(&b, sum);
        if (r == -EEXIST)
                return fail(EXIT_CODE_FAILED, "%s is there already; nothing is overwritten", b.dir);
        if (r == -ENODATA)
                return fail(EXIT_CODE_FAILED, "%s has no records of that time", b.trail);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "cannot export to %s: %s", b.dir, strerror(-r));
        printf("%s/SHA256SUMS has the SHA-256 %s\n", b.dir, sum);
        if (t->n_problems > 0)
                return fail(EXIT_CODE_TRAIL, "%s does not verify: %llu problem%s; it was exported as it is, and MANIFEST.json says so",
                            b.trail, (unsigned long long) t->n_problems, t->n_problems == 1 ? "" : "s");
        if (t->records == 0)
                return fail(EXIT_CODE_FAILED, "%s has no records: there is nothing to verify", b.trail);
        return EXIT_CODE_DONE;
}

static int open_new(const char *path, FILE **ret) {
        FILE *f;
        int fd;

        fd = open(path, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC|O_NOCTTY, 0600);
        if (fd < 0 && errno == EEXIST)
                return fail(EXIT_CODE_FAILED, "%s is there already; nothing is overwritten", path);
        f = fd < 0 ? NULL : fdopen(fd, "w");
        if (!f) {
                safe_close(fd);
                return fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(errno));
        }
        *ret = f;
        return EXIT_CODE_DONE;
}

static int export_sheet(const struct invocation *in, const struct filter *f, enum sheet_format format) {
        _cleanup_(source_freep) struct source *s = NULL;
        _cleanup_(fclosep) FILE *file = NULL;
        const char *path = in->args[0];
        bool to_stdout = streq(path, "-");
        uint64_t records, broken;
        int r, code;

        code = source_new(in, &s);
        if (code == EXIT_CODE_DONE && !to_stdout)
                code = open_new(path, &file);
        if (code != EXIT_CODE_DONE)
                return code;
        r = sheet_write(to_stdout ? stdout : file, s, f, format, &records, &broken);
        if (r >= 0 && !to_stdout && fsync(fileno(file)) < 0)
                r = -errno;
        if (r < 0) {
                if (!to_stdout)
                        (void) unlink(path);
                return fail(EXIT_CODE_FAILED, "cannot export to %s: %s", path, strerror(-r));
        }
        if (broken > 0)
                return fail(EXIT_CODE_TRAIL, "%s: %llu lines are no records and were left out: see cmkctl audit verify",
                            source_name(s), (unsigned long long) broken);
        if (!to_stdout)
                printf("%s: %llu records\n", path, (unsigned long long) records);
        return EXIT_CODE_DONE;
}

int verb_audit_export(const struct invocation *in) {
        _cleanup_(filter_done) struct filter f = {};
        const char *format = in->values[OPTION_FORMAT];
        int code = filter_read(in, &f);

        if (code != EXIT_CODE_DONE)
                return code;
        if (!format)
                return export_bundle(in, &f);
        if (streq(format, "csv") || streq(format, "json"))
                return export_sheet(in, &f, streq(format, "csv") ? SHEET_CSV : SHEET_JSON);
        return fail(EXIT_CODE_USAGE, "--format is csv or json, not %s", format);
}
