/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy.h"

#include "privacy-forms.h"
#include "common/base64.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_SIZE 32u
#define NAMES_MAX 16u
#define OWN_NAME_MAX 256u

struct privacy {
        struct secret *key;
        EVP_MAC *mac;
        EVP_MAC_CTX *ctx;                  /* has the key between arm() and disarm() only */
        char id[PRIVACY_ID_SIZE];
        bool knows_place;                  /* which mount namespace paths are of: */
        char mnt_ns[32];
        bool is_elsewhere;                 /* the record at hand is of another one */
        size_t n_names;                    /* of the record at hand: */
        char names[NAMES_MAX][OWN_NAME_MAX];
        struct audit_message_record scratch;
};

/* Every field of cmkd-audit(5), and what is done to its value. */
static const struct { const char *name; void (*form)(struct form *, const char *); } fields[] = {
        { "volume", form_name }, { "mapping", form_name }, { "claimed_name", form_name }, { "new_name", form_name },
        { "vault", form_name }, { "secret", form_name }, { "old_secret", form_name }, { "uuid", form_uuid }, { "image", form_uuid }, { "new_uuid", form_dm_uuid }, { "dm_uuid", form_dm_uuid },
        { "device", form_path }, { "backup", form_path }, { "point", form_path }, { "socket", form_path }, { "dev", form_number },
        { "key", form_key }, { "old_key", form_key }, { "new_key", form_key }, { "answer_of", form_key }, { "key_description", form_description },
        { "use", form_hex }, { "drill", form_hex }, { "ids", form_hex }, { "ids_other", form_hex }, { "request_id", form_hex },
        { "hash", form_hex }, { "epoch", form_hex }, { "previous", form_hex }, { "digest", form_hex }, { "spki_sha256", form_hex }, { "early", form_hex },
        { "privacy_key", form_hex }, { "privacy", form_words },
        { "wrapped", form_base64 }, { "algorithm", form_words }, { "generation", form_number },
        { "verdict", form_words }, { "counted_as", form_words }, { "code", form_words }, { "http_status", form_number },
        { "round_trip_usec", form_number }, { "key_state", form_words },
        { "by", form_by }, { "verb", form_words }, { "trigger", form_words },
        { "action", form_words }, { "cause", form_words }, { "why", form_text }, { "reason", form_words }, { "condition", form_words },
        { "state", form_words }, { "result", form_words }, { "detail", form_text }, { "step", form_words }, { "problem", form_text },
        { "what", form_text }, { "error", form_words }, { "exit_code", form_number }, { "accept_unsafe_vault", form_text },
        { "message", form_text }, { "floors", form_text }, { "ignored", form_text },
        { "elapsed_usec", form_number }, { "count", form_number }, { "span_usec", form_number }, { "first", form_number },
        { "last", form_number }, { "records", form_number }, { "bytes", form_number }, { "seconds", form_number },
        { "until", form_number }, { "until_boottime_usec", form_number }, { "tripped_boottime_usec", form_number },
        { "expires", form_number }, { "units", form_units }, { "left", form_units }, { "volumes_listed", form_number },
        { "pid", form_number }, { "tid", form_number }, { "ppid", form_number }, { "uid", form_uid }, { "loginuid", form_uid },
        { "session", form_number }, { "parent", form_comm }, { "comm", form_comm }, { "exe", form_exe }, { "exe_from", form_words },
        { "cgroup", form_cgroup }, { "cgroup_id", form_number }, { "pid_ns", form_number }, { "mnt_ns", form_number },
        { "user_ns", form_number }, { "target", form_words }, { "flags", form_words }, { "mode", form_words },
        { "key_size", form_number }, { "key_serial", form_number }, { "need", form_words }, { "to", form_process },
        { "signal", form_number }, { "pin", form_ours }, { "map", form_ours }, { "program", form_ours }, { "module", form_ours },
        { "foreign", form_words }, { "address", form_metadata }, { "port", form_number }, { "allowed", form_words },
        { "refused", form_words }, { "own", form_words }, { "ring", form_ring }, { "covered", form_number },
        { "missing", form_number }, { "loaded", form_words }, { "pins", form_number }, { "detached", form_words },
        { "skipped", form_number }, { "clean", form_number }, { "confirm_within", form_number }, { "place", form_ours }, { "file", form_ours },
        { "verified", form_words }, { "role", form_words }, { "read_bytes", form_number }, { "written_bytes", form_number }, { "reads", form_number },
        { "writes", form_number }, { "anchor_tag", form_hex },
};

/* ---- the key ---- */

static bool arm(struct privacy *p) {
        return EVP_MAC_init(p->ctx, secret_cdata(p->key), secret_size(p->key), NULL) > 0;
}

/* The context forgets the key for another. */
static void disarm(struct privacy *p) {
        static const uint8_t zero[HASH_SIZE];

        (void) EVP_MAC_init(p->ctx, zero, sizeof(zero), NULL);
}

/* What it is for is part of what is hashed, so that no two uses give the same. */
static bool hash(struct privacy *p, const char *use, const char *s, size_t n, uint8_t ret[static HASH_SIZE]) {
        size_t size = 0;

        return EVP_MAC_init(p->ctx, NULL, 0, NULL) > 0 && EVP_MAC_update(p->ctx, (const uint8_t *) use, strlen(use) + 1) > 0 &&
               EVP_MAC_update(p->ctx, (const uint8_t *) s, n) > 0 && EVP_MAC_final(p->ctx, ret, &size, HASH_SIZE) > 0 &&
               size == HASH_SIZE;
}

static bool word_of(void *user, const char *s, size_t n, char ret[static PRIVACY_WORD_SIZE]) {
        uint8_t h[HASH_SIZE];

        if (!hash(user, "cmkd name v1", s, n, h))
                return false;
        ret[0] = '~';
        hex_encode(h, 8, ret + 1);
        return true;
}

/* Version 8 of RFC 9562: no file system or cryptsetup makes one. */
static bool uuid_of(void *user, const char *s, char ret[static 37]) {
        uint8_t h[HASH_SIZE];
        char hex[33];

        if (!hash(user, "cmkd uuid v1", s, strlen(s), h))
                return false;
        h[6] = (h[6] & 0x0f) | 0x80;
        h[8] = (h[8] & 0x3f) | 0x80;
        hex_encode(h, 16, hex);
        snprintf(ret, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
        return true;
}

int privacy_new(struct secret *key, struct privacy **ret) {
        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *) "SHA256", 0), OSSL_PARAM_construct_end(),
        };
        _cleanup_(privacy_freep) struct privacy *p = calloc(1, sizeof(*p));
        uint8_t h[HASH_SIZE];
        bool good;

        if (!p) {
                secret_free(key);
                return -ENOMEM;
        }
        p->key = key;
        p->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        p->ctx = p->mac ? EVP_MAC_CTX_new(p->mac) : NULL;
        if (!p->ctx)
                return -ENOMEM;
        good = EVP_MAC_CTX_set_params(p->ctx, params) > 0 && arm(p) && hash(p, "cmkd privacy id v1", "", 0, h);
        disarm(p);
        if (!good)
                return -EIO;
        hex_encode(h, 8, p->id);
        *ret = TAKE_PTR(p);
        return 0;
}

struct privacy *privacy_free(struct privacy *p) {
        if (!p)
                return NULL;
        EVP_MAC_CTX_free(p->ctx);
        EVP_MAC_free(p->mac);
        secret_free(p->key);
        free(p);
        return NULL;
}

int privacy_load(const char *path, struct privacy **ret) {
        _cleanup_(closep) int fd = open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY|O_NONBLOCK);
        struct secret *key;
        struct stat st;
        int r;

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size < (off_t) PRIVACY_KEY_MIN || st.st_size > (off_t) SECRET_MAX)
                return -EINVAL;
        if ((st.st_mode & 077) != 0 || (st.st_uid != 0 && st.st_uid != geteuid()))
                return -EPERM;
        r = secret_read(fd, (size_t) st.st_size, &key);
        return r < 0 ? r : privacy_new(key, ret);
}

void privacy_set_place(struct privacy *p, uint64_t mnt_ns) {
        p->knows_place = true;
        snprintf(p->mnt_ns, sizeof(p->mnt_ns), "%llu", (unsigned long long) mnt_ns);
}

const char *privacy_id(const struct privacy *p) { return p->id; }

/* ---- records ---- */

static bool is_name(void *user, const char *s, size_t n) {
        const struct privacy *p = user;

        for (size_t i = 0; i < p->n_names; i++)
                if (strlen(p->names[i]) == n && strncasecmp(p->names[i], s, n) == 0)
                        return true;
        return false;
}

static void note(struct privacy *p, const char *s, size_t n) {
        if (n > 0 && n < OWN_NAME_MAX && p->n_names < NAMES_MAX)
                snprintf(p->names[p->n_names++], OWN_NAME_MAX, "%.*s", (int) n, s);
}

/* The names that the record has as such: a word in its texts is one too, even where it is an ordinary one. */
static void note_names(struct privacy *p, const struct audit_message_record *m) {
        static const char *const names[] = { "volume", "mapping", "claimed_name", "new_name", "vault" };

        p->n_names = 0;
        for (size_t i = 0; i < m->n_fields; i++) {
                const char *name = m->fields[i].name, *value = m->fields[i].value, *part;

                for (size_t k = 0; k < ELEMENTSOF(names); k++)
                        if (streq(name, names[k]))
                                note(p, value, strlen(value));
                part = streq(name, "key") ? startswith(value, "https://") : NULL;
                if (part)
                        note(p, part, strcspn(part, ":/"));
                part = part ? strstr(part, "/keys/") : NULL;
                if (part)
                        note(p, part + 6, strcspn(part + 6, "/"));
        }
}

/* A field that is not in the table is a text. */
static bool put_value(struct privacy *p, const char *field, const char *value, const char *exe, char *buf, size_t size) {
        struct form f = { .buf = buf, .size = size, .user = p, .word = word_of, .uuid = uuid_of, .is_name = is_name, .exe = exe,
                          .is_elsewhere = p->is_elsewhere };
        void (*form)(struct form *, const char *) = form_text;

        buf[0] = 0;
        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                if (*fields[i].name == *field && streq(fields[i].name, field)) {
                        form = fields[i].form;
                        break;
                }
        form(&f, value);
        return !f.has_failed;
}

int privacy_record(struct privacy *p, struct audit_message_record *m) {
        struct audit_message_record *out = &p->scratch;
        const char *exe = NULL, *mnt_ns = "";
        bool good = arm(p);

        note_names(p, m);
        for (size_t i = 0; i < m->n_fields; i++)
                if (streq(m->fields[i].name, "exe"))
                        exe = m->fields[i].value;
                else if (streq(m->fields[i].name, "mnt_ns"))
                        mnt_ns = m->fields[i].value;
        p->is_elsewhere = p->knows_place && !streq(mnt_ns, p->mnt_ns);
        for (size_t i = 0; i < m->n_fields && good; i++)
                good = put_value(p, m->fields[i].name, m->fields[i].value, exe, out->fields[i].value, sizeof(out->fields[i].value));
        disarm(p);
        p->is_elsewhere = false;
        if (!good)
                return -EIO;
        for (size_t i = 0; i < m->n_fields; i++)
                strcpy(m->fields[i].value, out->fields[i].value);
        return 0;
}

int privacy_value(struct privacy *p, const char *field, const char *value, char *buf, size_t size) {
        bool good = arm(p);

        p->n_names = 0;
        good = good && put_value(p, field, value, NULL, buf, size);
        disarm(p);
        return good ? 0 : -EIO;
}

int privacy_word(struct privacy *p, const char *name, char ret[static PRIVACY_WORD_SIZE]) {
        bool good = arm(p) && word_of(p, name, strlen(name), ret);

        disarm(p);
        return good ? 0 : -EIO;
}

const char *privacy_field(size_t i) {
        return i < ELEMENTSOF(fields) ? fields[i].name : NULL;
}
