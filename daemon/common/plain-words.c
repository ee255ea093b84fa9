/* SPDX-License-Identifier: Apache-2.0 */
#include "plain-words.h"

#include <ctype.h>

#define WORD_MAX 64u
#define ERRNO_MAX 134

static const char *const plain[] = {
#include "plain-words.inc"
};

static int compare(const void *key, const void *item) {
        return strcmp(key, *(const char *const *) item);
}

static bool is_in_error(const char *word, size_t n) {
        for (int e = 1; e < ERRNO_MAX; e++)
                for (const char *p = strerrordesc_np(e); p && *p; p += strspn(p, " /(),")) {
                        size_t k = strcspn(p, " /(),");

                        if (k == n && strncasecmp(p, word, n) == 0)
                                return true;
                        p += k;
                }
        return false;
}

static bool is_errno(const char *s) {
        for (int e = 1; e < ERRNO_MAX; e++)
                if (streq_ptr(strerrorname_np(e), s))
                        return true;
        return false;
}

bool word_is_plain(const char *s, size_t n) {
        char word[WORD_MAX], lower[WORD_MAX];

        if (n == 0 || n >= sizeof(word))
                return false;
        for (size_t i = 0; i < n; i++) {
                word[i] = s[i];
                lower[i] = (char) tolower((unsigned char) s[i]);
        }
        word[n] = lower[n] = 0;
        return bsearch(lower, plain, ELEMENTSOF(plain), sizeof(*plain), compare) || is_errno(word) || is_in_error(word, n);
}

bool word_is_number(const char *s, size_t n) {
        static const char *const units[] = {
                "", "us", "ms", "s", "sec", "min", "h", "d", "%", "B", "KiB", "MiB", "GiB", "TiB", "K", "M", "G",
        };
        bool dot = false;                  /* one: an address of a host is no number */
        size_t k = 0;

        for (; k < n && (isdigit((unsigned char) s[k]) || (k > 0 && s[k] == '.' && !dot)); k++)
                dot = dot || s[k] == '.';
        for (size_t i = 0; k > 0 && i < ELEMENTSOF(units); i++)
                if (strlen(units[i]) == n - k && strncmp(s + k, units[i], n - k) == 0)
                        return true;
        return false;
}

bool text_is_error(const char *s) {
        for (int e = 1; e < ERRNO_MAX; e++)
                if (streq_ptr(strerrorname_np(e), s) || streq_ptr(strerrordesc_np(e), s))
                        return true;
        return false;
}

/* Returns the size of what stands there then. */
static size_t hide_word(char *to, const char *word, size_t n, bool after_uid) {
        const char *equals = memchr(word, '=', n);
        size_t k;

        if (n == 0 || (!after_uid && (word_is_plain(word, n) || word_is_number(word, n))) ||
            (after_uid && n <= 3 && word_is_number(word, n))) {
                memmove(to, word, n);
                return n;
        }
        if (equals && word_is_plain(word, (size_t) (equals - word))) {
                k = (size_t) (equals - word) + 1;
                after_uid = k >= 4 && memcmp(equals - 3, "uid", 3) == 0;       /* before it is moved */
                memmove(to, word, k);
                return k + hide_word(to + k, word + k, n - k, after_uid);
        }
        *to = '~';
        return 1;
}

void text_hide_names(char *text) {
        static const char opening[] = "([{<\"'", closing[] = ")]}>\"'.,;:!?";
        char *to = text;
        bool after_uid = false;

        for (const char *p = text; *p; ) {
                size_t n = strcspn(p, " "), begin = MIN_OF(strspn(p, opening), n), end = n;
                bool is_uid;

                while (end > begin && strchr(closing, p[end - 1]))
                        end--;
                is_uid = end - begin >= 3 && memcmp(p + end - 3, "uid", 3) == 0;       /* before it is moved */
                memmove(to, p, begin);
                to += begin;
                to += hide_word(to, p + begin, end - begin, after_uid);
                after_uid = is_uid;
                memmove(to, p + end, n - end);
                to += n - end;
                p += n;
                if (*p)
                        *to++ = *p++;
        }
        *to = 0;
}
