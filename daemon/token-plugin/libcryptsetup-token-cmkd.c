/* SPDX-License-Identifier: Apache-2.0 */

/* The token plugin of libcryptsetup: "cryptsetup open --token-only", systemd-cryptsetup and plain lines of crypttab open a
 * volume of cmkd with it. A client of the manager's private socket, nothing more.
 *
 *   libcryptsetup ─► cryptsetup_token_open ─► client.h ─► cmkd ... pipe ─► the buffer, locked ─► keyslot
 *                 ─► cryptsetup_token_buffer_free: wiped
 *
 * The buffer that is handed to the caller is a named exception of the rule that keys live in struct secret: it is the
 * caller's from here on. What the token says is checked by the manager; it is looked at here for messages only. */

#include <libcryptsetup.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"
#include "common/retry.h"
#include "disk/token.h"
#include "disk/unlock-key.h"

#define TOKEN_PLUGIN_VERSION "0.1"

_Static_assert(CLIENT_KEY_SIZE == UNLOCK_KEY_SIZE, "what cmkd-disk writes is what is read here");

int cryptsetup_token_open(struct crypt_device *cd, int token, char **ret_buffer, size_t *ret_size, void *user);
int cryptsetup_token_open_pin(struct crypt_device *cd, int token, const char *pin, size_t pin_size, char **ret_buffer,
                              size_t *ret_size, void *user);
void cryptsetup_token_buffer_free(void *buffer, size_t size);
int cryptsetup_token_validate(struct crypt_device *cd, const char *json);
void cryptsetup_token_dump(struct crypt_device *cd, const char *json);
const char *cryptsetup_token_version(void);

static void say(void *user, const char *text) {
        char line[1500];

        snprintf(line, sizeof(line), "%s\n", text);
        crypt_log(user, CRYPT_LOG_ERROR, line);
}

static int parse(struct crypt_device *cd, const char *json, struct token *ret) {
        const char *why = NULL;
        char line[256];
        int r;

        r = token_parse(json, strnlen(json, TOKEN_JSON_MAX + 1), ret, &why);
        if (r >= 0)
                return 0;
        snprintf(line, sizeof(line), "cmkd: the token of %.100s is refused: %s", strempty(crypt_get_device_name(cd)),
                 why ? why : strerror(-r));
        say(cd, line);
        return r == -ENOMEM ? r : -EINVAL;
}

/* Pages of its own: locked, in no core file, empty in a child of the caller's. */
static int buffer_new(char **ret) {
        void *p = mmap(NULL, CLIENT_KEY_SIZE, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                return -ENOMEM;
        if (mlock(p, CLIENT_KEY_SIZE) < 0 || madvise(p, (size_t) sysconf(_SC_PAGESIZE), MADV_DONTDUMP) < 0 ||
            madvise(p, (size_t) sysconf(_SC_PAGESIZE), MADV_WIPEONFORK) < 0) {
                int r = -errno;

                munmap(p, CLIENT_KEY_SIZE);
                return r;
        }
        *ret = p;
        return 0;
}

void cryptsetup_token_buffer_free(void *buffer, size_t size) {
        if (!buffer)
                return;
        explicit_bzero(buffer, size);
        (void) munmap(buffer, size);
}

/* Straight from the pipe into the buffer. */
static int read_key(struct crypt_device *cd, int fd, char **ret_buffer) {
        char *buffer = NULL;
        int r;

        r = buffer_new(&buffer);
        if (r < 0) {
                say(cd, "cmkd: there is no memory that may not be swapped (RLIMIT_MEMLOCK)");
                return r;
        }
        r = read_exact(fd, buffer, CLIENT_KEY_SIZE);
        if (r < 0) {
                cryptsetup_token_buffer_free(buffer, CLIENT_KEY_SIZE);
                say(cd, "cmkd: the key did not arrive");
                return r;
        }
        *ret_buffer = buffer;
        return 0;
}

/* How many tokens of ours there are beside this one, and whether one is still to come. */
static unsigned count_others(struct crypt_device *cd, int token, bool *ret_more) {
        unsigned n = 0;

        *ret_more = false;
        for (int i = 0; i < crypt_token_max(CRYPT_LUKS2); i++) {
                const char *type = NULL;

                if (i == token || crypt_token_status(cd, i, &type) < CRYPT_TOKEN_INTERNAL || !type || !streq(type, TOKEN_TYPE))
                        continue;
                n++;
                *ret_more |= i > token;
        }
        return n;
}

int cryptsetup_token_open(struct crypt_device *cd, int token, char **ret_buffer, size_t *ret_size, void *user) {
        struct client_request q = { .say = say, .user = cd };
        _cleanup_(closep) int fd = -EBADF;
        const char *json, *uuid;
        struct token t;
        bool more;
        int r;

        (void) user;
        /* Debian's cryptsetup scripts run "keyscript | cryptsetup --key-file=-": cryptsetup tries its tokens first, while
         * the keyscript asks for the same key, or a prompt waits for somebody. There the key comes from the pipe. */
        if (secure_getenv("CRYPTTAB_NAME"))
                return -ENOENT;
        r = crypt_token_json_get(cd, token, &json);
        if (r < 0)
                return r;
        r = parse(cd, json, &t);
        if (r < 0)
                return r;
        uuid = crypt_get_uuid(cd);
        if (!uuid || !streq(uuid, t.uuid)) {
                say(cd, "cmkd: this token was made for another volume");
                return -EINVAL;
        }
        q.device = strempty(crypt_get_device_name(cd));
        q.what = uuid;
        q.limit_usec = retry_limit(secure_getenv("CMKD_WAIT_SEC"));
        /* Of several keys this call can use one: the others' turn comes, and the last one is waited for. */
        q.one_token = count_others(cd, token, &more) > 0;
        q.token = (uint32_t) token;
        if (more)
                q.limit_usec = 0;
        r = client_release(&q, &fd);
        if (r >= 0)
                r = read_key(cd, fd, ret_buffer);
        if (r < 0)
                return r;
        *ret_size = CLIENT_KEY_SIZE;
        return 0;
}

/* There is no PIN: the vault says yes or no. */
int cryptsetup_token_open_pin(struct crypt_device *cd, int token, const char *pin, size_t pin_size, char **ret_buffer,
                              size_t *ret_size, void *user) {
        (void) pin;
        (void) pin_size;
        return cryptsetup_token_open(cd, token, ret_buffer, ret_size, user);
}

int cryptsetup_token_validate(struct crypt_device *cd, const char *json) {
        struct token t;

        return parse(cd, json, &t);
}

static void dump_line(struct crypt_device *cd, const char *what, const char *value) {
        char line[700];

        snprintf(line, sizeof(line), "\t%-12s%s\n", what, value);
        crypt_log(cd, CRYPT_LOG_NORMAL, line);
}

/* What is printed was checked to have no control characters. */
void cryptsetup_token_dump(struct crypt_device *cd, const char *json) {
        struct token t;
        char number[32];

        if (parse(cd, json, &t) < 0)
                return;
        dump_line(cd, "Volume:", t.name);
        dump_line(cd, "Role:", role_to_string(t.role));
        dump_line(cd, "Key:", t.key);
        dump_line(cd, "Algorithm:", t.algorithm);
        snprintf(number, sizeof(number), "%llu", (unsigned long long) t.generation);
        dump_line(cd, "Generation:", number);
        dump_line(cd, "Proof:", *t.proof_request_id ? t.proof_request_id : "none");
}

const char *cryptsetup_token_version(void) {
        return TOKEN_PLUGIN_VERSION;
}
