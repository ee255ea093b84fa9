/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Records as a table for other programs: CSV (RFC 4180) for spreadsheets, or one JSON array. No proof of anything: that is
 * the trail itself. Record by record, in bounded memory. */

#include "filter.h"
#include "source.h"

#include "common/json-text.h"

#define RECORD_JSON_FLAGS (JSON_C_TO_STRING_PLAIN|JSON_C_TO_STRING_NOSLASHESCAPE)

enum sheet_format { SHEET_CSV, SHEET_JSON };

/* Writes the records that the filter wants. *ret_broken: how many of the source are no records. Returns 0, -ENOMEM, -EIO (f could
 * not be written), or what source_next() says. */
int sheet_write(FILE *f, struct source *s, const struct filter *filter, enum sheet_format format, uint64_t *ret_records,
                uint64_t *ret_broken);

/* One record as JSON, with its finding; node: "" where there is one only. The caller frees it; NULL: out of memory. */
struct json_object *record_to_json(const char *node, const struct record *r, enum rule rule);
