/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include "plain-words.h"

#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
        const char *name;
        int max_priority;
        bool journal;
        bool is_socket;
        unsigned lost;            /* lines that were not taken since one was */
        bool hides_names;
        bool torn;                /* half of one was */
} logger = { .name = "cmkd", .max_priority = LOG_INFO };

void log_init(const char *name, int max_priority) {
        struct stat st;

        logger.name = name;
        logger.max_priority = max_priority;
        logger.journal = getenv("JOURNAL_STREAM") != NULL;
        logger.is_socket = fstat(STDERR_FILENO, &st) >= 0 && S_ISSOCK(st.st_mode);
        logger.lost = 0;
        logger.torn = false;
}

/* A journal that does not read must not stop who decides: what it does not take at once is lost, and counted. */
static bool send_line(const char *line, size_t n) {
        ssize_t k = send(STDERR_FILENO, line, n, MSG_DONTWAIT|MSG_NOSIGNAL);

        if (k > 0)
                logger.torn = k < (ssize_t) n;
        return k == (ssize_t) n;
}

static void put_line(const char *line, size_t n) {
        char said[96];
        int k;

        if (!logger.is_socket) {
                (void) write_all(STDERR_FILENO, line, n);
                return;
        }
        if (logger.lost > 0) {
                k = snprintf(said, sizeof(said), "%s%s%u lines of the log are lost: nobody read them\n",
                             logger.torn ? "\n" : "", logger.journal ? "<4>" : "", logger.lost);
                if (!send_line(said, (size_t) k)) {
                        logger.lost++;
                        return;
                }
                logger.lost = 0;
        }
        logger.lost += !send_line(line, n);
}

void log_hide_names(bool hide) { logger.hides_names = hide; }

void log_full(int priority, const char *format, ...) {
        char line[2048];
        va_list ap;
        size_t n;
        int saved = errno;

        if (priority > logger.max_priority)
                return;
        if (logger.journal)
                snprintf(line, sizeof(line), "<%d>", priority);
        else
                snprintf(line, sizeof(line), "%s: ", logger.name);
        n = strlen(line);
        va_start(ap, format);
        vsnprintf(line + n, sizeof(line) - n - 1, format, ap);
        va_end(ap);
        if (logger.hides_names)
                text_hide_names(line + n);
        for (char *p = line; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 127)
                        *p = '?';
        n = strlen(line);
        line[n++] = '\n';
        put_line(line, n);
        errno = saved;
}
