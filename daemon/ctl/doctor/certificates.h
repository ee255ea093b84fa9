/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Certificates in a PEM file: how many there are, and how many are valid at a time. */

#include "common/util.h"

struct certificates {
        unsigned total, valid;
};

/* text: PEM, anything between the certificates. now: seconds since 1970. What cannot be parsed does not count. */
void certificates_read(const char *text, uint64_t now, struct certificates *ret);
