/* SPDX-License-Identifier: Apache-2.0 */
#include "bus-manager.h"

#include <fcntl.h>
#include <unistd.h>

#include "bus-call.h"
#include "bus.h"
#include "manager.h"

/* A call under way. read_end: of the pipe that a new key's text goes through, else -EBADF. */
struct recovery_call {
        sd_bus_message *message;
        int read_end;
};

static void recovery_call_free(struct recovery_call *c) {
        sd_bus_message_unref(c->message);
        safe_close(c->read_end);
        free(c);
}

static struct recovery_call *recovery_call_new(sd_bus_message *message) {
        struct recovery_call *c = calloc(1, sizeof(*c));

        if (c)
                *c = (struct recovery_call) { .message = sd_bus_message_ref(message), .read_end = -EBADF };
        return c;
}

/* Where nobody is there to take the key any more, it is nobody's: the volume keeps it until it is removed. */
static void on_added(const struct outcome *o, void *user) {
        struct recovery_call *c = user;
        int r;

        if (o->code != EXIT_CODE_DONE)
                reply_error(c->message, o->code, "%s", o->message);
        else {
                r = sd_bus_reply_method_return(c->message, "sh", o->volume->name, c->read_end);
                if (r < 0)
                        reply_error(c->message, EXIT_CODE_FAILED, "%s has a recovery key now, but it cannot be handed "
                                    "over (%s): remove it", o->volume->name, strerror(-r));
        }
        recovery_call_free(c);
}

static void on_changed(const struct outcome *o, void *user) {
        struct recovery_call *c = user;

        if (o->code != EXIT_CODE_DONE)
                reply_error(c->message, o->code, "%s", o->message);
        else
                sd_bus_reply_method_return(c->message, "sb", o->volume->name, o->changed);
        recovery_call_free(c);
}

static void on_tested(const struct outcome *o, void *user) {
        struct recovery_call *c = user;

        if (o->code != EXIT_CODE_DONE)
                reply_error(c->message, o->code, "%s", o->message);
        else
                sd_bus_reply_method_return(c->message, "s", o->volume->name);
        recovery_call_free(c);
}

/* Returns 0, or what the handler returns. */
static int may_ask(sd_bus_message *message, struct manager *m, const char *what) {
        int r;

        if (!is_private_root(message))
                return reply_error(message, EXIT_CODE_POLICY, "Recovery keys and headers are for root on "
                                   BUS_PRIVATE_SOCKET " only");
        if (!ready(m, message, &r))
                return r;
        if (*what == '/')
                return 0;
        if (!volume_name_is_valid(what))
                return reply_error(message, EXIT_CODE_USAGE, "%s is no device, UUID or name of a volume", what);
        if (!find(m, what) && !trust_find_name(m->trust, what) && !trust_find_uuid(m->trust, what))
                return reply_error(message, EXIT_CODE_POLICY, "There is no volume %s on this node's list; see "
                                   "\"cmkctl trust list\"", what);
        return 0;
}

static int not_started(sd_bus_message *message, struct recovery_call *c, int error) {
        if (c)
                recovery_call_free(c);
        return reply_error(message, EXIT_CODE_FAILED, "The operation could not be started: %s", strerror(-error));
}

int bus_method_recovery_key_add(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct recovery_call *c;
        struct requester who;
        const char *what;
        int r, fds[2];

        r = sd_bus_message_read(message, "s", &what);
        if (r < 0)
                return r;
        r = may_ask(message, user, what);
        if (r != 0)
                return r;
        c = recovery_call_new(message);
        if (!c || pipe2(fds, O_CLOEXEC) < 0)
                return not_started(message, c, c ? -errno : -ENOMEM);
        c->read_end = fds[0];
        get_requester(message, &who);
        r = recovery_key_add(user, what, fds[1], &who, on_added, c);
        if (r >= 0)
                return 1;
        safe_close(fds[1]);
        return not_started(message, c, r);
}

static void on_escrowed(const struct outcome *o, void *user) {
        struct recovery_call *c = user;

        if (o->code != EXIT_CODE_DONE)
                reply_error(c->message, o->code, "%s", o->message);
        else
                sd_bus_reply_method_return(c->message, "s", o->key);
        recovery_call_free(c);
}

int bus_method_recovery_key_escrow(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct outcome refused = {};
        struct escrow_request q = {};
        struct recovery_call *c;
        struct requester who;
        struct options o;
        int r, answer;

        r = sd_bus_message_read(message, "ss", &q.what, &q.key);
        if (!begin(user, message, r, &o, &answer))
                return answer;
        q.accept_unsafe = o.accept_unsafe;
        q.expected = o.expected;
        r = may_ask(message, user, q.what);
        if (r != 0)
                return r;
        c = recovery_call_new(message);
        get_requester(message, &who);
        r = c ? recovery_key_escrow(user, &q, &who, on_escrowed, c, &refused) : -ENOMEM;
        if (r >= 0)
                return 1;
        if (r != -EPERM)
                return not_started(message, c, r);
        recovery_call_free(c);
        return reply_error(message, refused.code, "%s", refused.message);
}

typedef int (*recovery_remove)(struct manager *m, const char *what, const struct requester *who, operation_done done, void *user);

static int method_remove(sd_bus_message *message, void *user, recovery_remove begin_it) {
        struct recovery_call *c;
        struct requester who;
        const char *what;
        int r;

        r = sd_bus_message_read(message, "s", &what);
        if (r < 0)
                return r;
        r = may_ask(message, user, what);
        if (r != 0)
                return r;
        c = recovery_call_new(message);
        get_requester(message, &who);
        r = c ? begin_it(user, what, &who, on_changed, c) : -ENOMEM;
        return r >= 0 ? 1 : not_started(message, c, r);
}

int bus_method_recovery_key_remove(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        return method_remove(message, user, recovery_key_remove);
}

int bus_method_keyslots_remove(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        return method_remove(message, user, keyslots_remove);
}

typedef int (*recovery_with_fd)(struct manager *m, const char *what, int fd, const struct requester *who, operation_done done,
                                void *user);

/* What comes with a descriptor and has a name for an answer. */
static int method_with_fd(sd_bus_message *message, void *user, recovery_with_fd begin_it) {
        struct recovery_call *c;
        struct requester who;
        const char *what;
        int r, fd, source;

        r = sd_bus_message_read(message, "sh", &what, &fd);
        if (r < 0)
                return r;
        r = may_ask(message, user, what);
        if (r != 0)
                return r;
        source = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (source < 0)
                return not_started(message, NULL, -errno);
        c = recovery_call_new(message);
        get_requester(message, &who);
        r = c ? begin_it(user, what, source, &who, on_tested, c) : -ENOMEM;
        if (r >= 0)
                return 1;
        safe_close(source);
        return not_started(message, c, r);
}

int bus_method_recovery_key_test(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        return method_with_fd(message, user, recovery_key_test);
}

int bus_method_header_backup(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        return method_with_fd(message, user, header_backup_start);
}

int bus_method_header_restore(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct restore_request q = {};
        struct recovery_call *c;
        struct requester who;
        const char *what;
        int r, fd, file, older, wipe;

        r = sd_bus_message_read(message, "shbb", &what, &fd, &older, &wipe);
        if (r < 0)
                return r;
        r = may_ask(message, user, what);
        if (r != 0)
                return r;
        snprintf(q.what, sizeof(q.what), "%s", what);
        q.older = older;
        q.wipe = wipe;
        file = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (file < 0)
                return not_started(message, NULL, -errno);
        c = recovery_call_new(message);
        get_requester(message, &who);
        r = c ? header_restore_start(user, &q, file, &who, on_changed, c) : -ENOMEM;
        if (r >= 0)
                return 1;
        safe_close(file);
        return not_started(message, c, r);
}

static void on_accepted(const struct outcome *o, void *user) {
        struct recovery_call *c = user;

        if (o->code != EXIT_CODE_DONE)
                reply_error(c->message, o->code, "%s", o->message);
        else
                sd_bus_reply_method_return(c->message, "sbs", o->volume->name, o->changed, o->kept);
        recovery_call_free(c);
}

int bus_method_header_accept(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct recovery_call *c;
        struct requester who;
        const char *what;
        int r, look;

        r = sd_bus_message_read(message, "sb", &what, &look);
        if (r < 0)
                return r;
        r = may_ask(message, user, what);
        if (r != 0)
                return r;
        c = recovery_call_new(message);
        get_requester(message, &who);
        r = c ? header_accept_start(user, what, look, &who, on_accepted, c) : -ENOMEM;
        return r >= 0 ? 1 : not_started(message, c, r);
}

int bus_method_recovery_key_rotate(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        return method_with_fd(message, user, recovery_key_rotate);
}
