/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A program of the system, for what no library does: no shell, no environment but a PATH, no descriptor of ours, killed when it
 * takes too long or when we end. */

#include "common/util.h"

/* Runs argv (argv[0]: its whole path; NULL last). said: the end of what it printed, one line, printable. Returns its exit status
 * (128 + signal where it was killed), -ETIMEDOUT, or what pipe2(2) and fork(2) say. 127: it is not there. */
int tool_run(char *const argv[], uint64_t timeout_usec, char *said, size_t size);
