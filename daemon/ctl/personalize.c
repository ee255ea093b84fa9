/* SPDX-License-Identifier: Apache-2.0 */
#include "encryption.h"
#include "names.h"
#include "print.h"
#include "trust-list.h"
#include "volume.h"
#include "wait.h"

#include "common/image-volumes.h"

#include <sys/stat.h>
#include <unistd.h>

/* cmkctl personalize: on the machine that an image is taken of, which volumes are in it; on a copy, each becomes that copy's own. */

#define BEGIN_TIMEOUT_USEC (60 * 60 * USEC_PER_SEC)      /* of a root file system the initramfs is built first */
#define REASON_MAX 256          /* it goes into one field of the trail */

/* What a node is known by besides its volumes, or another node would be taken for it. */
static const struct { const char *path, *what; } identities[] = {
        { "/etc/machine-id", "whose anchors and signed lists these are (truncate it to nothing)" },
        { "/var/log/cmkd", "the audit trail" },
        { "/etc/cmkd/privacy.key", "the key of the trail's pseudonyms" },
        { "/var/lib/cmkd/backups", "backups of headers: each opens every copy of the image" },
        { "/var/lib/cmkd-token", "a PKCS#11 token of this machine, with its keys" },
        { "/etc/cmkd/node.key", "this node's key for the vault" },
        { "/etc/cmkd/client-secret", "this node's login at the vault" },
        { "/etc/cmkd/secret-id", "this node's login at the vault" },
};

/* ---- on the image ---- */

static void say_what_else(void) {
        struct stat st;

        for (size_t i = 0; i < ELEMENTSOF(identities); i++)
                if (stat(identities[i].path, &st) >= 0 && (!S_ISREG(st.st_mode) || st.st_size > 0))
                        fprintf(stderr, "Leave out of the image: %s (%s)\n", identities[i].path, identities[i].what);
}

/* One that is on the list of this node by itself. */
static int find_volume(struct call *c, const char *what, struct image_volume *ret) {
        struct trust_listed l;
        const char *named;
        int code = trust_list_find(c, what, &l);

        if (code != EXIT_CODE_DONE)
                return code;
        if (!streq(l.source, "node"))
                return fail(EXIT_CODE_POLICY, "%s is on the signed list %s: its owner says there what it is", l.name, l.source);
        named = streq(l.role, "os") ? image_volume_is_named(l.uuid) : NULL;
        if (named)
                return fail(EXIT_CODE_POLICY, "%s: %s names it by its UUID, %s, which no copy keeps: leave it to cmkd, which opens "
                            "what is on its list", l.name, named, l.uuid);
        if (!uuid_is_valid(l.uuid) || !volume_name_is_valid(l.name))
                return call_misunderstood(-EBADMSG);
        strcpy(ret->uuid, l.uuid);
        strcpy(ret->name, l.name);
        return EXIT_CODE_DONE;
}

static int print_prepared(const struct image_volume *v, size_t n) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();
        struct json_object *names = json_object_new_array();

        if (!o || !names || json_object_object_add(o, "volumes", names) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        for (size_t i = 0; i < n; i++)
                json_object_array_add(names, json_object_new_string(v[i].name));
        json_put_text(o, "file", IMAGE_VOLUMES_FILE);
        return print_json(o);
}

static int prepare(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        struct image_volume v[IMAGE_VOLUMES_MAX], again[IMAGE_VOLUMES_MAX];
        _cleanup_(freep) char *text = NULL, *copy = NULL;
        unsigned line;
        int code, r;

        if (in->n_args == 0)
                return fail(EXIT_CODE_USAGE, "say which volumes are in the image");
        code = trust_list_begin(&c);
        for (size_t i = 0; code == EXIT_CODE_DONE && i < in->n_args; i++) {
                v[i] = (struct image_volume) { .drop = has_option(in, OPTION_DROP_IMAGE_KEYSLOTS) };
                code = find_volume(&c, in->args[i], v + i);
        }
        if (code != EXIT_CODE_DONE)
                return code;
        text = image_volumes_print(v, in->n_args);
        copy = text ? strdup(text) : NULL;
        if (!copy)
                return fail(EXIT_CODE_FAILED, "out of memory");
        if (image_volumes_parse(copy, again, &line) < 0)
                return fail(EXIT_CODE_USAGE, "the same volume is there twice");
        r = write_file_atomic(IMAGE_VOLUMES_FILE, text, strlen(text), 0600);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, IMAGE_VOLUMES_FILE ": %s", strerror(-r));
        say_what_else();
        if (has_option(in, OPTION_JSON))
                return print_prepared(v, in->n_args);
        printf(IMAGE_VOLUMES_FILE " is written: a copy of this machine makes %s its own at first boot. Take the image now: this machine would too\n",
               in->n_args == 1 ? v->name : "these volumes");
        return EXIT_CODE_DONE;
}

/* ---- on a copy ---- */

static int print_waits(const struct invocation *in, const char *what, const char *uuid, bool changed, const char *waits,
                       struct json_object *said) {
        struct json_object *o;

        if (!has_option(in, OPTION_JSON)) {
                print_clean(stdout, waits);
                putchar('\n');
                return EXIT_CODE_DONE;
        }
        o = json_object_new_object();
        if (!o || json_object_object_add(o, "changed", json_object_new_boolean(changed)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        json_put_text(o, "volume", what);
        json_put_text(o, "uuid", uuid);
        json_put_text(o, "waits", waits);
        return print_json_into(said, o);
}

struct meant {
        const char *what, *image;
        bool drop;                     /* what else opens the image's */
        bool waits;                    /* it goes on when this machine boots, or has booted */
        struct json_object *said;      /* list: what the last try came to, of each volume */
};

static int personalize(const struct invocation *in, struct meant *m) {
        _cleanup_(call_release) struct call c = { .timeout_usec = BEGIN_TIMEOUT_USEC };
        const char *reason = in->values[OPTION_ACCEPT_UNSAFE_VAULT], *uuid, *waits;
        int code, r, changed;

        code = call_begin(&c, BUS_MANAGER, "Personalize");
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_append(c.request, "ssb", m->what, m->image, (int) m->drop);
        if (r >= 0)
                r = sd_bus_message_open_container(c.request, 'a', "{sv}");
        if (r >= 0 && reason)
                r = sd_bus_message_append(c.request, "{sv}", "accept-unsafe-vault", "s", reason);
        if (r >= 0)
                r = sd_bus_message_close_container(c.request);
        code = call_send(&c, r);
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "sbs", &uuid, &changed, &waits);
        if (r < 0)
                return call_misunderstood(r);
        m->waits = *waits;
        if (*waits)
                return print_waits(in, m->what, uuid, changed, waits, m->said);
        r = sd_bus_message_rewind(c.reply, true);
        return r < 0 ? call_misunderstood(r) : encryption_finish(in, &c, true, m->said);
}

static void forget_said(struct meant *m) {
        json_object_put(m->said);
        m->said = json_object_new_array();
}

static int personalize_one(const struct invocation *in, void *user) {
        struct meant *m = user;
        int code;

        forget_said(m);
        code = personalize(in, m);
        return encryption_was_interrupted() ? -code : code;
}

/* As the lists of other verbs have it, of one that has no document of its own. */
static void say_failed(struct json_object *said, const char *name, int code) {
        struct json_object *o = json_object_new_object();

        json_put_text(o, "volume", name);
        json_put_text(o, "error", last_failure());
        json_object_object_add(o, "exit_code", json_object_new_int(code));
        json_object_array_add(said, o);
}

/* Those that patience.h tries again after: the unit does not start again after the others, and one volume that is refused for good is
 * not to keep it from the next try of another. */
static bool another_try_may_cure(int code) {
        return code == EXIT_CODE_FAILED || code == EXIT_CODE_UNREACHABLE || code == EXIT_CODE_BUSY;
}

/* What the image says. One that fails, or waits, does not stop the others; the file goes when all is done, to its last part. */
static int personalize_all(const struct invocation *in, void *user) {
        struct meant *all = user;
        bool waits = false;
        struct image_volume v[IMAGE_VOLUMES_MAX];
        unsigned line;
        int n = image_volumes_read("", v, &line), worst = EXIT_CODE_DONE;

        if (n < 0 && line > 0)
                return fail(EXIT_CODE_USAGE, IMAGE_VOLUMES_FILE ", line %u: it is not UUID NAME, or is there twice", line);
        if (n < 0)
                return fail(EXIT_CODE_FAILED, IMAGE_VOLUMES_FILE ": %s", strerror(-n));
        forget_said(all);
        if (n == 0)
                return fail(EXIT_CODE_USAGE, "say which volume; " IMAGE_VOLUMES_FILE " names none");
        for (int i = 0; i < n; i++) {
                struct meant m = { .what = v[i].name, .image = v[i].uuid, .drop = v[i].drop || has_option(in, OPTION_DROP_IMAGE_KEYSLOTS),
                                   .said = all->said };
                size_t said = json_object_array_length(all->said);
                int code = personalize(in, &m);

                if (code != EXIT_CODE_DONE && json_object_array_length(all->said) == said)
                        say_failed(all->said, v[i].name, code);
                if (encryption_was_interrupted())
                        return -EXIT_CODE_BUSY;
                waits |= m.waits;
                if (worst == EXIT_CODE_DONE || (another_try_may_cure(code) && !another_try_may_cure(worst)))
                        worst = code;
        }
        if (worst != EXIT_CODE_DONE || waits || has_option(in, OPTION_BACKGROUND))
                return worst;
        if (unlink(IMAGE_VOLUMES_FILE) < 0 && errno != ENOENT)
                return fail(EXIT_CODE_FAILED, IMAGE_VOLUMES_FILE ": %s", strerror(errno));
        return EXIT_CODE_DONE;
}

int verb_personalize(const struct invocation *in) {
        const char *what = in->n_args > 0 ? in->args[0] : NULL;
        struct meant m = { .what = what, .image = "", .drop = has_option(in, OPTION_DROP_IMAGE_KEYSLOTS) };
        char question[512];
        uint64_t seconds;
        int code;

        if (has_option(in, OPTION_PREPARE))
                return prepare(in);
        if (in->n_args > 1)
                return fail(EXIT_CODE_USAGE, "one volume at a time; without any, those of " IMAGE_VOLUMES_FILE);
        if (strlen(strempty(in->values[OPTION_ACCEPT_UNSAFE_VAULT])) > REASON_MAX)
                return fail(EXIT_CODE_USAGE, "the reason after --accept-unsafe-vault is longer than %d", REASON_MAX);
        code = wait_read(in, &seconds);
        if (code == EXIT_CODE_DONE && what)
                code = check_what(what);
        snprintf(question, sizeof(question), "%.200s gets another UUID, key material and volume key: what opened the image does not open it any more, "
                 "and what is on it is encrypted anew.", what ? what : "Every volume of the image");
        if (code == EXIT_CODE_DONE)
                code = confirm(in, question);
        if (code != EXIT_CODE_DONE)
                return code;
        code = wait_until_done(in, seconds, what ? personalize_one : personalize_all, &m);
        if (has_option(in, OPTION_JSON) && m.said && json_object_array_length(m.said) > 0)
                (void) print_json(what ? json_object_array_get_idx(m.said, 0) : m.said);
        json_object_put(m.said);
        return code;
}
