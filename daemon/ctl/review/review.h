/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the verbs that review a trail share. As in ctl.h, what returns int returns an exit code and has said why. */

#include "ctl/print.h"
#include "ledger.h"

/* The ledger of --file, or of this node's trail. */
int review_read(const struct invocation *in, const struct filter *f, struct ledger **ret);

/* Its verification: the whole file, whatever the filter is. The caller frees *ret. */
int review_verify(const struct invocation *in, struct trail_report **ret);

const char *review_path(const struct invocation *in);

/* The same, or the directory of journals. */
const char *review_name(const struct invocation *in);

/* "2026-01-31 12:00:30.123" in UTC. */
void review_time(uint64_t usec, char *buf, size_t size);

/* Adds a member with that time, or with "" for 0. */
void review_put_time(struct json_object *o, const char *member, uint64_t usec);

/* The report as HTML: one document without outside references, scripts or fonts. t: NULL of journals, which cannot be verified.
 * Returns 0 or -EIO. */
int report_html(FILE *f, const char *path, const struct ledger *l, const struct trail_report *t, uint64_t now_usec);

/* Prints all records of one use, in the order of their times: a table, or with json the lines as they stand. */
int show_story(const char *path, const char *use, bool json);
