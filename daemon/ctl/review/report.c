/* SPDX-License-Identifier: Apache-2.0 */
#include "review.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* cmkctl audit report: one file that a person can read. Written beside FILE and renamed, if it is a file: whoever reads it
 * sees the old report or the new one. */

static int write_report(const char *file, const char *path, const struct ledger *l, const struct trail_report *t) {
        _cleanup_(freep) char *buf = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&buf, &size);
        int r;

        if (!f)
                return -errno;
        r = report_html(f, path, l, t, instant_now().realtime_usec);
        if (fclose(f) != 0 && r >= 0)
                r = -ENOMEM;
        if (r < 0)
                return r;
        if (streq(file, "-"))
                return write_all(STDOUT_FILENO, buf, size);
        return write_output(file, buf, size, 0600);
}

int verb_audit_report(const struct invocation *in) {
        _cleanup_(ledger_freep) struct ledger *l = NULL;
        _cleanup_(freep) struct trail_report *t = NULL;
        const char *file = in->values[OPTION_HTML];
        _cleanup_(filter_done) struct filter f = {};
        int code, r;

        if (!file)
                return fail(EXIT_CODE_USAGE, "say where to: --html FILE, or --html - for standard output");
        code = filter_read(in, &f);
        if (code == EXIT_CODE_DONE && !in->values[OPTION_DIRECTORY])
                code = review_verify(in, &t);
        if (code == EXIT_CODE_DONE)
                code = review_read(in, &f, &l);
        if (code != EXIT_CODE_DONE)
                return code;
        r = write_report(file, review_name(in), l, t);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "cannot write %s: %s", file, strerror(-r));
        if (t && t->n_problems > 0)
                return fail(EXIT_CODE_TRAIL, "%s does not verify: %llu problem%s; the report says which", review_path(in),
                            (unsigned long long) t->n_problems, t->n_problems == 1 ? "" : "s");
        if (!streq(file, "-"))
                printf("%s: %llu records, %zu finding%s\n", file, (unsigned long long) l->records, l->n_findings,
                       l->n_findings == 1 ? "" : "s");
        return EXIT_CODE_DONE;
}
