/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reads "[Section]" and "Key=value" lines: what cmkd.conf and the trust list are written in.
 *
 * Nothing is ever cut off: no limit on a line but the file's, no limit on a section's name. White space around section,
 * key and value goes; empty lines and lines that begin with # or ; are comments; a # or ; later in a line is part of
 * the value. A line that is none of these, a setting before the first section, a control character (other than tab) and a
 * NUL byte are errors. There are no continuation lines and no quoting. */

#include "util.h"

/* Called for each setting, in order. Returns 0 to go on, or a negative errno, which ends the reading. */
typedef int (*ini_setting)(void *user, const char *section, const char *key, const char *value);

/* text: size bytes and a NUL, is modified. Returns 0, -EINVAL (no INI), -ENOMEM, or what the callback returned; then
 * *ret_line (from 1) is the line, whose text is at fault. In the callback it is the line that the setting is on, after a good
 * reading 0. */
int ini_read(char *text, size_t size, ini_setting callback, void *user, unsigned *ret_line);
