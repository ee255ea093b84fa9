/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the verbs about a volume have in common; all return exit codes, and have said what is wrong. */

#include "ctl.h"

int check_key(const char *key);

/* buf: of KEY_URI_MAX bytes, for the first --key or a URI made of --vault, --key-name, --key-version. */
int find_key(const struct invocation *in, char *buf);

/* What is said of a key that is to be enrolled, beside its name. */
struct key_terms {
        const char *reason;          /* to accept a vault that is not safe, or NULL */
        const char *expected;        /* sha256: and the digest of its public key, or NULL */
        const char *store;           /* where its wrapped key is to be kept: token, vault, or NULL: not said */
};

int read_terms(const struct invocation *in, struct key_terms *ret);

/* As options of a call. Returns what sd_bus_message_append() does. */
struct sd_bus_message;
int append_terms(struct sd_bus_message *m, const struct key_terms *t);

/* header.c: before the header of the volume named first is changed: a backup of it, into the file of --header-backup; without that one
 * question on a terminal (not with --yes or --json), where it is to go, if anywhere. */
int header_backup_first(const struct invocation *in);

/* Takes ways in out of the header of the volume that the first argument names, after a yes to the question and a copy as above. member: the
 * manager's method; done, nothing: what is said of the volume. Returns an exit code. */
int header_remove(const struct invocation *in, const char *member, const char *question, const char *done, const char *nothing);

/* excess.c: says on standard error what else than reading it, wrapping and unwrapping this node may do with the keys that are to be enrolled:
 * first, and those of further --key. Says nothing where that cannot be found out. */
void note_excess(const struct invocation *in, const char *first);

/* takeover.c: enroll of a LUKS volume that is not one of ours yet; and what opened it before is taken out. */
int take_over(const struct invocation *in);
int remove_old_keyslots(const struct invocation *in);

/* enroll.c: one more key. *changed becomes true if it was not there. */
int enroll_key(const char *what, const char *key, const struct key_terms *t, bool *changed);

/* enroll.c: one less. *changed becomes true if it was there. */
int remove_key(const char *what, const char *key, bool *changed);
