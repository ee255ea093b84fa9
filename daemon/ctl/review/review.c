/* SPDX-License-Identifier: Apache-2.0 */
#include "review.h"

#include <time.h>

const char *review_path(const struct invocation *in) {
        return in->values[OPTION_FILE] ? in->values[OPTION_FILE] : TRAIL_PATH;
}

const char *review_name(const struct invocation *in) {
        return in->values[OPTION_DIRECTORY] ? in->values[OPTION_DIRECTORY] : review_path(in);
}

static int complain(const char *path, int error) {
        if (error == -ENOENT)
                return fail(EXIT_CODE_FAILED, "%s: there is no trail; was cmkd-audit ever started here?", path);
        return fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(-error));
}

int review_read(const struct invocation *in, const struct filter *f, struct ledger **ret) {
        _cleanup_(source_freep) struct source *s = NULL;
        int r, code = source_new(in, &s);

        if (code != EXIT_CODE_DONE)
                return code;
        r = ledger_read(s, f, ret);
        return r < 0 ? complain(source_name(s), r) : EXIT_CODE_DONE;
}

int review_verify(const struct invocation *in, struct trail_report **ret) {
        _cleanup_(freep) struct trail_report *t = calloc(1, sizeof(*t));
        int r = t ? trail_verify(review_path(in), t) : -ENOMEM;

        if (r < 0)
                return complain(review_path(in), r);
        *ret = TAKE_PTR(t);
        return EXIT_CODE_DONE;
}

void review_time(uint64_t usec, char *buf, size_t size) {
        time_t t = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;
        size_t n;

        n = gmtime_r(&t, &tm) ? strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm) : 0;
        snprintf(buf + n, size - n, ".%03u", (unsigned) (usec % USEC_PER_SEC / USEC_PER_MSEC));
}

void review_put_time(struct json_object *o, const char *member, uint64_t usec) {
        char text[64];

        review_time(usec, text, sizeof(text));
        json_put_text(o, member, usec > 0 ? text : "");
}
