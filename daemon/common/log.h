/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Log lines to standard error; with the "<N>" priority prefix that the journal reads where standard error is the
 * journal. Leaf code does not log above debug: the caller logs once, with what failed and on what. Control characters
 * in a line are replaced: what came from a disk or the network cannot forge a line. Where standard error is a socket nobody
 * waits for who reads it: lines that it does not take are counted, and the count is said once it reads again. */

#include "util.h"
#include <syslog.h>

/* name: of the program, before each line on a terminal. max_priority: LOG_INFO, or LOG_DEBUG for --debug. */
void log_init(const char *name, int max_priority);

/* Privacy=strict: words that may be names are replaced in all lines from now on (plain-words.h). */
void log_hide_names(bool hide);

void log_full(int priority, const char *format, ...) _printf_(2, 3);

#define log_debug(...) log_full(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_full(LOG_INFO, __VA_ARGS__)
#define log_notice(...) log_full(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_full(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_full(LOG_ERR, __VA_ARGS__)
#define log_alert(...) log_full(LOG_ALERT, __VA_ARGS__)
