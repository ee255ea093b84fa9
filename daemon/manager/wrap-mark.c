/* SPDX-License-Identifier: Apache-2.0 */
#include "wrap-mark.h"

#include <inttypes.h>

#include "common/log.h"
#include "key.h"
#include "lease-keys.h"
#include "wrap.h"

#define DIRECTORY "/run/cmkd/wraps"
#define PATH_SIZE (sizeof(DIRECTORY) + 40)
#define LINE_MAX_SIZE (KEY_URI_MAX + 64u)
#define MARK_MAX (DISK_WRAPS_MAX * LINE_MAX_SIZE)

static int parse_line(const char *line, struct wrap_mark_line *ret) {
        struct wrap_mark_line l = {};
        struct key_uri u;
        char state[8], key[KEY_URI_MAX];
        int end = 0;

        if (sscanf(line, "%7s %" SCNu64 " %" SCNu64 " %511s%n", state, &l.at.boottime_usec, &l.at.realtime_usec, key,
                   &end) != 4 || line[end] || l.at.boottime_usec == 0 || key_uri_parse(key, &u, NULL) < 0)
                return -EBADMSG;
        l.granted = streq(state, "granted");
        if (!l.granted && !streq(state, "silent"))
                return -EBADMSG;
        memcpy(l.key, key, sizeof(key));
        *ret = l;
        return 0;
}

_Static_assert(KEY_URI_MAX == 512, "the %511s above");

int wrap_mark_parse(const char *text, struct wrap_mark_line ret[static DISK_WRAPS_MAX]) {
        _cleanup_(freep) char *copy = strdup(text);
        char *rest = copy, *line;
        unsigned n = 0;

        if (!copy || !*copy || copy[strlen(copy) - 1] != '\n')
                return -EBADMSG;
        while ((line = strsep(&rest, "\n")) && rest)
                if (n == DISK_WRAPS_MAX || parse_line(line, ret + n++) < 0)
                        return -EBADMSG;
        return (int) n;
}

static size_t format_line(const struct wrap *w, char *buf, size_t size) {
        const struct lease_key k = wrap_lease_key(w);
        struct instant at = w->begun;
        bool granted = lease_key_granted(&k, &at);

        if (at.boottime_usec == 0)
                return 0;
        return (size_t) snprintf(buf, size, "%s %" PRIu64 " %" PRIu64 " %s\n", granted ? "granted" : "silent", at.boottime_usec,
                                 at.realtime_usec, w->uri);
}

void wrap_mark_update(const struct volume *v) {
        char path[PATH_SIZE], text[MARK_MAX] = "";
        size_t n = 0;
        int r;

        if (v->n_wraps < 2)
                return;
        for (unsigned i = 0; i < v->n_wraps && n < sizeof(text); i++)
                n += format_line(v->wraps[i], text + n, sizeof(text) - n);
        snprintf(path, sizeof(path), DIRECTORY "/%s", v->uuid);
        r = mkdir_parents(DIRECTORY, 0700);
        if (r >= 0)
                r = write_file_atomic(path, text, strlen(text), 0600);
        if (r < 0)
                log_warning("%s: what its keys' owners said is not written down: %s; a new cmkd will not know", v->name,
                            strerror(-r));
}

/* Returns how many lines there are. */
static unsigned read_mark(const struct volume *v, struct wrap_mark_line ret[static DISK_WRAPS_MAX]) {
        _cleanup_(freep) char *text = NULL;
        char path[PATH_SIZE];
        int n = 0;

        snprintf(path, sizeof(path), DIRECTORY "/%s", v->uuid);
        if (read_small_file(path, MARK_MAX, &text, NULL) >= 0)
                n = wrap_mark_parse(text, ret);
        return n > 0 ? (unsigned) n : 0;
}

static const struct wrap_mark_line *find_line(const struct wrap_mark_line *lines, unsigned n, const struct wrap *w) {
        for (unsigned i = 0; i < n; i++)
                if (streq(lines[i].key, w->uri))
                        return lines + i;
        return NULL;
}

void wrap_mark_apply(struct volume *v) {
        struct wrap_mark_line lines[DISK_WRAPS_MAX];
        unsigned n = v->n_wraps > 1 ? read_mark(v, lines) : 0;

        for (unsigned i = 0; v->n_wraps > 1 && i < v->n_wraps; i++) {
                struct wrap *w = v->wraps[i];
                const struct wrap_mark_line *l = find_line(lines, n, w);

                if (w->begun.boottime_usec == 0)
                        w->begun = l && !l->granted ? l->at : instant_now();
        }
}

/* What is no yes of which is known for sure says nothing about the key that another volume knows better. */
static void adopt(struct wrap *w, struct instant yes, struct instant began) {
        if (yes.boottime_usec > 0)
                key_track_adopt(&w->key->track, yes);
        else if (!w->key->track.has_grant)
                key_track_adopt(&w->key->track, began);
        w->adopted = began;
        w->adopted.boottime_usec = MAX_OF(began.boottime_usec, 1u);
}

void wrap_mark_adopt(struct volume *v, struct instant yes, struct instant began) {
        struct wrap_mark_line lines[DISK_WRAPS_MAX];
        unsigned n = v->n_wraps > 1 ? read_mark(v, lines) : 0;

        for (unsigned i = 0; i < v->n_wraps; i++) {
                struct wrap *w = v->wraps[i];
                const struct wrap_mark_line *l = find_line(lines, n, w);

                if (l && !l->granted)
                        w->begun = l->at;
                else if (w->key)
                        adopt(w, l ? l->at : yes, l ? l->at : began);
        }
}
