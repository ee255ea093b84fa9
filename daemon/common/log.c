/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <unistd.h>

static struct {
        const char *name;
        int max_priority;
        bool journal;
} logger = { "cmkd", LOG_INFO, false };

void log_init(const char *name, int max_priority) {
        logger.name = name;
        logger.max_priority = max_priority;
        logger.journal = getenv("JOURNAL_STREAM") != NULL;
}

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
        for (char *p = line; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 127)
                        *p = '?';
        n = strlen(line);
        line[n++] = '\n';
        (void) write_all(STDERR_FILENO, line, n);
        errno = saved;
}
