/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl.h"
#include "print.h"
#include "review/filter.h"

#include <fcntl.h>
#include <unistd.h>

#define O(o) OPTION_BIT(OPTION_##o)

static const struct verb verbs[] = {
        { "status", 0, 64, O(JSON)|O(WATCH), "[NAME|UUID ...]", "volumes, their leases and the daemon's state", verb_status },
        { "metrics", 0, 0, O(OUTPUT), "", "the same in numbers, as OpenMetrics text", verb_metrics },
        { "format", 1, 1, O(JSON)|O(YES)|O(NAME)|O(ROLE)|O(KEY)|O(VAULT)|O(KEY_NAME)|O(KEY_VERSION)|O(WIPE)|
                O(STORE)|O(ACCEPT_UNSAFE_VAULT)|O(EXPECT_PUBLIC_KEY), "DEVICE", "make a device a volume under a customer's key", verb_format },
        { "encrypt", 1, 1, O(JSON)|O(YES)|O(NAME)|O(ROLE)|O(KEY)|O(VAULT)|O(KEY_NAME)|O(KEY_VERSION)|O(ACCEPT_UNSAFE_VAULT)|
                O(EXPECT_PUBLIC_KEY)|O(BACKGROUND), "DEVICE", "the same, and what is on it stays: encrypted in place", verb_encrypt },
        { "enroll", 1, 1, O(JSON)|O(YES)|O(KEY)|O(VAULT)|O(KEY_NAME)|O(KEY_VERSION)|O(REMOVE)|O(STORE)|O(ACCEPT_UNSAFE_VAULT)|
                O(EXPECT_PUBLIC_KEY)|O(HEADER_BACKUP)|O(NAME)|O(ROLE)|O(PASSPHRASE_FILE)|O(FROM_ADE)|O(REMOVE_OLD_KEYSLOTS),
          "DEVICE|UUID|NAME", "give a volume one more key, or take one out; take over a LUKS volume", verb_enroll },
        { "rotate", 1, 1, O(JSON)|O(YES)|O(KEY)|O(KEY_VERSION)|O(FINISH)|O(STORE)|O(ACCEPT_UNSAFE_VAULT)|O(EXPECT_PUBLIC_KEY)|O(HEADER_BACKUP),
          "DEVICE|UUID|NAME", "go over to the newest version of a volume's key", verb_rotate },
        { "rekey", 1, 1, O(JSON)|O(YES)|O(KEY)|O(VAULT)|O(KEY_NAME)|O(KEY_VERSION)|O(FROM)|O(FINISH)|O(STORE)|O(ACCEPT_UNSAFE_VAULT)|
                O(EXPECT_PUBLIC_KEY)|O(HEADER_BACKUP),
          "UUID|NAME", "put another key in the place of one that a volume has", verb_rekey },
        { "reencrypt", 1, 1, O(JSON)|O(YES)|O(KEYSLOT_FILE)|O(DROP_KEYSLOTS)|O(HEADER_BACKUP)|O(BACKGROUND), "DEVICE|UUID|NAME",
          "give a volume another volume key: what is on it is encrypted anew", verb_reencrypt },
        { "personalize", 0, 64, O(JSON)|O(YES)|O(PREPARE)|O(DROP_IMAGE_KEYSLOTS)|O(ACCEPT_UNSAFE_VAULT)|O(BACKGROUND)|O(WAIT),
          "[DEVICE|UUID|NAME ...]",
          "make a volume of a copied image this copy's own", verb_personalize },
        { "attach", 0, 4096, O(JSON)|O(ALL)|O(READ_ONLY)|O(UDEV)|O(WAIT), "DEVICE|UUID|NAME ...",
          "open volumes as /dev/mapper/NAME, all at once", verb_attach },
        { "detach", 1, 4096, O(JSON), "NAME ...", "close volumes that nobody uses", verb_detach },
        { "hold", 1, 4096, O(JSON), "NAME ...", "suspend volumes and wipe their keys, until resume", verb_hold },
        { "resume", 1, 4096, O(JSON), "NAME ...", "give held volumes their keys back", verb_resume },
        { "cut", 1, 1, O(JSON)|O(YES)|O(DRY_RUN), "NAME", "make a volume unreadable now, whoever uses it", verb_cut },
        { "pause", 0, 1, O(JSON)|O(YES)|O(UNTIL)|O(END), "[NAME]", "do nothing for what the vault says, for a time",
          verb_pause },
        { "drill", 0, 0, O(JSON)|O(KEY)|O(ROLE)|O(SIZE), "", "cut a volume of its own as a revocation does, and tell",
          verb_drill },
        { "keys create", 0, 1, O(JSON)|O(LOCAL), "[NAME]", "make a key for a machine without a vault", verb_keys_create },
        { "recovery-key add", 1, 1, O(JSON)|O(YES)|O(NO_QR)|O(HEADER_BACKUP)|O(ESCROW)|O(ACCEPT_UNSAFE_VAULT)|O(EXPECT_PUBLIC_KEY), "DEVICE|UUID|NAME", "make a key that opens a volume without the vault",
          verb_recovery_key_add },
        { "recovery-key rotate", 1, 1, O(JSON)|O(YES)|O(NO_QR)|O(HEADER_BACKUP), "DEVICE|UUID|NAME", "make another in its place", verb_recovery_key_rotate },
        { "recovery-key remove", 1, 1, O(JSON)|O(YES)|O(HEADER_BACKUP), "DEVICE|UUID|NAME", "take it away again", verb_recovery_key_remove },
        { "recovery-key test", 1, 1, O(JSON), "DEVICE|UUID|NAME", "see whether the key on standard input is the one",
          verb_recovery_key_test },
        { "header backup", 2, 2, O(JSON), "DEVICE|UUID|NAME FILE", "copy a volume's header into a new file", verb_header_backup },
        { "header restore", 2, 2, O(JSON)|O(YES)|O(ALLOW_OLDER)|O(WIPE), "DEVICE|UUID|NAME FILE", "put a volume's header back from such a file",
          verb_header_restore },
        { "header accept", 1, 1, O(JSON)|O(YES)|O(DRY_RUN)|O(HEADER_BACKUP), "DEVICE|UUID|NAME", "enroll what somebody changed in a volume's header",
          verb_header_accept },
        { "scratch create", 1, 1, O(JSON)|O(YES)|O(WIPE)|O(WAIT), "NAME", "open a scratch disk, with a key that is kept nowhere",
          verb_scratch_create },
        { "scratch renew", 1, 1, O(JSON)|O(YES)|O(WIPE), "NAME", "close it, and open it with another key", verb_scratch_renew },
        { "scratch remove", 1, 1, O(JSON)|O(YES), "NAME", "close it: its key is gone", verb_scratch_remove },
        { "trust list", 0, 0, O(JSON), "", "the volumes that this node may open", verb_trust_list },
        { "trust remove", 1, 1, O(JSON)|O(YES), "UUID|NAME", "take a volume off that list", verb_trust_remove },
        { "audit list", 0, 0, FILTER_OPTIONS|O(JSON)|O(WIDE)|O(LINES)|O(FILE)|O(DIRECTORY), "", "records of the audit trail", verb_audit_list },
        { "audit follow", 0, 0, FILTER_OPTIONS|O(JSON)|O(WIDE)|O(LINES)|O(FILE)|O(DIRECTORY), "",
          "the last records, then new ones as they come", verb_audit_follow },
        { "audit show", 1, 1, O(JSON)|O(FILE), "NUMBER|USE", "everything about one record, or one use of a volume",
          verb_audit_show },
        { "audit stats", 0, 0, FILTER_OPTIONS|O(JSON)|O(FILE)|O(DIRECTORY), "", "the trail in numbers, and what in it needs an answer",
          verb_audit_stats },
        { "audit report", 0, 0, FILTER_OPTIONS|O(HTML)|O(FILE)|O(DIRECTORY), "", "a report for people, as one file", verb_audit_report },
        { "audit export", 1, 1, FILTER_OPTIONS|O(FORMAT)|O(FILE)|O(DIRECTORY), "DIR|FILE",
          "the trail with its proofs for an auditor; or a sheet of records", verb_audit_export },
        { "audit reconcile", 1, 4096, O(JSON)|O(FILE)|O(DIRECTORY)|O(SINCE)|O(UNTIL)|O(KEY)|O(PRIVACY_KEY), "VAULT-LOG [TRAIL ...]",
          "the vault's own log against what the trail says was asked", verb_audit_reconcile },
        { "audit pseudonym", 1, 4096, O(JSON)|O(PRIVACY_KEY), "NAME|- ...", "what stands for a name in a trail with Privacy=strict (-: of each line read)",
          verb_audit_pseudonym },
        { "audit verify", 0, 0, O(JSON)|O(FILE)|O(PRIVATE_KEY)|O(EPOCH_KEYS)|O(LIST_EPOCHS)|O(VAULT_LOG)|O(MACHINE_ID)|O(SINCE)|O(UNTIL), "",
          "check that no record was changed or removed", verb_audit_verify },
        { "guard status", 0, 0, O(JSON), "", "what the kernel refuses on this node, and what it does not see", verb_guard_status },
        { "guard confirm", 0, 0, O(JSON), "", "let an armed guard go on refusing", verb_guard_confirm },
        { "guard release", 0, 0, O(JSON)|O(YES), "", "take the probes out of the kernel, before the package is removed",
          verb_guard_release },
        { "keys list", 1, 2, O(JSON)|O(ROOT), "VAULT [KEY]", "the keys of a vault, or the versions of one", verb_keys_list },
        { "keys pinned", 0, 1, O(JSON), "[KEY]", "the public halves of keys by which this node knows them, to be compared with the vault", verb_keys_pinned },
        { "keys usage", 0, 1, O(JSON), "[KEY]", "which volumes of this node need which version of a key", verb_keys_usage },
        { "config show", 0, 0, O(JSON)|O(ROOT), "", "what the configuration files say", verb_config_show },
        { "config reload", 0, 0, O(JSON), "", "let cmkd read the configuration again; a bad one is refused", verb_config_reload },
        { "config check", 0, 0, O(JSON)|O(ROOT), "", "read the configuration files, report the first mistake",
          verb_config_check },
        { "doctor", 0, 0, O(JSON)|O(INITRAMFS)|O(ROOT)|O(VAULTS), "", "where this node leaks; what would stop it from booting", verb_doctor },
};

static void print_options(uint64_t set) {
        puts("\nOptions:");
        for (unsigned o = 0; o < _OPTION_MAX; o++)
                if (set & OPTION_BIT(o))
                        printf("  %-32s %s\n", option_synopsis((enum option_id) o), option_help((enum option_id) o));
}

/* family: first word of the verbs to show, or NULL. Returns how many there are. */
static size_t print_verbs(const char *family) {
        size_t shown = 0;

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                const char *rest = family ? startswith(verbs[i].name, family) : NULL;
                char left[64];

                if (family && (!rest || *rest != ' '))
                        continue;
                shown++;
                snprintf(left, sizeof(left), "%s %s", verbs[i].name, verbs[i].synopsis);
                printf("  %-32s %s\n", left, verbs[i].help);
        }
        return shown;
}

static int print_help(void) {
        puts("cmkctl VERB [OPTIONS] [ARGUMENTS]\n\nVolumes under customer-managed keys. Verbs:");
        print_verbs(NULL);
        print_options(O(HELP)|O(VERSION));
        puts("\nExit codes: 0 done, 1 failed, 2 usage, 3 revoked or denied by the vault, 4 vault unreachable or\n"
             "throttled, 5 busy or lingering, 6 audit trail fails verification, 7 refused by policy.");
        return EXIT_CODE_DONE;
}

static int print_verb_help(const struct verb *v) {
        printf("cmkctl %s [OPTIONS] %s\n\n%s\n", v->name, v->synopsis, v->help);
        print_options(v->options|O(HELP));
        return EXIT_CODE_DONE;
}

/* How many of the words are this verb's name; 0: it is another one. */
static size_t match(const struct verb *v, const struct invocation *in) {
        const char *space = strchr(v->name, ' ');

        if (!space)
                return streq(in->args[0], v->name);
        return in->n_args > 1 && strlen(in->args[0]) == (size_t) (space - v->name) &&
               startswith(v->name, in->args[0]) && streq(in->args[1], space + 1) ? 2 : 0;
}

/* The verb that is nearest to what was typed, of one word or of two; family: only its own. NULL: none is near. */
static const struct verb *nearest(const char *typed, const char *family) {
        const struct verb *best = NULL;
        size_t least = SIZE_MAX;

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                const char *rest = family ? startswith(verbs[i].name, family) : NULL, *name = rest ? rest + 1 : verbs[i].name;
                size_t d = word_distance(typed, name);

                if (family && (!rest || *rest != ' '))
                        continue;
                if (startswith(name, typed) && !strchr(typed, ' '))
                        d = 1;                 /* "stat" */
                else if (!words_are_near(typed, name))
                        continue;
                if (d < least) {
                        least = d;
                        best = verbs + i;
                }
        }
        return best;
}

/* The second words of the verbs that begin with this one, with commas between them. Returns false if there are none. */
static bool family_words(const char *family, char *buf, size_t size) {
        size_t used = 0;

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                const char *rest = startswith(verbs[i].name, family);

                if (rest && *rest == ' ' && used < size)
                        used += (size_t) snprintf(buf + used, size - used, "%s%s", used > 0 ? ", " : "", rest + 1);
        }
        return used > 0;
}

static int complain_unknown(const struct invocation *in) {
        const char *first = in->args[0], *second = in->n_args > 1 ? in->args[1] : NULL;
        const struct verb *near;
        char typed[128], words[256];

        if (family_words(first, words, sizeof(words))) {
                near = second && *second ? nearest(second, first) : NULL;
                if (!second)
                        return fail(EXIT_CODE_USAGE, "%s is half a verb; there are %s. See cmkctl %s --help", first, words, first);
                if (near)
                        return fail(EXIT_CODE_USAGE, "%s has no %s; did you mean cmkctl %s? There are %s", first, second, near->name, words);
                return fail(EXIT_CODE_USAGE, "%s has no %s; there are %s", first, second, words);
        }
        near = *first ? nearest(first, NULL) : NULL;
        if (!near && second) {
                snprintf(typed, sizeof(typed), "%s %s", first, second);
                near = nearest(typed, NULL);
        }
        if (near)
                return fail(EXIT_CODE_USAGE, "there is no verb %s; did you mean cmkctl %s? See cmkctl --help", first, near->name);
        return fail(EXIT_CODE_USAGE, "there is no verb %s; see cmkctl --help", first);
}

/* "help VERB" is "VERB --help". */
static void read_help(struct invocation *in) {
        if (in->n_args == 0 || !streq(in->args[0], "help"))
                return;
        in->args++;
        in->n_args--;
        in->given |= OPTION_BIT(OPTION_HELP);
}

/* What was printed is there, or the exit code says that it is not. */
static int flushed(int code) {
        if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_CODE_DONE)
                return fail(EXIT_CODE_FAILED, "cannot write the result: %s", strerror(errno));
        return code;
}

/* An object for every failure, but of verbs whose own documents say what they found: cmkctl(1), --json. */
static bool says_failure(const struct verb *v, const struct invocation *in) {
        return has_option(in, OPTION_JSON) && v->options & O(JSON) && !json_was_printed() &&
               !startswith(v->name, "audit ") && !streq(v->name, "doctor");
}

static int check_and_run(const struct verb *v, const struct invocation *in) {
        int code = options_check(in, v->options, v->name);

        if (code != EXIT_CODE_DONE)
                return code;
        if (in->n_args < v->min_args)
                return fail(EXIT_CODE_USAGE, "%s needs %s; see cmkctl %s --help", v->name, v->synopsis, v->name);
        if (in->n_args > v->max_args)
                return fail(EXIT_CODE_USAGE, "%s: %s is too much, it takes %s", v->name, in->args[v->max_args],
                            *v->synopsis ? v->synopsis : "no arguments");
        return v->run(in);
}

static int run_verb(const struct verb *v, size_t words, struct invocation *in) {
        int code;

        in->args += words;
        in->n_args -= words;
        if (has_option(in, OPTION_HELP))
                return flushed(print_verb_help(v));
        code = check_and_run(v, in);
        if (code != EXIT_CODE_DONE && says_failure(v, in))
                (void) print_json_failure(code);
        return flushed(code);
}

/* Started without one of the three, it would get a file that is opened for another purpose in its place, and write its messages into that.
 * O_RDONLY: what is printed there is not taken for written. */
static void hold_standard_files(void) {
        int fd;

        do
                fd = open("/dev/null", O_RDONLY);
        while (fd >= 0 && fd <= STDERR_FILENO);
        safe_close(fd);
}

int main(int argc, char *argv[]) {
        struct invocation in;
        int code;

        hold_standard_files();
        code = options_parse(argc, argv, &in);
        if (code != EXIT_CODE_DONE)
                return code;
        read_help(&in);
        if (in.n_args == 0) {
                if (has_option(&in, OPTION_VERSION)) {
                        puts("cmkctl " VERSION);
                        return flushed(EXIT_CODE_DONE);
                }
                if (has_option(&in, OPTION_HELP))
                        return flushed(print_help());
                return fail(EXIT_CODE_USAGE, "say what to do; see cmkctl --help");
        }
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                size_t words = match(verbs + i, &in);

                if (words > 0)
                        return run_verb(verbs + i, words, &in);
        }
        if (has_option(&in, OPTION_HELP) && in.n_args == 1 && print_verbs(in.args[0]) > 0)
                return flushed(EXIT_CODE_DONE);
        return complain_unknown(&in);
}
