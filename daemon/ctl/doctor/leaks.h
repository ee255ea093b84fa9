/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where what a volume holds can leave memory, or stay in it, past a cut: memory that is freed and not zeroed, swap, kdump,
 * kexec, hibernation, core dumps. Read from /proc and sysfs below a root ("" for the system's own). */

#include "findings.h"

/* Adds what there is. What cannot be read is not there: a kernel without the feature has no file for it. */
void find_leaks(const char *root, struct findings *l);
