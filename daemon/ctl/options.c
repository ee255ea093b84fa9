/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl.h"

#include <stdarg.h>
#include <unistd.h>

static const struct {
        const char *name;
        char letter;
        bool takes_value;
        const char *synopsis, *help;
} options[_OPTION_MAX] = {
        [OPTION_JSON] = { "json", 0, false, "--json", "print JSON" },
        [OPTION_YES] = { "yes", 'y', false, "-y, --yes", "do not ask" },
        [OPTION_HELP] = { "help", 'h', false, "-h, --help", "this text; after a verb: its own" },
        [OPTION_VERSION] = { "version", 0, false, "--version", "print the version" },
        [OPTION_NAME] = { "name", 'n', true, "-n, --name NAME", "of the volume: it opens as /dev/mapper/NAME" },
        [OPTION_ROLE] = { "role", 'r', true, "-r, --role ROLE", "data (the default), os or scratch; encrypt: data; drill: data or scratch" },
        [OPTION_KEY] = { "key", 'k', true, "-k, --key URI", "https://HOST/keys/NAME[/VERSION], or pkcs11:token=LABEL;object=LABEL; format, enroll: up to four times" },
        [OPTION_VAULT] = { "vault", 0, true, "--vault HOST", "in place of --key, with --key-name" },
        [OPTION_KEY_NAME] = { "key-name", 0, true, "--key-name NAME", "of the key in that vault" },
        [OPTION_KEY_VERSION] = { "key-version", 0, true, "--key-version VERSION", "of that key; else the newest" },
        [OPTION_WIPE] = { "wipe", 0, false, "--wipe", "overwrite what is on the device" },
        [OPTION_ACCEPT_UNSAFE_VAULT] = { "accept-unsafe-vault", 0, true, "--accept-unsafe-vault REASON",
                "use a vault without purge protection; the reason is recorded" },
        [OPTION_EXPECT_PUBLIC_KEY] = { "expect-public-key", 0, true, "--expect-public-key sha256:HEX", "refuse another, whatever the worker says (cmkd-vault(8))" },
        [OPTION_READ_ONLY] = { "read-only", 0, false, "--read-only", "open for reading only" },
        [OPTION_UDEV] = { "udev", 0, false, "--udev", "as cmkd@.service: a path in sysfs, escaped, or a name" },
        [OPTION_WAIT] = { "wait", 0, true, "--wait SEC", "try again for so long where vault, cmkd or disk is not there yet" },
        [OPTION_DRY_RUN] = { "dry-run", 0, false, "--dry-run", "print what would be done, do nothing" },
        [OPTION_EVENT] = { "event", 'e', true, "-e, --event EVENT[,EVENT...]", "only records of these events; key_*: all that begin so" },
        [OPTION_VOLUME] = { "volume", 'v', true, "-v, --volume NAME", "only records of this volume (name or UUID)" },
        [OPTION_SINCE] = { "since", 's', true, "-s, --since TIME", "YYYY-MM-DD[ HH:MM[:SS]], HH:MM, today, or a span ago: 10min" },
        [OPTION_LINES] = { "lines", 0, true, "--lines N", "only the last N records" },
        [OPTION_FILE] = { "file", 'f', true, "-f, --file FILE", "a trail file elsewhere" },
        [OPTION_ROOT] = { "root", 0, true, "--root DIR", "read the configuration below DIR" },
        [OPTION_INITRAMFS] = { "initramfs", 0, true, "--initramfs IMAGE", "the image to examine" },
        [OPTION_VAULTS] = { "vaults", 0, false, "--vaults", "ask the vaults about their keys, as root" },
        [OPTION_UNTIL] = { "until", 0, true, "--until TIME", "pause: HH:MM, YYYY-MM-DD HH:MM, a span from now; audit: as --since" },
        [OPTION_ACTOR] = { "actor", 0, true, "--actor WHO", "only what this program did, or uid=N, loginuid=N, pid=N, session=N" },
        [OPTION_UNIT] = { "unit", 'u', true, "-u, --unit UNIT", "only what happened in this systemd unit, or container (its id)" },
        [OPTION_UNAUTHORISED] = { "unauthorised", 0, false, "--unauthorised", "only uses that cmkd did not authorise" },
        [OPTION_EXPECT] = { "expect", 0, true, "--expect PATH|UNIT[,...]", "programs and units that may open decrypted devices" },
        [OPTION_WIDE] = { "wide", 'w', false, "-w, --wide", "every field of a record" },
        [OPTION_HTML] = { "html", 0, true, "--html FILE", "where the report goes; -: standard output" },
        [OPTION_PRIVATE_KEY] = { "private-key", 0, true, "--private-key FILE", "the auditor's, PEM: check the seals too" },
        [OPTION_EPOCH_KEYS] = { "epoch-keys", 0, true, "--epoch-keys FILE", "lines EPOCH BASE64: keys that were unwrapped elsewhere" },
        [OPTION_LIST_EPOCHS] = { "list-epochs", 0, false, "--list-epochs", "print the epochs and their wrapped keys, check nothing" },
        [OPTION_PRIVACY_KEY] = { "privacy-key", 0, true, "--privacy-key FILE", "of a trail with pseudonyms: names that are asked for become theirs" },
        [OPTION_VAULT_LOG] = { "vault-log", 0, true, "--vault-log FILE", "the vault's own log: was the trail what it is now?" },
        [OPTION_MACHINE_ID] = { "machine-id", 0, true, "--machine-id ID", "of the node, as known from elsewhere (/etc/machine-id)" },
        [OPTION_FORMAT] = { "format", 0, true, "--format csv|json", "a sheet of the records that the filters leave" },
        [OPTION_DIRECTORY] = { "directory", 'D', true, "-D, --directory DIR", "journals of many nodes, as systemd-journal-remote has them" },
        [OPTION_LOCAL] = { "local", 0, false, "--local", "in a PKCS#11 token of this machine, which is made if need be" },
        [OPTION_NO_QR] = { "no-qr", 0, false, "--no-qr", "no QR code of the key on the terminal" },
        [OPTION_SIZE] = { "size", 0, true, "--size MIB", "of the drill's volume; 64 if it is not said" },
        [OPTION_ALL] = { "all", 'a', false, "-a, --all", "every volume on the node's list" },
        [OPTION_REMOVE] = { "remove", 0, true, "--remove URI", "take that key out" },
        [OPTION_FINISH] = { "finish", 0, false, "--finish", "of a volume of role os: the initramfs was built anew" },
        [OPTION_OUTPUT] = { "output", 0, true, "--output FILE", "write it there, in the place of what is there" },
        [OPTION_FROM] = { "from", 0, true, "--from URI", "the key that goes, where the volume has several" },
        [OPTION_STORE] = { "store", 0, true, "--store token|vault", "where the wrapped key is kept: header, or a secret of the key's vault" },
        [OPTION_HEADER_BACKUP] = { "header-backup", 0, true, "--header-backup FILE", "first copy the header as it is into this new file" },
        [OPTION_ALLOW_OLDER] = { "allow-older", 0, false, "--allow-older", "a header that is older than this node has seen; recorded" },
        [OPTION_PASSPHRASE_FILE] = { "passphrase-file", 0, true, "--passphrase-file FILE", "take over a LUKS volume that this opens" },
        [OPTION_FROM_ADE] = { "from-ade", 0, false, "--from-ade", "... made by Azure Disk Encryption: LUKS1 becomes LUKS2" },
        [OPTION_REMOVE_OLD_KEYSLOTS] = { "remove-old-keyslots", 0, false, "--remove-old-keyslots", "remove what opened it before it was taken over" },
        [OPTION_ESCROW] = { "escrow", 0, true, "--escrow URI", "nobody is shown it: wrapped by that key, in the header" },
        [OPTION_BACKGROUND] = { "background", 0, false, "--background", "do not wait for the end" },
        [OPTION_WATCH] = { "watch", 0, false, "--watch", "go on showing it: each second, or at each change where not on a terminal" },
        [OPTION_KEYSLOT_FILE] = { "keyslot-file", 0, true, "--keyslot-file NUMBER:FILE", "what opens a keyslot that is not cmkd's; several times" },
        [OPTION_DROP_KEYSLOTS] = { "drop-keyslots", 0, true, "--drop-keyslots N[,N...]", "keyslots that are not cmkd's, and go for good" },
        [OPTION_PREPARE] = { "prepare", 0, false, "--prepare", "on the machine that the image is taken of: these volumes are in it" },
        [OPTION_DROP_IMAGE_KEYSLOTS] = { "drop-image-keyslots", 0, false, "--drop-image-keyslots", "remove its recovery key and passphrases, which every copy has" },
        [OPTION_END] = { "end", 0, false, "--end", "end the pause now; what was due is done at once" },
};

const char *option_synopsis(enum option_id o) {
        return options[o].synopsis;
}

const char *option_help(enum option_id o) {
        return options[o].help;
}

static char said_last[2048];

const char *last_failure(void) {
        return said_last;
}

int fail(enum exit_code code, const char *format, ...) {
        char text[2048];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        replace_controls(text);
        if (code != EXIT_CODE_DONE)
                memcpy(said_last, text, sizeof(said_last));
        fflush(stdout);
        fprintf(stderr, "cmkctl: %s\n", text);
        return code;
}

static enum option_id find_option(const char *word, const char **ret_value) {
        const char *name = startswith(word, "--"), *equals = name ? strchr(name, '=') : NULL;
        size_t n = equals ? (size_t) (equals - name) : name ? strlen(name) : 0;

        for (unsigned o = 0; o < _OPTION_MAX; o++) {
                bool same = name ? strlen(options[o].name) == n && strncmp(options[o].name, name, n) == 0
                                 : options[o].letter && word[1] == options[o].letter && !word[2];

                if (same) {
                        *ret_value = equals ? equals + 1 : NULL;
                        return (enum option_id) o;
                }
        }
        return _OPTION_MAX;
}

static int complain_unknown(const char *word) {
        const char *best = NULL;
        size_t least = SIZE_MAX;

        for (unsigned o = 0; startswith(word, "--") && o < _OPTION_MAX; o++) {
                size_t d = word_distance(word + 2, options[o].name);

                if (d < least && words_are_near(word + 2, options[o].name)) {
                        least = d;
                        best = options[o].name;
                }
        }
        if (best)
                return fail(EXIT_CODE_USAGE, "there is no option %s; did you mean --%s?", word, best);
        return fail(EXIT_CODE_USAGE, "there is no option %s; see cmkctl --help", word);
}

int options_parse(int argc, char *argv[], struct invocation *ret) {
        struct invocation in = { .args = argv + 1 };
        bool only_words = false;

        for (int i = 1; i < argc; i++) {
                const char *value;
                enum option_id o;

                if (only_words || argv[i][0] != '-' || !argv[i][1]) {
                        in.args[in.n_args++] = argv[i];
                        continue;
                }
                if (streq(argv[i], "--")) {
                        only_words = true;
                        continue;
                }
                o = find_option(argv[i], &value);
                if (o == _OPTION_MAX)
                        return complain_unknown(argv[i]);
                if (has_option(&in, o) && o != OPTION_KEY && o != OPTION_KEYSLOT_FILE)
                        return fail(EXIT_CODE_USAGE, "--%s is there twice", options[o].name);
                if (options[o].takes_value && !value)
                        value = i + 1 < argc ? argv[++i] : "";
                if (options[o].takes_value && !*value)
                        return fail(EXIT_CODE_USAGE, "--%s needs a value", options[o].name);
                if (!options[o].takes_value && value)
                        return fail(EXIT_CODE_USAGE, "--%s takes no value", options[o].name);
                if (o == OPTION_KEY && in.n_keys == ELEMENTSOF(in.keys))
                        return fail(EXIT_CODE_USAGE, "a volume has %zu keys at most", ELEMENTSOF(in.keys));
                if (o == OPTION_KEY)
                        in.keys[in.n_keys++] = value;
                if (o == OPTION_KEYSLOT_FILE && in.n_keyslot_files == ELEMENTSOF(in.keyslot_files))
                        return fail(EXIT_CODE_USAGE, "a volume has %zu keyslots at most", ELEMENTSOF(in.keyslot_files));
                if (o == OPTION_KEYSLOT_FILE)
                        in.keyslot_files[in.n_keyslot_files++] = value;
                if (!has_option(&in, o))
                        in.values[o] = value;
                in.given |= OPTION_BIT(o);
        }
        *ret = in;
        return EXIT_CODE_DONE;
}

int options_check(const struct invocation *in, uint64_t allowed, const char *verb) {
        for (unsigned o = 0; o < _OPTION_MAX; o++)
                if (in->given & ~allowed & OPTION_BIT(o))
                        return fail(EXIT_CODE_USAGE, "%s has no option --%s", verb, options[o].name);
        return EXIT_CODE_DONE;
}

int confirm(const struct invocation *in, const char *what) {
        char answer[16] = "";

        if (has_option(in, OPTION_YES))
                return EXIT_CODE_DONE;
        if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return fail(EXIT_CODE_USAGE, "%s There is no terminal to ask on: say --yes if that is meant.", what);
        fprintf(stderr, "%s Type YES to go on: ", what);
        if (!fgets(answer, sizeof(answer), stdin) || !streq(answer, "YES\n"))
                return fail(EXIT_CODE_FAILED, "not confirmed, nothing was done");
        return EXIT_CODE_DONE;
}
