/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "names.h"
#include "print.h"
#include "volume.h"

#include "common/key-uri.h"

#include <fcntl.h>
#include <unistd.h>

/* cmkctl enroll --passphrase-file: a LUKS volume that was somebody else's, Azure Disk Encryption's too. The passphrase goes from its file
 * into the daemon's child: it is never read here. */

static int append(sd_bus_message *m, const struct invocation *in, const char *key, const struct key_terms *t, int passphrase) {
        const char *role = in->values[OPTION_ROLE];
        int r;

        r = sd_bus_message_append(m, "sssshb", in->args[0], in->values[OPTION_NAME], role ? role : "data", key, passphrase,
                                  has_option(in, OPTION_FROM_ADE));
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_terms(m, t);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int check(const struct invocation *in, char *key, struct key_terms *terms) {
        const char *role = in->values[OPTION_ROLE];
        int code;

        if (!has_option(in, OPTION_NAME))
                return fail(EXIT_CODE_USAGE, "say how the volume is called: --name NAME");
        if (in->n_keys > 1)
                return fail(EXIT_CODE_USAGE, "take it over with one key, then enroll the others");
        if (has_option(in, OPTION_REMOVE) || has_option(in, OPTION_REMOVE_OLD_KEYSLOTS) || has_option(in, OPTION_HEADER_BACKUP))
                return fail(EXIT_CODE_USAGE, "a volume is taken over first, and changed then");
        code = read_terms(in, terms);
        if (code == EXIT_CODE_DONE)
                code = check_name(in->values[OPTION_NAME]);
        if (code == EXIT_CODE_DONE && role && role_from_string(role) < 0)
                code = fail(EXIT_CODE_USAGE, "%s is no role; there are data, os and scratch", role);
        if (code == EXIT_CODE_DONE)
                code = find_key(in, key);
        return code == EXIT_CODE_DONE ? check_device(in->args[0]) : code;
}

static int print_taken(const struct invocation *in, const char *uuid, const char *backup, bool changed, bool adopted) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        const char *name = in->values[OPTION_NAME];

        if (*backup)
                fprintf(stderr, "What was in front of the data is in %s: whoever has it and the old passphrase opens %s. Keep it away\n"
                        "from this node until the volume was used for a while, then destroy it.\n", backup, name);
        if (!has_option(in, OPTION_JSON)) {
                printf(changed ? "%s is the volume %s now, UUID %s\n" : "%s is the volume %s already, UUID %s; nothing was changed\n", in->args[0],
                       name, uuid);
                if (adopted)
                        puts("It is open, and under its lease: its key's owner closes it from now on");
                if (changed)
                        printf("Its old passphrases open it as before, without the vault, until cmkctl enroll %s --remove-old-keyslots\n", name);
                return EXIT_CODE_DONE;
        }
        o = json_object_new_object();
        if (!o || json_object_object_add(o, "changed", json_object_new_boolean(changed)) < 0 ||
            json_object_object_add(o, "adopted", json_object_new_boolean(adopted)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        json_put_text(o, "volume", name);
        json_put_text(o, "uuid", uuid);
        json_put_text(o, "backup", *backup ? backup : NULL);
        return print_json(o);
}

static int call_take_over(const struct invocation *in, const char *key, const struct key_terms *t, int passphrase) {
        _cleanup_(call_release) struct call c = {};
        const char *uuid, *backup;
        int code, r, changed, adopted;

        code = call_begin(&c, BUS_MANAGER, "TakeOver");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, append(c.request, in, key, t, passphrase));
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "sbsb", &uuid, &changed, &backup, &adopted);
        return r < 0 ? call_misunderstood(r) : print_taken(in, uuid, backup, changed, adopted);
}

int take_over(const struct invocation *in) {
        const char *path = in->values[OPTION_PASSPHRASE_FILE];
        _cleanup_(closep) int passphrase = -EBADF;
        char key[KEY_URI_MAX], question[768];
        struct key_terms terms;
        int code;

        if (!path)
                return fail(EXIT_CODE_USAGE, "say where its passphrase is: --passphrase-file FILE (of Azure Disk Encryption: LinuxPassPhraseFileName "
                            "on the volume BEK)");
        if (has_option(in, OPTION_STORE))
                return fail(EXIT_CODE_USAGE, "take it over first: cmkctl rotate %s --store moves its wrapped key then", strempty(in->values[OPTION_NAME]));
        code = check(in, key, &terms);
        if (code != EXIT_CODE_DONE)
                return code;
        passphrase = open(path, O_RDONLY|O_CLOEXEC);
        if (passphrase < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(errno));
        note_excess(in, key);
        snprintf(question, sizeof(question), "%.300s becomes the volume %s; what is on it stays. A header of LUKS1 is made one of LUKS2, and kept "
                 "in a file on this node.", in->args[0], in->values[OPTION_NAME]);
        if (has_option(in, OPTION_FROM_ADE))
                code = confirm(in, question);
        return code == EXIT_CODE_DONE ? call_take_over(in, key, &terms, passphrase) : code;
}

int remove_old_keyslots(const struct invocation *in) {
        char question[512];

        if (in->given & ~(OPTION_BIT(OPTION_REMOVE_OLD_KEYSLOTS)|OPTION_BIT(OPTION_HEADER_BACKUP)|OPTION_BIT(OPTION_YES)|
                          OPTION_BIT(OPTION_JSON)))
                return fail(EXIT_CODE_USAGE, "--remove-old-keyslots adds no key, and takes none out");
        snprintf(question, sizeof(question), "Nothing but its keys in vaults, and its recovery key if it has one, opens %.300s any more.",
                 in->args[0]);
        return header_remove(in, "KeyslotsRemove", question, "its old keyslots are removed", "it has no old keyslots");
}
