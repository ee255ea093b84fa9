/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Parameters of the kernel as its command line (/proc/cmdline) has them. Pure. */

#include "util.h"

/* A copy of the last NAME=VALUE's value; NULL if there is none, or no memory. What follows "--" is init's. */
char *kernel_parameter(const char *command_line, const char *name);

/* Whether the last NAME= says on, as the kernel reads it (kstrtobool: y, 1, on). Without one: off. */
bool kernel_parameter_is_on(const char *command_line, const char *name);
