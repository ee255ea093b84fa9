/* SPDX-License-Identifier: Apache-2.0 */
#include "encryption.h"
#include "names.h"
#include "print.h"
#include "node-state.h"
#include "udev.h"
#include "volume.h"

#include "common/key-uri.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

/* cmkctl encrypt: begins, then follows; what it follows goes on in the daemon. */

#define LOOK_MSEC 500
#define BEGIN_TIMEOUT_USEC (3 * 60 * 60 * USEC_PER_SEC)      /* of a large file system that is made smaller first */

static bool interrupted;

bool encryption_was_interrupted(void) {
        return interrupted;
}

static int check(const struct invocation *in, char *key, struct key_terms *terms) {
        const char *role = in->values[OPTION_ROLE];
        int code;

        if (!has_option(in, OPTION_NAME))
                return fail(EXIT_CODE_USAGE, "say how the volume is called: --name NAME");
        if (in->n_keys > 1)
                return fail(EXIT_CODE_USAGE, "encrypt takes one key; enroll adds more when it has ended");
        code = read_terms(in, terms);
        if (code == EXIT_CODE_DONE)
                code = check_name(in->values[OPTION_NAME]);
        if (code == EXIT_CODE_DONE && role && !streq(role, "data"))
                code = fail(EXIT_CODE_USAGE, "only volumes of role data are encrypted in place");
        if (code == EXIT_CODE_DONE)
                code = find_key(in, key);
        return code == EXIT_CODE_DONE ? check_device(in->args[0]) : code;
}

static int append(sd_bus_message *m, const struct invocation *in, const char *key, const struct key_terms *t) {
        int r;

        r = sd_bus_message_append(m, "ssss", in->args[0], in->values[OPTION_NAME], "data", key);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_terms(m, t);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static void print_progress(const char *name, struct json_object *v) {
        uint64_t size = json_number(v, "encryption_size"), done = json_number(v, "encryption_done");
        uint64_t rate = json_number(v, "encryption_rate");
        char left[64] = "";

        if (rate > 0 && rate != UINT64_MAX && done <= size) {
                format_span((size - done) / rate, left, sizeof(left));
                fprintf(stderr, "\r%s: %llu %%, %llu of %llu MiB, %llu.%llu MiB/s, %s left   ", name,
                        (unsigned long long) (size > 0 ? done * 100 / size : 0), (unsigned long long) (done >> 20),
                        (unsigned long long) (size >> 20), (unsigned long long) (rate >> 20),
                        (unsigned long long) ((rate >> 10) % 1024 * 10 / 1024), left);
        } else
                fprintf(stderr, "\r%s: %llu %% ", name, (unsigned long long) (size > 0 && size != UINT64_MAX ? done * 100 / size : 0));
        fflush(stderr);
}

static struct json_object *find(struct json_object *list, const char *uuid) {
        for (size_t i = 0; i < json_object_array_length(list); i++)
                if (streq(json_text(json_object_array_get_idx(list, i), "uuid"), uuid))
                        return json_object_array_get_idx(list, i);
        return NULL;
}

/* How it stands when it is not looked at any more. */
struct encryption_seen {
        char name[80], encryption[16], state[32], cause[64];
        uint64_t size, done;
};

static void note(struct json_object *v, struct encryption_seen *ret) {
        snprintf(ret->name, sizeof(ret->name), "%s", v ? json_text(v, "name") : "");
        snprintf(ret->encryption, sizeof(ret->encryption), "%s", v ? json_text(v, "encryption") : "");
        snprintf(ret->state, sizeof(ret->state), "%s", v ? json_text(v, "state") : "closed");
        snprintf(ret->cause, sizeof(ret->cause), "%s", v ? json_text(v, "cause") : "");
        ret->size = v ? json_number(v, "encryption_size") : 0;
        ret->done = v ? json_number(v, "encryption_done") : 0;
}

/* What is closed to be opened again at once is waited for. Ctrl-C ends the looking on, and waits while a call is on its way: sd-bus would
 * give that up. */
static int follow(struct call *c, const char *uuid, bool wait, struct encryption_seen *ret) {
        const struct timespec pause = { 0, LOOK_MSEC * 1000 * 1000 };
        bool terminal = isatty(STDERR_FILENO);
        sigset_t ctrl_c, was;
        int code;

        interrupted = false;
        c->timeout_usec = 0;                   /* what began it may take hours; to say how it stands may not */
        sigemptyset(&ctrl_c);
        sigaddset(&ctrl_c, SIGINT);
        (void) sigprocmask(SIG_BLOCK, &ctrl_c, &was);
        for (;;) {
                _cleanup_(json_object_putp) struct json_object *list = NULL;
                struct json_object *v;

                code = node_state_volumes(c, &list);
                if (code != EXIT_CODE_DONE)
                        break;
                v = find(list, uuid);
                note(v, ret);
                if (terminal && v && *ret->encryption)
                        print_progress(ret->name, v);
                if (!wait || interrupted || !v || !*ret->encryption || (!streq(ret->state, "attached") && !streq(ret->cause, "interrupted")))
                        break;
                interrupted = sigtimedwait(&ctrl_c, NULL, &pause) == SIGINT;
        }
        interrupted |= sigtimedwait(&ctrl_c, NULL, &(struct timespec) {}) == SIGINT;
        (void) sigprocmask(SIG_SETMASK, &was, NULL);
        if (terminal && code == EXIT_CODE_DONE)
                fputc('\n', stderr);
        return code;
}

static int print_document(const char *uuid, bool changed, const struct encryption_seen *s, struct json_object *list) {
        struct json_object *o = json_object_new_object();

        if (!o || json_object_object_add(o, "changed", json_object_new_boolean(changed)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        json_put_text(o, "volume", s->name);
        json_put_text(o, "uuid", uuid);
        json_put_text(o, "state", s->state);
        json_put_text(o, "encryption", *s->encryption ? s->encryption : "done");
        if (*s->encryption) {
                json_put_number(o, "size", s->size);
                json_put_number(o, "done", s->done);
        }
        return print_json_into(list, o);
}

/* Of one that is closed nobody knows it here, and it may be one of several that no argument names. */
static const char *name_of(const struct invocation *in, const char *uuid, const struct encryption_seen *s) {
        return *s->name ? s->name : in->n_args > 0 ? in->args[0] : uuid;
}

static void print_end(const struct invocation *in, const char *uuid, bool again, const struct encryption_seen *s) {
        if (!*s->encryption && again)
                printf("%s: all of it is encrypted by its new volume key; backups of its header from before open nothing any more\n",
                       name_of(in, uuid, s));
        else if (!*s->encryption)
                printf("%s is the volume %s, UUID %s; all of it is encrypted\n", in->args[0], s->name, uuid);
        else if (streq(s->state, "attached") && again)
                printf("%s: what is on it is encrypted anew, in the daemon: \"cmkctl status %s\"\n", s->name, s->name);
        else if (streq(s->state, "attached"))
                printf("%s is the volume %s, UUID %s, and attached as /dev/mapper/%s; its encryption goes on in the daemon: \"cmkctl "
                       "status %s\"\n", in->args[0], s->name, uuid, s->name, s->name);
}

/* Somebody who did not want to wait has got what was asked for. */
static int conclude(const struct invocation *in, const char *uuid, bool changed, bool again, const struct encryption_seen *s,
                    struct json_object *list) {
        bool done = !*s->encryption, wanted = has_option(in, OPTION_BACKGROUND);
        int code = EXIT_CODE_DONE;

        if (has_option(in, OPTION_JSON))
                code = print_document(uuid, changed, s, list);
        else
                print_end(in, uuid, again, s);
        if (code != EXIT_CODE_DONE || done || (wanted && streq(s->state, "attached")))
                return code;
        if (streq(s->state, "attached"))
                return EXIT_CODE_BUSY;
        return fail(streq(s->cause, "revoked") || streq(s->cause, "denied") ? EXIT_CODE_REVOKED : EXIT_CODE_BUSY,
                    "%s is %s%s%s: its encryption goes on when it is attached", name_of(in, uuid, s), s->state,
                    *s->cause ? ", " : "", s->cause);
}

int encryption_finish(const struct invocation *in, struct call *c, bool again, struct json_object *list) {
        struct encryption_seen seen;
        const char *reply_uuid;
        int code, r, made;
        char uuid[37];

        r = sd_bus_message_read(c->reply, "sb", &reply_uuid, &made);
        if (r < 0)
                return call_misunderstood(r);
        snprintf(uuid, sizeof(uuid), "%s", reply_uuid);
        code = follow(c, uuid, !has_option(in, OPTION_BACKGROUND), &seen);
        return code == EXIT_CODE_DONE ? conclude(in, uuid, made, again, &seen, list) : code;
}

int verb_encrypt(const struct invocation *in) {
        _cleanup_(call_release) struct call c = { .timeout_usec = BEGIN_TIMEOUT_USEC };
        char key[KEY_URI_MAX], question[768];
        struct key_terms terms;
        int code;

        code = check(in, key, &terms);
        if (code != EXIT_CODE_DONE)
                return code;
        note_excess(in, key);
        snprintf(question, sizeof(question), "%s becomes the volume %s: its file system is made 32 MiB smaller where it fills the device, "
                 "and encrypted in place. What was written in clear may stay behind: in blocks that a flash disk keeps aside, in "
                 "snapshots and backups. Have a backup.", in->args[0], in->values[OPTION_NAME]);
        code = confirm(in, question);
        if (code == EXIT_CODE_DONE)
                code = call_begin(&c, BUS_MANAGER, "Encrypt");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, append(c.request, in, key, &terms));
        return code == EXIT_CODE_DONE ? encryption_finish(in, &c, false, NULL) : code;
}
