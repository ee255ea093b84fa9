/* SPDX-License-Identifier: Apache-2.0 */
#include "witness-match.h"

#include <ctype.h>

/* What is longer ago belongs to another use of the device's number: the kernel's audit is later by its queue only. */
#define SEEN_NSEC (60 * NSEC_PER_SEC)

/* The audit's record comes from within the call, the event at its end. */
#define LATE_NSEC (2 * NSEC_PER_SEC)

/* ---- the record ---- */

/* The value of " NAME=", up to the next space; what could hold one is quoted by the kernel, or in hex. Of several the first is
 * the kernel's. Returns its length, 0: there is none. */
static size_t value_of(const char *text, const char *end, const char *name, const char **ret) {
        size_t n = strlen(name);

        for (const char *p = text; p && (size_t) (end - p) > n + 1; p = memchr(p, ' ', (size_t) (end - p)), p = p ? p + 1 : NULL) {
                const char *stop;

                if (memcmp(p, name, n) != 0 || p[n] != '=')
                        continue;
                *ret = p + n + 1;
                stop = memchr(*ret, ' ', (size_t) (end - *ret));
                return (size_t) ((stop ? stop : end) - *ret);
        }
        return 0;
}

static bool number(const char *text, const char *end, const char *name, uint32_t *ret) {
        char digits[16];
        const char *value;
        uint64_t v;
        size_t n = value_of(text, end, name, &value);

        if (n == 0 || n >= sizeof(digits))
                return false;
        memcpy(digits, value, n);
        digits[n] = 0;
        if (parse_u64(digits, UINT32_MAX, &v) < 0)
                return false;
        *ret = (uint32_t) v;
        return true;
}

/* "253:1" */
static bool device(const char *text, const char *end, struct witness_word *ret) {
        char digits[24];
        const char *value;
        size_t n = value_of(text, end, "dev", &value), colon;
        uint64_t a, b;

        if (n == 0 || n >= sizeof(digits))
                return false;
        memcpy(digits, value, n);
        digits[n] = 0;
        colon = strcspn(digits, ":");
        if (digits[colon] == 0)
                return false;
        digits[colon] = 0;
        if (parse_u64(digits, UINT32_MAX, &a) < 0 || parse_u64(digits + colon + 1, UINT32_MAX, &b) < 0)
                return false;
        ret->dev_major = (uint32_t) a;
        ret->dev_minor = (uint32_t) b;
        return true;
}

static int nibble(char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* audit_log_untrustedstring(): in quotes, or in hex where it has anything but plain characters. */
static void string(const char *text, const char *end, const char *name, char *ret, size_t size) {
        const char *value;
        size_t n = value_of(text, end, name, &value), k = 0;

        if (n >= 2 && value[0] == '"' && value[n - 1] == '"')
                k = (size_t) snprintf(ret, size, "%.*s", (int) MIN_OF(n - 2, size - 1), value + 1);
        else
                for (size_t i = 0; i + 1 < n && k + 1 < size && nibble(value[i]) >= 0 && nibble(value[i + 1]) >= 0; i += 2)
                        ret[k++] = (char) (nibble(value[i]) << 4 | nibble(value[i + 1]));
        ret[MIN_OF(k, size - 1)] = 0;
}

static bool is_value(const char *text, const char *end, const char *name, const char *wanted) {
        const char *value;
        size_t n = value_of(text, end, name, &value);

        return n == strlen(wanted) && memcmp(value, wanted, n) == 0;
}

/* "audit(1700000000.123:45): ", by the wall clock. Returns what follows, or NULL. */
static const char *stamp(const char *text, const char *end, uint64_t *ret_usec) {
        const char *p = end - text > 6 && memcmp(text, "audit(", 6) == 0 ? text + 6 : NULL;
        uint64_t seconds = 0, milliseconds = 0;
        size_t digits = 0;

        for (; p && p < end && isdigit((unsigned char) *p) && digits < 12; p++, digits++)
                seconds = seconds * 10 + (uint64_t) (*p - '0');
        if (!p || digits == 0 || p == end || *p != '.')
                return NULL;
        for (p++, digits = 0; p < end && isdigit((unsigned char) *p) && digits < 3; p++, digits++)
                milliseconds = milliseconds * 10 + (uint64_t) (*p - '0');
        p = digits == 3 ? memchr(p, ' ', (size_t) (end - p)) : NULL;
        *ret_usec = seconds * USEC_PER_SEC + milliseconds * USEC_PER_MSEC;
        return p ? p + 1 : NULL;
}

int witness_parse(const char *text, size_t n, struct witness_word *ret) {
        const char *end = text + strnlen(text, n), *p;
        struct witness_word w = {};
        bool set;

        p = stamp(text, end, &w.realtime_usec);
        if (!p)
                return -EBADMSG;
        set = is_value(p, end, "op", "ctr");
        w.freed = is_value(p, end, "op", "dtr");
        if (!is_value(p, end, "module", "crypt") || (!set && !w.freed))
                return -ENOMSG;
        if (!device(p, end, &w) || !number(p, end, "pid", &w.pid))
                return -EBADMSG;
        w.uid = w.loginuid = w.session = UINT32_MAX;
        (void) number(p, end, "ppid", &w.ppid);
        (void) number(p, end, "uid", &w.uid);
        (void) number(p, end, "auid", &w.loginuid);
        (void) number(p, end, "ses", &w.session);
        w.ok = is_value(p, end, "res", "1");
        string(p, end, "comm", w.comm, sizeof(w.comm));
        string(p, end, "exe", w.exe, sizeof(w.exe));
        *ret = w;
        return 0;
}

/* ---- the match ---- */

static bool is_about(const struct witness_word *w, bool freed, uint32_t dev_major, uint32_t dev_minor, uint32_t tgid) {
        return w->freed == freed && w->dev_major == dev_major && w->dev_minor == dev_minor && w->pid == tgid;
}

static void drop_pending(struct witness_match *m, size_t i) {
        memmove(m->pending + i, m->pending + i + 1, (--m->n_pending - i) * sizeof(*m->pending));
}

bool witness_is_since(uint64_t *began_usec, uint64_t now_usec, uint64_t word_usec) {
        if (now_usec < *began_usec)
                *began_usec = 0;
        return word_usec >= *began_usec;
}

void witness_match_event(struct witness_match *m, const struct cmkd_event *e) {
        bool freed = e->kind == CMKD_KEY_FREED;

        if (e->kind != CMKD_KEY_SET && !freed)
                return;
        for (size_t i = 0; i < m->n_pending; i++)
                if (is_about(&m->pending[i].word, freed, e->dev_major, e->dev_minor, e->tgid)) {
                        drop_pending(m, i);
                        m->agreed++;
                        return;
                }
        m->seen[m->next_seen].boottime_ns = MAX_OF(e->boottime_ns, UINT64_C(1));
        m->seen[m->next_seen].freed = freed;
        m->seen[m->next_seen].dev_major = e->dev_major;
        m->seen[m->next_seen].dev_minor = e->dev_minor;
        m->seen[m->next_seen].tgid = e->tgid;
        m->next_seen = (m->next_seen + 1) % WITNESS_SEEN;
}

void witness_match_word(struct witness_match *m, const struct witness_word *word, uint64_t now_ns) {
        for (size_t i = 0; i < WITNESS_SEEN; i++) {
                if (m->seen[i].boottime_ns == 0 || now_ns - MIN_OF(m->seen[i].boottime_ns, now_ns) > SEEN_NSEC ||
                    !is_about(word, m->seen[i].freed, m->seen[i].dev_major, m->seen[i].dev_minor, m->seen[i].tgid))
                        continue;
                m->seen[i].boottime_ns = 0;
                m->agreed++;
                return;
        }
        if (m->n_pending == WITNESS_PENDING) {
                m->dropped++;
                return;
        }
        m->pending[m->n_pending].word = *word;
        m->pending[m->n_pending].heard_ns = now_ns;
        m->pending[m->n_pending++].position = UINT64_MAX;
}

bool witness_match_unseen(struct witness_match *m, uint64_t filled, uint64_t consumed, uint64_t now_ns, struct witness_word *ret) {
        for (size_t i = 0; i < m->n_pending; i++) {
                if (m->pending[i].position == UINT64_MAX && now_ns - m->pending[i].heard_ns >= LATE_NSEC)
                        m->pending[i].position = filled;
                if (m->pending[i].position > consumed)
                        continue;
                *ret = m->pending[i].word;
                drop_pending(m, i);
                return true;
        }
        return false;
}
