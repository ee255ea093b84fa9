/* SPDX-License-Identifier: Apache-2.0 */
#include "bus-call.h"

#include "common/link.h"
#include "manager.h"

int reply_error(sd_bus_message *m, enum exit_code code, const char *format, ...) {
        char text[1200];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        return sd_bus_reply_method_errorf(m, exit_code_to_bus_error(code), "%s", text);
}

int started(sd_bus_message *m, int r) {
        if (r >= 0)
                return 1;
        sd_bus_message_unref(m);
        return reply_error(m, EXIT_CODE_FAILED, "The operation could not be started: %s", strerror(-r));
}

void get_ids(sd_bus_message *m, uid_t *uid, pid_t *pid) {
        sd_bus_creds *creds = NULL;
        int fd;

        if (!sd_bus_message_get_sender(m)) {
                fd = sd_bus_get_fd(sd_bus_message_get_bus(m));
                if (fd >= 0)
                        (void) link_peer(fd, uid, pid);
                return;
        }
        if (sd_bus_query_sender_creds(m, SD_BUS_CREDS_PID|SD_BUS_CREDS_EUID, &creds) >= 0) {
                (void) sd_bus_creds_get_euid(creds, uid);
                (void) sd_bus_creds_get_pid(creds, pid);
        }
        sd_bus_creds_unref(creds);
}

bool is_private_root(sd_bus_message *m) {
        uid_t uid = (uid_t) -1;
        pid_t pid = 0;

        get_ids(m, &uid, &pid);
        return !sd_bus_message_get_sender(m) && uid == 0;
}

void get_requester(sd_bus_message *m, struct requester *ret) {
        uid_t uid = (uid_t) -1;
        pid_t pid = 0;

        get_ids(m, &uid, &pid);
        requester_describe(uid, pid, ret);
}

static bool *find_flag(struct options *o, const char *key) {
        return streq(key, "wipe")        ? &o->wipe
               : streq(key, "read-only") ? &o->read_only
               : streq(key, "automatic") ? &o->automatic
               : streq(key, "remove")    ? &o->remove
               : streq(key, "finish")    ? &o->finish
                                         : NULL;
}

static int read_store(sd_bus_message *m, enum store *ret) {
        const char *store;
        int r;

        r = sd_bus_message_read(m, "v", "s", &store);
        if (r < 0)
                return r;
        *ret = streq(store, "token") ? STORE_TOKEN : streq(store, "vault") ? STORE_VAULT : STORE_NOT_SAID;
        return *ret == STORE_NOT_SAID ? -EINVAL : r;
}

static int read_expected(sd_bus_message *m, char ret[static KEY_DIGEST_SIZE]) {
        const char *text;
        int r = sd_bus_message_read(m, "v", "s", &text);

        return r < 0 ? r : key_digest_parse(text, ret);
}

int read_options(sd_bus_message *m, struct options *ret) {
        struct options o = { .accept_unsafe = "", .version = "", .token = UINT32_MAX };
        const char *key;
        int r, v;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r < 0)
                        return r;
                if (streq(key, "accept-unsafe-vault"))
                        r = sd_bus_message_read(m, "v", "s", &o.accept_unsafe);
                else if (streq(key, "version"))
                        r = sd_bus_message_read(m, "v", "s", &o.version);
                else if (streq(key, "expect-public-key"))
                        r = read_expected(m, o.expected);
                else if (streq(key, "store"))
                        r = read_store(m, &o.store);
                else if (streq(key, "token"))
                        r = sd_bus_message_read(m, "v", "u", &o.token);
                else {
                        bool *flag = find_flag(&o, key);

                        if (!flag)
                                return -EINVAL;
                        r = sd_bus_message_read(m, "v", "b", &v);
                        if (r >= 0)
                                *flag = v;
                }
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                *ret = o;
        return r;
}

bool ready(struct manager *m, sd_bus_message *message, int *ret) {
        if (m->adopted)
                return true;
        *ret = sd_bus_reply_method_errorf(message, BUS_ERROR_NOT_READY, "cmkd is still taking over what is open (or waits "
                                          "for cmkd-breaker); try again");
        return false;
}

bool begin(struct manager *m, sd_bus_message *message, int r, struct options *ret_options, int *ret) {
        if (r >= 0)
                r = read_options(message, ret_options);
        if (r >= 0)
                return ready(m, message, ret);
        *ret = reply_error(message, EXIT_CODE_USAGE, "Arguments or options are not valid: %s", strerror(-r));
        return false;
}

int bus_check_what(const struct manager *m, sd_bus_message *message, const char *what) {
        if (*what == '/')
                return 0;
        if (!volume_name_is_valid(what))
                return reply_error(message, EXIT_CODE_USAGE, "%.300s is no device, UUID or name of a volume", what);
        if (!trust_find_name(m->trust, what) && !trust_find_uuid(m->trust, what))
                return reply_error(message, EXIT_CODE_POLICY, "There is no volume %s on this node's list; see \"cmkctl trust list\"", what);
        return 0;
}

void reply_made(const struct outcome *o, void *user) {
        sd_bus_message *m = user;

        if (o->code != EXIT_CODE_DONE)
                reply_error(m, o->code, "%s", o->message);
        else
                sd_bus_reply_method_return(m, "sb", o->uuid, o->changed);
        sd_bus_message_unref(m);
}

struct volume *find(struct manager *m, const char *name) {
        struct volume *v = manager_volume_by_name(m, name);

        return v ? v : manager_volume_by_uuid(m, name);
}
