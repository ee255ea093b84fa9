/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "bus-manager.h"

#include "bus.h"
#include "bus-call.h"
#include "bus-properties.h"
#include "common/log.h"
#include "manager.h"
#include "operation.h"
#include "teardown.h"
#include "trust-places.h"
#include "trust-signed.h"

/* ---- replies ---- */

static void on_attached(const struct outcome *o, void *user) {
        sd_bus_message *m = user;
        char node[sizeof("/dev/mapper/") + 128];

        if (o->code != EXIT_CODE_DONE)
                reply_error(m, o->code, "%s", o->message);
        else if (!o->volume)                  /* left alone: why, in place of a node */
                sd_bus_reply_method_return(m, "ssb", "", o->message, false);
        else {
                snprintf(node, sizeof(node), "/dev/mapper/%s", o->volume->mapping);
                sd_bus_reply_method_return(m, "ssb", o->volume->name, node, o->changed);
        }
        sd_bus_message_unref(m);
}

static void on_changed(const struct outcome *o, void *user) {
        sd_bus_message *m = user;

        if (o->code != EXIT_CODE_DONE)
                reply_error(m, o->code, "%s", o->message);
        else
                sd_bus_reply_method_return(m, "b", o->changed);
        sd_bus_message_unref(m);
}

static void on_rotated(const struct outcome *o, void *user) {
        sd_bus_message *m = user;

        if (o->code != EXIT_CODE_DONE)
                reply_error(m, o->code, "%s", o->message);
        else
                sd_bus_reply_method_return(m, "bss", o->changed, o->key, o->kept);
        sd_bus_message_unref(m);
}

/* ---- the verbs ---- */

static bool copy(char *to, size_t size, const char *from) {
        return (size_t) snprintf(to, size, "%s", from) < size;
}

static void on_taken_over(const struct outcome *o, void *user) {
        sd_bus_message *m = user;

        if (o->code != EXIT_CODE_DONE)
                reply_error(m, o->code, "%s", o->message);
        else
                sd_bus_reply_method_return(m, "sbsb", o->uuid, o->changed, o->kept, o->adopted);
        sd_bus_message_unref(m);
}

/* Returns 0, or what the handler returns: the reply has been sent. */
static int fill_format(const struct manager *m, sd_bus_message *message, const char *const words[4], const struct options *o,
                       struct format_request *q) {
        int r = role_from_string(words[2]);

        if (r < 0)
                return reply_error(message, EXIT_CODE_USAGE, "%s is no role; there are data, os and scratch", words[2]);
        q->role = (enum role) r;
        q->wipe = o->wipe;
        q->store = o->store;
        memcpy(q->expected, o->expected, sizeof(q->expected));
        if (*words[0] != '/' || !copy(q->device, sizeof(q->device), words[0]) || !copy(q->name, sizeof(q->name), words[1]) ||
            !copy(q->key, sizeof(q->key), words[3]) || !copy(q->accept_unsafe, sizeof(q->accept_unsafe), o->accept_unsafe))
                return reply_error(message, EXIT_CODE_USAGE, "Device, name or key is too long, or the device is no path");
        if (config_find_scratch(m->config, words[1]))
                return reply_error(message, EXIT_CODE_POLICY, "%s is the name of a scratch disk (cmkd.conf)", words[1]);
        return 0;
}

static int method_format(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct format_request q = { .passphrase_fd = -EBADF };
        struct requester who;
        const char *words[4];
        struct manager *m = user;
        struct options o;
        int r;

        r = sd_bus_message_read(message, "ssss", words, words + 1, words + 2, words + 3);
        if (!begin(m, message, r, &o, &r))
                return r;
        r = fill_format(m, message, words, &o, &q);
        if (r != 0)
                return r;
        get_requester(message, &who);
        return started(message, format_start(m, &q, &who, reply_made, sd_bus_message_ref(message)));
}

static int method_take_over(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct format_request q = { .take_over = true, .passphrase_fd = -EBADF };
        struct requester who;
        const char *words[4];
        struct manager *m = user;
        struct options o;
        int r, fd, convert;

        r = sd_bus_message_read(message, "sssshb", words, words + 1, words + 2, words + 3, &fd, &convert);
        if (!begin(m, message, r, &o, &r))
                return r;
        if (!is_private_root(message))
                return reply_error(message, EXIT_CODE_POLICY, "Passphrases are for root on " BUS_PRIVATE_SOCKET " only");
        r = fill_format(m, message, words, &o, &q);
        if (r != 0)
                return r;
        q.convert = convert;
        q.passphrase_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (q.passphrase_fd < 0)
                return reply_error(message, EXIT_CODE_FAILED, "No descriptor: %s", strerror(errno));
        get_requester(message, &who);
        r = format_start(m, &q, &who, on_taken_over, sd_bus_message_ref(message));
        if (r < 0)
                safe_close(q.passphrase_fd);
        return started(message, r);
}

static int method_encrypt(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        const char *device, *name, *role, *key;
        struct encrypt_request q = {};
        struct requester who;
        struct manager *m = user;
        struct options o;
        int r;

        r = sd_bus_message_read(message, "ssss", &device, &name, &role, &key);
        if (!begin(m, message, r, &o, &r))
                return r;
        r = role_from_string(role);
        if (r < 0)
                return reply_error(message, EXIT_CODE_USAGE, "%s is no role; there are data, os and scratch", role);
        q.role = (enum role) r;
        memcpy(q.expected, o.expected, sizeof(q.expected));
        if (*device != '/' || !copy(q.device, sizeof(q.device), device) || !copy(q.name, sizeof(q.name), name) ||
            !copy(q.key, sizeof(q.key), key) || !copy(q.accept_unsafe, sizeof(q.accept_unsafe), o.accept_unsafe))
                return reply_error(message, EXIT_CODE_USAGE, "Device, name or key is too long, or the device is no path");
        if (config_find_scratch(m->config, name))
                return reply_error(message, EXIT_CODE_POLICY, "%s is the name of a scratch disk (cmkd.conf)", name);
        if (!breaker_is_ready(m->breaker))
                return reply_error(message, EXIT_CODE_FAILED, "%s: cmkd-breaker does not run: nobody would hold the volume's "
                                   "deadline. See \"systemctl status cmkd-breaker\"", name);
        get_requester(message, &who);
        return started(message, encrypt_start(m, &q, &who, reply_made, sd_bus_message_ref(message)));
}

/* A device, or a volume of the list. Returns 0, or what the handler returns: the reply has been sent. */
static int method_enroll(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct enroll_request q = {};
        const char *what, *key;
        struct manager *m = user;
        struct requester who;
        struct options o;
        int r;

        r = sd_bus_message_read(message, "ss", &what, &key);
        if (!begin(m, message, r, &o, &r))
                return r;
        q.remove = o.remove;
        q.store = o.store;
        memcpy(q.expected, o.expected, sizeof(q.expected));
        r = bus_check_what(m, message, what);
        if (r != 0)
                return r;
        if (!copy(q.what, sizeof(q.what), what) || !copy(q.key, sizeof(q.key), key) ||
            !copy(q.accept_unsafe, sizeof(q.accept_unsafe), o.accept_unsafe))
                return reply_error(message, EXIT_CODE_USAGE, "The device or the key is too long");
        get_requester(message, &who);
        return started(message, enroll_start(m, &q, &who, on_changed, sd_bus_message_ref(message)));
}

static int method_rotate(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct rotate_request q = {};
        const char *what, *key;
        struct manager *m = user;
        struct requester who;
        struct options o;
        int r;

        r = sd_bus_message_read(message, "ss", &what, &key);
        if (!begin(m, message, r, &o, &r))
                return r;
        r = bus_check_what(m, message, what);
        if (r != 0)
                return r;
        q.finish = o.finish;
        q.store = o.store;
        memcpy(q.expected, o.expected, sizeof(q.expected));
        if (!copy(q.what, sizeof(q.what), what) || !copy(q.key, sizeof(q.key), key) ||
            !copy(q.version, sizeof(q.version), o.version) || !copy(q.accept_unsafe, sizeof(q.accept_unsafe), o.accept_unsafe))
                return reply_error(message, EXIT_CODE_USAGE, "The device, the key or its version is too long");
        get_requester(message, &who);
        return started(message, rotate_start(m, &q, &who, on_rotated, sd_bus_message_ref(message)));
}

static int method_attach(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct requester who;
        struct manager *m = user;
        struct options o;
        const char *what, *why;
        struct volume *v;
        int r;

        r = sd_bus_message_read(message, "s", &what);
        if (!begin(m, message, r, &o, &r))
                return r;
        if (*what != '/' && !volume_name_is_valid(what))
                return reply_error(message, EXIT_CODE_USAGE, "%s is no device, UUID or name of a volume", what);
        if (*what != '/' && !trust_find_name(m->trust, what) && !trust_find_uuid(m->trust, what))
                return reply_error(message, EXIT_CODE_POLICY, "There is no volume %s on this node's list; see \"cmkctl trust list\"", what);
        v = find(m, what);
        if (v && v->state == VOLUME_RECOVERY) {
                if (v->owner)
                        return reply_error(message, EXIT_CODE_BUSY, "%s: the vault is being asked for it already", v->name);
                get_requester(message, &who);
                return started(message, claim_start(v, &who, on_attached, sd_bus_message_ref(message)));
        }
        if (v && !volume_is_attaching(v)) {
                r = volume_may_attach(v, &why);
                if (r == -EALREADY) {
                        struct outcome done = { .volume = v };

                        on_attached(&done, sd_bus_message_ref(message));
                        return 1;
                }
                if (r < 0)
                        return reply_error(message, EXIT_CODE_BUSY, "%s: %s", v->name, why);
        }
        if (!breaker_is_ready(m->breaker))
                return reply_error(message, EXIT_CODE_FAILED, "%s: cmkd-breaker does not run: nobody would hold the volume's "
                                   "deadline. See \"systemctl status cmkd-breaker\"", what);
        get_requester(message, &who);
        r = attach_start(m, what, (o.read_only ? ATTACH_READ_ONLY : 0) | (o.automatic ? ATTACH_AUTOMATIC : 0), &who,
                         on_attached, sd_bus_message_ref(message));
        return started(message, r);
}

/* There was nothing to do: false, or no steps; where there is nothing to be told either (NULL) that is what is said. */
static int reply_unchanged(sd_bus_message *message, const char *signature) {
        if (!signature)
                return reply_error(message, EXIT_CODE_FAILED, "It is not open: there is nothing to cut");
        return *signature == 'b' ? sd_bus_reply_method_return(message, "b", false)
                                 : sd_bus_reply_method_return(message, signature, 0);
}

typedef int (*volume_may)(const struct volume *v, const char **ret_why);

/* What detach, hold, resume and cut begin with: the volume, and whether the verb may start. Returns NULL when the reply
 * has been sent already (*ret is what the handler returns). */
static struct volume *volume_for_verb(struct manager *m, sd_bus_message *message, volume_may may, const char *signature,
                                      int *ret) {
        const char *name, *why;
        struct volume *v;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0) {
                *ret = r;
                return NULL;
        }
        if (!ready(m, message, ret))
                return NULL;
        v = find(m, name);
        if (!v && (trust_find_name(m->trust, name) || trust_find_uuid(m->trust, name))) {
                *ret = reply_unchanged(message, signature);
                return NULL;
        }
        if (!v && config_find_scratch(m->config, name)) {
                *ret = reply_error(message, EXIT_CODE_POLICY, "%s is a scratch disk: its key is nobody's, so that there is no owner to "
                                   "obey and no key to give back. \"cmkctl scratch remove %s\" ends it", name, name);
                return NULL;
        }
        if (!v) {
                *ret = reply_error(message, EXIT_CODE_FAILED, "There is no volume %s open on this node", name);
                return NULL;
        }
        r = may(v, &why);
        if (r == -EALREADY)
                *ret = reply_unchanged(message, signature);
        else if (r < 0)
                *ret = reply_error(message, r == -EBUSY ? EXIT_CODE_BUSY : EXIT_CODE_FAILED, "%s: %s", v->name, why);
        return r < 0 ? NULL : v;
}

static int method_detach(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct manager *m = user;
        struct requester who;
        struct options o;
        int r = 0;
        struct volume *v = volume_for_verb(m, message, volume_may_detach, "b", &r);

        if (!v)
                return r;
        r = read_options(message, &o);
        if (r < 0)
                return reply_error(message, EXIT_CODE_USAGE, "Options are not valid: %s", strerror(-r));
        get_requester(message, &who);
        return started(message, detach_start(m, v, &who, on_changed, sd_bus_message_ref(message)));
}

static int method_hold(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct manager *m = user;
        struct requester who;
        int r = 0;
        struct volume *v = volume_for_verb(m, message, volume_may_hold, "b", &r);

        if (!v)
                return r;
        if (v->hold_not_possible)
                return reply_error(message, EXIT_CODE_POLICY, "%s: hold: not possible (%s)", v->name, v->hold_not_possible);
        get_requester(message, &who);
        v->cause = CAUSE_OPERATOR;
        return started(message, hold_start(v, &who, on_changed, sd_bus_message_ref(message)));
}

static int method_resume(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct manager *m = user;
        struct requester who;
        int r = 0;
        struct volume *v = volume_for_verb(m, message, volume_may_resume, "b", &r);

        if (!v)
                return r;
        get_requester(message, &who);
        return started(message, resume_start(v, &who, on_changed, sd_bus_message_ref(message)));
}

static int reply_steps(sd_bus_message *message, const struct volume *v, const struct plan *p) {
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sts)");
        for (size_t i = 0; r >= 0 && i < p->n_steps; i++)
                r = sd_bus_message_append(reply, "(sts)", disk_op_to_string(p->steps[i].op), p->steps[i].budget_usec,
                                          strempty(teardown_result(v, i)));
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_send(reply);
        sd_bus_message_unref(reply);
        return r;
}

static void on_cut(struct volume *v, void *user) {
        sd_bus_message *message = user;

        if (v->state == VOLUME_LINGERING)
                reply_error(message, EXIT_CODE_BUSY, "%s: %s, but not everything could be cleaned; it is tried again every "
                            "15 s. See \"cmkctl status\" and the trail", v->name, v->lease.cut_done ? "cut" : "NOT CUT");
        else
                reply_steps(message, v, teardown_plan(v));
        sd_bus_message_unref(message);
}

static int method_cut(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct manager *m = user;
        struct options o;
        const char *why = NULL;
        enum action a;
        int r = 0;
        struct volume *v = volume_for_verb(m, message, volume_may_cut, "a(sts)", &r);

        if (!v)
                return r;
        r = read_options(message, &o);
        if (r < 0)
                return reply_error(message, EXIT_CODE_USAGE, "Options are not valid: %s", strerror(-r));
        a = policy_effective_action(&v->policy, ACTION_CUT, v->lease.hold_possible, &why);
        r = teardown_start(v, a, CAUSE_OPERATOR, why);
        if (r < 0)
                return reply_error(message, EXIT_CODE_FAILED, "%s: the cut could not be started: %s", v->name, strerror(-r));
        teardown_notify(v, on_cut, sd_bus_message_ref(message));
        return 1;
}

static int method_cut_plan(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        int r = 0;
        struct volume *v = volume_for_verb(user, message, volume_may_cut, NULL, &r);

        if (!v)
                return r;
        r = bus_plan_start(v, message);
        return r < 0 ? reply_error(message, EXIT_CODE_FAILED, "%s: no plan: %s", v->name, strerror(-r)) : 1;
}

static int method_reload(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        _cleanup_(freep) char *why = NULL;
        struct manager *m = user;
        struct requester who;
        int r;

        if (!ready(m, message, &r))
                return r;
        get_requester(message, &who);
        r = manager_reload(m, who.text, &why);
        if (r < 0)
                return reply_error(message, EXIT_CODE_FAILED, "%s; the configuration in force is the old one",
                                   why ? why : strerror(-r));
        return sd_bus_reply_method_return(message, NULL);
}

static int method_list_trust(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct manager *m = user;
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssstss)");
        for (size_t i = 0; r >= 0 && i < m->trust->n_entries; i++) {
                const struct trust_entry *t = m->trust->entries + i;
                char key[VOLUME_KEYS_MAX * (KEY_URI_MAX + 1)];
                size_t n = 0;

                if (t->pending && trust_find_uuid(m->trust, t->image))
                        continue;
                for (unsigned k = 0; k < t->n_keys; k++) {
                        if (k > 0)
                                key[n++] = ' ';
                        key_uri_format(&t->keys[k].key, key + n, KEY_URI_MAX);
                        n += strlen(key + n);
                }
                r = sd_bus_message_append(reply, "(sssstss)", t->uuid, t->name, role_to_string(t->role), key,
                                          t->keys[0].generation, t->drill ? "drill" : *t->list ? t->list : "node", t->serial);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_send(reply);
        sd_bus_message_unref(reply);
        return r;
}

static int method_trust_remove(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct manager *m = user;
        const struct trust_entry *t;
        const struct volume *v;
        const char *name;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        t = trust_find_name(m->trust, name);
        if (!t)
                t = trust_find_uuid(m->trust, name);
        if (!t)
                return reply_error(message, EXIT_CODE_FAILED, "%s is not on this node's list", name);
        if (*t->list)
                return reply_error(message, EXIT_CODE_POLICY, "%s is on the signed list " TRUST_SIGNED_DIRECTORY "/%s: its owner "
                                   "takes it off there", name, t->list);
        if (t->drill)
                return reply_error(message, EXIT_CODE_POLICY, "%s is the volume of a drill, and goes with it", name);
        v = manager_volume_by_uuid(m, t->uuid);
        if (v && (volume_is_open(v) || volume_is_in_transit(v)))
                return reply_error(message, EXIT_CODE_BUSY, "%s is attached, or about to be: detach it first", v->name);
        r = trust_places_remove(t->uuid);
        if (r >= 0)
                r = manager_reload_trust(m);
        if (r < 0)
                return reply_error(message, EXIT_CODE_FAILED, "%s could not be taken off the list: %s", name, strerror(-r));
        return sd_bus_reply_method_return(message, NULL);
}

const sd_bus_vtable bus_manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("Format", "ssssa{sv}",
                                 SD_BUS_PARAM(device) SD_BUS_PARAM(name) SD_BUS_PARAM(role) SD_BUS_PARAM(key) SD_BUS_PARAM(options),
                                 "sb", SD_BUS_PARAM(uuid) SD_BUS_PARAM(changed), method_format, 0),
        SD_BUS_METHOD_WITH_NAMES("TakeOver", "sssshba{sv}",
                                 SD_BUS_PARAM(device) SD_BUS_PARAM(name) SD_BUS_PARAM(role) SD_BUS_PARAM(key) SD_BUS_PARAM(passphrase)
                                 SD_BUS_PARAM(convert) SD_BUS_PARAM(options),
                                 "sbsb", SD_BUS_PARAM(uuid) SD_BUS_PARAM(changed) SD_BUS_PARAM(backup) SD_BUS_PARAM(adopted), method_take_over, 0),
        SD_BUS_METHOD_WITH_NAMES("KeyslotsRemove", "s", SD_BUS_PARAM(what),
                                 "sb", SD_BUS_PARAM(name) SD_BUS_PARAM(changed), bus_method_keyslots_remove, 0),
        SD_BUS_METHOD_WITH_NAMES("Encrypt", "ssssa{sv}",
                                 SD_BUS_PARAM(device) SD_BUS_PARAM(name) SD_BUS_PARAM(role) SD_BUS_PARAM(key) SD_BUS_PARAM(options),
                                 "sb", SD_BUS_PARAM(uuid) SD_BUS_PARAM(changed), method_encrypt, 0),
        SD_BUS_METHOD_WITH_NAMES("Reencrypt", "sh", SD_BUS_PARAM(what) SD_BUS_PARAM(keyslots),
                                 "sb", SD_BUS_PARAM(uuid) SD_BUS_PARAM(changed), bus_method_reencrypt, 0),
        SD_BUS_METHOD_WITH_NAMES("Personalize", "ssba{sv}", SD_BUS_PARAM(what) SD_BUS_PARAM(image) SD_BUS_PARAM(drop) SD_BUS_PARAM(options),
                                 "sbs", SD_BUS_PARAM(uuid) SD_BUS_PARAM(changed) SD_BUS_PARAM(waits), bus_method_personalize, 0),
        SD_BUS_METHOD_WITH_NAMES("Enroll", "ssa{sv}", SD_BUS_PARAM(what) SD_BUS_PARAM(key) SD_BUS_PARAM(options),
                                 "b", SD_BUS_PARAM(changed), method_enroll, 0),
        SD_BUS_METHOD_WITH_NAMES("Rotate", "ssa{sv}", SD_BUS_PARAM(what) SD_BUS_PARAM(key) SD_BUS_PARAM(options),
                                 "bss", SD_BUS_PARAM(changed) SD_BUS_PARAM(key) SD_BUS_PARAM(kept), method_rotate, 0),
        SD_BUS_METHOD_WITH_NAMES("Attach", "sa{sv}", SD_BUS_PARAM(what) SD_BUS_PARAM(options),
                                 "ssb", SD_BUS_PARAM(name) SD_BUS_PARAM(node) SD_BUS_PARAM(changed), method_attach, 0),
        SD_BUS_METHOD_WITH_NAMES("Release", "ssa{sv}", SD_BUS_PARAM(device) SD_BUS_PARAM(what) SD_BUS_PARAM(options),
                                 "h", SD_BUS_PARAM(key), bus_method_release, 0),
        SD_BUS_METHOD_WITH_NAMES("RecoveryKeyAdd", "s", SD_BUS_PARAM(what),
                                 "sh", SD_BUS_PARAM(name) SD_BUS_PARAM(key), bus_method_recovery_key_add, 0),
        SD_BUS_METHOD_WITH_NAMES("RecoveryKeyEscrow", "ssa{sv}", SD_BUS_PARAM(what) SD_BUS_PARAM(key) SD_BUS_PARAM(options),
                                 "s", SD_BUS_PARAM(name), bus_method_recovery_key_escrow, 0),
        SD_BUS_METHOD_WITH_NAMES("RecoveryKeyRemove", "s", SD_BUS_PARAM(what),
                                 "sb", SD_BUS_PARAM(name) SD_BUS_PARAM(changed), bus_method_recovery_key_remove, 0),
        SD_BUS_METHOD_WITH_NAMES("RecoveryKeyRotate", "sh", SD_BUS_PARAM(what) SD_BUS_PARAM(peer),
                                 "s", SD_BUS_PARAM(name), bus_method_recovery_key_rotate, 0),
        SD_BUS_METHOD_WITH_NAMES("RecoveryKeyTest", "sh", SD_BUS_PARAM(what) SD_BUS_PARAM(key),
                                 "s", SD_BUS_PARAM(name), bus_method_recovery_key_test, 0),
        SD_BUS_METHOD_WITH_NAMES("HeaderBackup", "sh", SD_BUS_PARAM(what) SD_BUS_PARAM(file),
                                 "s", SD_BUS_PARAM(name), bus_method_header_backup, 0),
        SD_BUS_METHOD_WITH_NAMES("HeaderAccept", "sb", SD_BUS_PARAM(what) SD_BUS_PARAM(look),
                                 "sbs", SD_BUS_PARAM(name) SD_BUS_PARAM(changed) SD_BUS_PARAM(text), bus_method_header_accept, 0),
        SD_BUS_METHOD_WITH_NAMES("HeaderRestore", "shbb",
                                 SD_BUS_PARAM(what) SD_BUS_PARAM(file) SD_BUS_PARAM(older) SD_BUS_PARAM(wipe),
                                 "sb", SD_BUS_PARAM(name) SD_BUS_PARAM(changed), bus_method_header_restore, 0),
        SD_BUS_METHOD_WITH_NAMES("KeyUsage", "s", SD_BUS_PARAM(key), "a(sssssttss)", SD_BUS_PARAM(needs), bus_method_key_usage, 0),
        SD_BUS_METHOD_WITH_NAMES("PinnedKeys", "s", SD_BUS_PARAM(key), "a(ssssst)", SD_BUS_PARAM(pins), bus_method_pinned_keys, 0),
        SD_BUS_METHOD_WITH_NAMES("ScratchCreate", "sa{sv}", SD_BUS_PARAM(name) SD_BUS_PARAM(options), "ssb",
                                 SD_BUS_PARAM(node) SD_BUS_PARAM(file_system) SD_BUS_PARAM(changed), bus_method_scratch_create, 0),
        SD_BUS_METHOD_WITH_NAMES("ScratchRenew", "sa{sv}", SD_BUS_PARAM(name) SD_BUS_PARAM(options), "ssb",
                                 SD_BUS_PARAM(node) SD_BUS_PARAM(file_system) SD_BUS_PARAM(changed), bus_method_scratch_renew, 0),
        SD_BUS_METHOD_WITH_NAMES("ScratchRemove", "sa{sv}", SD_BUS_PARAM(name) SD_BUS_PARAM(options),
                                 "b", SD_BUS_PARAM(changed), bus_method_scratch_remove, 0),
        SD_BUS_METHOD_WITH_NAMES("ListScratch", NULL,, "a(ssssst)", SD_BUS_PARAM(disks), bus_method_list_scratch, 0),
        SD_BUS_METHOD_WITH_NAMES("Detach", "sa{sv}", SD_BUS_PARAM(name) SD_BUS_PARAM(options),
                                 "b", SD_BUS_PARAM(changed), method_detach, 0),
        SD_BUS_METHOD_WITH_NAMES("Hold", "s", SD_BUS_PARAM(name), "b", SD_BUS_PARAM(changed), method_hold, 0),
        SD_BUS_METHOD_WITH_NAMES("Resume", "s", SD_BUS_PARAM(name), "b", SD_BUS_PARAM(changed), method_resume, 0),
        SD_BUS_METHOD_WITH_NAMES("Cut", "sa{sv}", SD_BUS_PARAM(name) SD_BUS_PARAM(options),
                                 "a(sts)", SD_BUS_PARAM(steps), method_cut, 0),
        SD_BUS_METHOD_WITH_NAMES("CutPlan", "s", SD_BUS_PARAM(name),
                                 "sa(stts)a(sssuss)a(st)as", SD_BUS_PARAM(action) SD_BUS_PARAM(steps) SD_BUS_PARAM(takes)
                                 SD_BUS_PARAM(totals) SD_BUS_PARAM(notes), method_cut_plan, 0),
        SD_BUS_METHOD_WITH_NAMES("Pause", "st", SD_BUS_PARAM(name) SD_BUS_PARAM(until_realtime_usec),
                                 "a(st)", SD_BUS_PARAM(paused), bus_method_pause, 0),
        SD_BUS_METHOD_WITH_NAMES("PauseEnd", "s", SD_BUS_PARAM(name), "as", SD_BUS_PARAM(ended), bus_method_pause_end, 0),
        SD_BUS_METHOD_WITH_NAMES("DrillBegin", "hh", SD_BUS_PARAM(loop) SD_BUS_PARAM(file),
                                 "ss", SD_BUS_PARAM(id) SD_BUS_PARAM(name), bus_method_drill_begin, 0),
        SD_BUS_METHOD_WITH_NAMES("DrillEnd", "sbsa{st}",
                                 SD_BUS_PARAM(id) SD_BUS_PARAM(passed) SD_BUS_PARAM(why) SD_BUS_PARAM(measures),
                                 NULL,, bus_method_drill_end, 0),
        SD_BUS_METHOD("Reload", NULL, NULL, method_reload, 0),
        SD_BUS_METHOD_WITH_NAMES("ListTrust", NULL,, "a(sssstss)", SD_BUS_PARAM(entries), method_list_trust, 0),
        SD_BUS_METHOD_WITH_NAMES("TrustRemove", "s", SD_BUS_PARAM(name), NULL,, method_trust_remove, 0),
        SD_BUS_SIGNAL_WITH_NAMES("VolumeChanged", "ss", SD_BUS_PARAM(name) SD_BUS_PARAM(state), 0),
        SD_BUS_PROPERTY("Version", "s", bus_get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("AuditState", "s", bus_get_link, 0, 0),
        SD_BUS_PROPERTY("WorkerState", "s", bus_get_link, 0, 0),
        SD_BUS_PROPERTY("BreakerState", "s", bus_get_link, 0, 0),
        SD_BUS_PROPERTY("TrustProblems", "as", bus_get_trust_problems, 0, 0),
        SD_BUS_PROPERTY("InitOnFree", "b", bus_get_init_on_free, 0, 0),
        SD_BUS_PROPERTY("SecretMemory", "s", bus_get_secret_memory, 0, 0),
        SD_BUS_PROPERTY("Counters", "a{st}", bus_get_counters, 0, 0),
        SD_BUS_VTABLE_END
};
