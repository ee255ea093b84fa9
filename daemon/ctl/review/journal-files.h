/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The entries of all journals of a directory in the order of time, each file read by itself.
 *
 *   web1.journal ── sd-journal ─► its next entry ─┐
 *   web2.journal ── sd-journal ─► its next entry ─┴─► the earliest
 *
 * sd_journal_open_directory(3) does not do that: since systemd 254 it puts one boot behind the other, as of one machine, and takes the
 * collector's machine id, which systemd-journal-remote writes into every file's header, for that of all nodes; what comes of an "earlier"
 * boot is then passed over by whoever waits for more. */

#include <stddef.h>
#include <systemd/sd-journal.h>

struct journal_files;

/* match: what entries have to have, "FIELD=value"; threshold: bytes of a field that are read at least. A file that cannot be read is said,
 * and left out. Returns 0, -ENOMEM, or what opendir(3) and sd_journal_add_match(3) say. */
int journal_files_open(const char *dir, const char *match, size_t threshold, struct journal_files **ret);
struct journal_files *journal_files_free(struct journal_files *f);

/* The next entry: *ret stands at it until the next call. Returns 1, 0 (no more now), or what sd_journal_next(3) says. */
int journal_files_next(struct journal_files *f, sd_journal **ret);

/* A field of the entry that j stands at, cut off to fit; "" where there is none. */
void journal_get_text(sd_journal *j, const char *name, char *buf, size_t size);

/* Waits until there may be more, in these files or new ones. Returns 1 or -errno. */
int journal_files_wait(struct journal_files *f);
