/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmkctl: a table of verbs, one file a family.
 *
 *   argv ─► options.c (one table of options) ─► struct invocation ─► main.c (verb table) ─► verb->run ─► exit code
 *                                                                      bus.c ◄── volume.c status.c trust.c, calls.c ◄── volumes.c
 *
 * Only verbs that work are in the table. A function here that returns int returns an exit code (common/verdict.h), and
 * whoever finds an error prints it, once, to standard error: callers pass the code on. Standard output is for results:
 * lines for people, or with --json one JSON document. */

#include "common/disk-proto.h"
#include "common/util.h"
#include "common/verdict.h"

#define VERSION "0.1"

enum option_id {
        OPTION_JSON, OPTION_YES, OPTION_HELP, OPTION_VERSION,
        OPTION_NAME, OPTION_ROLE, OPTION_KEY, OPTION_VAULT, OPTION_KEY_NAME, OPTION_KEY_VERSION,
        OPTION_WIPE, OPTION_ACCEPT_UNSAFE_VAULT, OPTION_READ_ONLY, OPTION_UDEV, OPTION_WAIT, OPTION_DRY_RUN,
        OPTION_EVENT, OPTION_VOLUME, OPTION_SINCE, OPTION_LINES, OPTION_FILE, OPTION_ROOT,
        OPTION_INITRAMFS, OPTION_UNTIL, OPTION_END, OPTION_SIZE, OPTION_ALL, OPTION_REMOVE,
        OPTION_ACTOR, OPTION_UNIT, OPTION_UNAUTHORISED, OPTION_EXPECT, OPTION_WIDE, OPTION_HTML, OPTION_FORMAT, OPTION_DIRECTORY,
        OPTION_VAULTS, OPTION_PRIVATE_KEY, OPTION_EPOCH_KEYS, OPTION_LIST_EPOCHS, OPTION_PRIVACY_KEY, OPTION_VAULT_LOG, OPTION_MACHINE_ID,
        OPTION_LOCAL, OPTION_NO_QR, OPTION_FINISH, OPTION_FROM, OPTION_OUTPUT, OPTION_STORE,
        OPTION_HEADER_BACKUP, OPTION_ALLOW_OLDER, OPTION_PASSPHRASE_FILE, OPTION_FROM_ADE, OPTION_REMOVE_OLD_KEYSLOTS, OPTION_ESCROW, OPTION_BACKGROUND, OPTION_WATCH,
        OPTION_KEYSLOT_FILE, OPTION_DROP_KEYSLOTS, OPTION_PREPARE, OPTION_DROP_IMAGE_KEYSLOTS, OPTION_EXPECT_PUBLIC_KEY,
        _OPTION_MAX,
};

_Static_assert(_OPTION_MAX <= 64, "each has a bit of a uint64_t");
#define OPTION_BIT(o) (UINT64_C(1) << (o))

struct invocation {
        uint64_t given;                        /* OPTION_BIT()s that were on the command line */
        const char *values[_OPTION_MAX];       /* of those that take one */
        const char *keys[VOLUME_KEYS_MAX];      /* of --key, which may be there several times; the first is in values too */
        size_t n_keys;
        const char *keyslot_files[32];         /* the same for --keyslot-file */
        size_t n_keyslot_files;
        char **args;                           /* what is left: the verb's own arguments */
        size_t n_args;
};

struct verb {
        const char *name;                      /* "attach", or two words: "audit list" */
        unsigned min_args, max_args;
        uint64_t options;                      /* beyond --help */
        const char *synopsis;                  /* the arguments, for the help */
        const char *help;                      /* one line */
        int (*run)(const struct invocation *);
};

static inline bool has_option(const struct invocation *in, enum option_id o) { return in->given & OPTION_BIT(o); }

/* Reads the options wherever they stand, up to "--"; what is left is moved to the front of argv and is ret->args. An
 * option that is unknown, without its value, or given twice (but --key and --keyslot-file) is EXIT_CODE_USAGE. */
int options_parse(int argc, char *argv[], struct invocation *ret);

/* EXIT_CODE_USAGE if something was given that is not among allowed. */
int options_check(const struct invocation *in, uint64_t allowed, const char *verb);

/* The help of one option ("--name NAME", "..."). Never NULL. */
const char *option_synopsis(enum option_id o);
const char *option_help(enum option_id o);

/* Prints "cmkctl: ..." to standard error, control characters replaced, and returns code. */
int fail(enum exit_code code, const char *format, ...) _printf_(2, 3);

/* What the last fail() with a code other than DONE said; "": there was none. Valid until the next. */
const char *last_failure(void);

/* Asks on the terminal whether to go on: DONE if the answer is YES or --yes was given. Without a terminal and without
 * --yes it is EXIT_CODE_USAGE, another answer EXIT_CODE_FAILED. what: a sentence, ends with a full stop. */
int confirm(const struct invocation *in, const char *what);

/* The verbs, by family. */
int verb_status(const struct invocation *in);
int verb_format(const struct invocation *in);
int verb_metrics(const struct invocation *in);
int verb_encrypt(const struct invocation *in);
int verb_enroll(const struct invocation *in);
int verb_rotate(const struct invocation *in);
int verb_reencrypt(const struct invocation *in);
int verb_personalize(const struct invocation *in);
int verb_rekey(const struct invocation *in);
int verb_attach(const struct invocation *in);
int verb_detach(const struct invocation *in);
int verb_cut(const struct invocation *in);
int verb_hold(const struct invocation *in);
int verb_resume(const struct invocation *in);
int verb_pause(const struct invocation *in);
int verb_recovery_key_add(const struct invocation *in);
int verb_recovery_key_rotate(const struct invocation *in);
int verb_recovery_key_remove(const struct invocation *in);
int verb_recovery_key_test(const struct invocation *in);
int verb_header_backup(const struct invocation *in);
int verb_header_accept(const struct invocation *in);
int verb_header_restore(const struct invocation *in);
int verb_scratch_create(const struct invocation *in);
int verb_scratch_renew(const struct invocation *in);
int verb_scratch_remove(const struct invocation *in);
int verb_trust_list(const struct invocation *in);
int verb_trust_remove(const struct invocation *in);
int verb_audit_list(const struct invocation *in);
int verb_audit_follow(const struct invocation *in);
int verb_audit_show(const struct invocation *in);
int verb_audit_verify(const struct invocation *in);
int verb_audit_stats(const struct invocation *in);
int verb_audit_export(const struct invocation *in);
int verb_audit_reconcile(const struct invocation *in);
int verb_audit_pseudonym(const struct invocation *in);
int verb_audit_report(const struct invocation *in);
int verb_config_check(const struct invocation *in);
int verb_config_reload(const struct invocation *in);
int verb_config_show(const struct invocation *in);
int verb_guard_status(const struct invocation *in);
int verb_guard_confirm(const struct invocation *in);
int verb_guard_release(const struct invocation *in);
int verb_keys_create(const struct invocation *in);
int verb_drill(const struct invocation *in);
int verb_keys_usage(const struct invocation *in);
int verb_keys_pinned(const struct invocation *in);
int verb_keys_list(const struct invocation *in);
int verb_doctor(const struct invocation *in);
