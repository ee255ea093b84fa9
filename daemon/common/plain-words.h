/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which words of a text name nobody: those that cmkd's own messages are made of (collected from its sources when it is
 * built, plain-words.sh), the system's texts of errors, and numbers. Everything else in a text may be a name. Pure. */

#include "util.h"

/* True for a word of that kind, in upper or lower case: "disk", "ECONNREFUSED", "GRANTED". */
bool word_is_plain(const char *s, size_t n);

/* True for numbers with or without a unit: "30", "3.5", "90s", "64KiB", "97%". */
bool word_is_number(const char *s, size_t n);

/* Puts "~" in the place of every word that may be a name, punctuation around it stays. */
void text_hide_names(char *text);

/* True for the name of an errno, or its text as a whole. */
bool text_is_error(const char *s);
