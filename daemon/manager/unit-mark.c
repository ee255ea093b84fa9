/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-mark.h"

#include <unistd.h>

#define DIRECTORY "/run/cmkd/units"
#define PATH_SIZE (sizeof(DIRECTORY) + 40)
#define LINE_SIZE (sizeof(struct marked_unit) + 8)

static const char *or_dash(const char *s) {
        return *s ? s : "-";
}

char *unit_mark_format(const struct unit_mark *m) {
        size_t size = 64 + m->n * LINE_SIZE, n;
        char *text = malloc(size);

        if (!text)
                return NULL;
        n = (size_t) snprintf(text, size, "%s\n", lease_cause_to_string(m->cause));
        for (size_t i = 0; i < m->n; i++)
                n += (size_t) snprintf(text + n, size - n, "%s %s %s\n", or_dash(m->u[i].invocation),
                                       or_dash(m->u[i].file_state), m->u[i].name);
        return text;
}

static int take_word(const char *word, const char *allowed, char *buf, size_t size) {
        if (!word || !*word || strlen(word) >= size || word[strspn(word, allowed)])
                return -EBADMSG;
        snprintf(buf, size, "%s", streq(word, "-") ? "" : word);
        return 0;
}

static int parse_line(char *line, struct marked_unit *ret) {
        static const char hex[] = "0123456789abcdef-", words[] = "abcdefghijklmnopqrstuvwxyz-";
        struct marked_unit u = {};
        int r;

        r = take_word(strsep(&line, " "), hex, u.invocation, sizeof(u.invocation));
        if (r >= 0)
                r = take_word(strsep(&line, " "), words, u.file_state, sizeof(u.file_state));
        if (r < 0 || !line || !unit_name_is_valid(line) || (*u.invocation && strlen(u.invocation) != 32))
                return -EBADMSG;
        snprintf(u.name, sizeof(u.name), "%s", line);
        *ret = u;
        return 0;
}

static int parse_cause(const char *text, enum lease_cause *ret) {
        for (enum lease_cause c = CAUSE_NONE; c < _LEASE_CAUSE_MAX; c++)
                if (text && streq(text, lease_cause_to_string(c))) {
                        *ret = c;
                        return 0;
                }
        return -EBADMSG;
}

int unit_mark_parse(char *text, struct unit_mark *ret) {
        struct unit_mark m = {};
        size_t lines = 0, size = strlen(text);
        char *p = text;
        int r;

        for (const char *c = text; *c; c++)
                lines += *c == '\n';
        if (lines == 0 || lines - 1 > UNITS_MAX || text[size - 1] != '\n')
                return -EBADMSG;
        m.u = calloc(lines, sizeof(*m.u));
        if (!m.u)
                return -ENOMEM;
        r = parse_cause(strsep(&p, "\n"), &m.cause);
        for (m.n = 0; r >= 0 && m.n < lines - 1; m.n++)
                r = parse_line(strsep(&p, "\n"), m.u + m.n);
        if (r < 0)
                unit_mark_done(&m);
        else
                *ret = m;
        return r;
}

int unit_mark_add(struct unit_mark *m, const struct unit *u) {
        struct marked_unit *p, x = {};
        size_t i;

        snprintf(x.name, sizeof(x.name), "%s", u->name);
        memcpy(x.invocation, u->invocation, sizeof(x.invocation));
        memcpy(x.file_state, u->file_state, sizeof(x.file_state));
        for (i = 0; i < m->n; i++)
                if (streq(m->u[i].name, u->name))
                        break;
        if (i == m->n) {
                if (m->n == UNITS_MAX)
                        return -E2BIG;
                p = reallocarray(m->u, m->n + 1, sizeof(*p));
                if (!p)
                        return -ENOMEM;
                m->u = p;
                m->n++;
        } else
                memmove(m->u + i, m->u + i + 1, (m->n - i - 1) * sizeof(*p));
        m->u[m->n - 1] = x;
        return 0;
}

void unit_mark_done(struct unit_mark *m) {
        free(m->u);
        *m = (struct unit_mark) {};
}

static void path_of(const char *uuid, char *buf, size_t size) {
        snprintf(buf, size, DIRECTORY "/%s", uuid);
}

int unit_mark_write(const char *uuid, const struct unit_mark *m) {
        _cleanup_(freep) char *text = unit_mark_format(m);
        char path[PATH_SIZE];
        int r;

        if (!text)
                return -ENOMEM;
        path_of(uuid, path, sizeof(path));
        r = mkdir_parents(DIRECTORY, 0700);
        return r < 0 ? r : write_file_atomic(path, text, strlen(text), 0600);
}

int unit_mark_read(const char *uuid, struct unit_mark *ret) {
        _cleanup_(freep) char *text = NULL;
        char path[PATH_SIZE];
        int r;

        path_of(uuid, path, sizeof(path));
        r = read_small_file(path, 64 + UNITS_MAX * LINE_SIZE, &text, NULL);
        return r < 0 ? r : unit_mark_parse(text, ret);
}

void unit_mark_remove(const char *uuid) {
        char path[PATH_SIZE];

        path_of(uuid, path, sizeof(path));
        (void) unlink(path);
}

static bool is_enabled(const char *file_state) {
        return streq(file_state, "enabled") || streq(file_state, "enabled-runtime");
}

const char *unit_leave_alone(const struct marked_unit *then, const struct unit_now *now, bool *ret_worth_saying) {
        bool inactive = streq(now->active_state, "inactive") || streq(now->active_state, "failed") ||
                        streq(now->active_state, "deactivating");

        *ret_worth_saying = true;
        if (streq(now->load_state, "masked") || startswith(now->file_state, "masked"))
                return "it was masked meanwhile";
        if (!inactive) {
                *ret_worth_saying = false;
                return "it runs already";
        }
        if (!streq(now->load_state, "loaded") || !now->can_start)
                return "there is nothing to start it from any more";
        if (is_enabled(then->file_state) && startswith(now->file_state, "disabled"))
                return "it was disabled meanwhile";
        /* systemd keeps the last run's id while it keeps the unit; of one that it forgot it cannot say any more. */
        if (*now->invocation && *then->invocation && !streq(now->invocation, then->invocation))
                return "it was started and stopped again meanwhile";
        return NULL;
}
