/* SPDX-License-Identifier: Apache-2.0 */
#include "sealed-trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/mman.h>
#include <syslog.h>
#include <unistd.h>

void sealed_trail_new_keys(struct sealed_trail *s) {
        EVP_PKEY *key = EVP_RSA_gen(2048);
        FILE *f;

        assert_non_null(key);
        assert_non_null(f = fopen(s->public, "w"));
        assert_int_equal(PEM_write_PUBKEY(f, key), 1);
        fclose(f);
        assert_non_null(f = fopen(s->private, "w"));
        assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
        fclose(f);
        EVP_PKEY_free(key);
}

void sealed_trail_begin(struct sealed_trail *s) {
        memset(s, 0, sizeof(*s));
        snprintf(s->dir, sizeof(s->dir), "/tmp/test-sealed.XXXXXX");
        assert_non_null(mkdtemp(s->dir));
        snprintf(s->path, sizeof(s->path), "%s/trail.jsonl", s->dir);
        snprintf(s->head, sizeof(s->head), "%s/trail.head", s->dir);
        snprintf(s->public, sizeof(s->public), "%s/public.pem", s->dir);
        snprintf(s->private, sizeof(s->private), "%s/private.pem", s->dir);
        sealed_trail_new_keys(s);
        s->keep_fd = -EBADF;
        sealed_trail_lose_key(s);
        sealed_trail_open(s, true);
}

void sealed_trail_end(struct sealed_trail *s) {
        char command[96];

        sealed_trail_close(s);
        s->keep_fd = safe_close(s->keep_fd);
        snprintf(command, sizeof(command), "rm -r '%s'", s->dir);
        assert_int_equal(system(command), 0);
}

void sealed_trail_close(struct sealed_trail *s) { s->trail = trail_free(s->trail); }

void sealed_trail_lose_key(struct sealed_trail *s) {
        safe_close(s->keep_fd);
        s->keep_fd = memfd_create("keep", MFD_CLOEXEC);
        assert_true(s->keep_fd >= 0);
}

void sealed_trail_open(struct sealed_trail *s, bool sealed) {
        struct seal_public *public = NULL;
        struct sealer *sealer;
        struct keep *keep;
        const char *why;

        if (sealed)
                assert_int_equal(seal_public_load(s->public, &public, &why), 0);
        assert_int_equal(keep_new(dup(s->keep_fd), &keep), 0);
        assert_int_equal(sealer_new(public, keep, &sealer), 0);
        assert_int_equal(trail_open(s->dir, &s->trail, &s->recovery), 0);
        assert_int_equal(trail_seal(s->trail, sealer, &s->recovery), 0);
}

int sealed_trail_write(struct sealed_trail *s, unsigned n, const char *event) {
        uint64_t sequence;
        bool kept;
        int r;

        for (unsigned i = 0; i < n; i++) {
                if (trail_needs_epoch(s->trail))
                        assert_int_equal(trail_begin_epoch(s->trail, &s->message, NULL, &sequence), 0);
                audit_record_start(&s->message, event, LOG_INFO, true);
                audit_record_addf(&s->message, "number", "%u", i);
                r = trail_append(s->trail, &s->message, RECORD_DAEMON, NULL, &sequence);
                if (r == -ENOBUFS) {
                        assert_int_equal(trail_commit(s->trail, false, &kept), 0);
                        r = trail_append(s->trail, &s->message, RECORD_DAEMON, NULL, &sequence);
                }
                assert_int_equal(r, 0);
        }
        return trail_commit(s->trail, true, &kept);
}

void sealed_trail_verify(struct sealed_trail *s, bool with_key, struct trail_report *ret) {
        _cleanup_(epochs_freep) struct epochs *e = NULL;
        const char *why;

        assert_int_equal(epochs_new(&e), 0);
        if (with_key)
                assert_int_equal(epochs_add_private(e, s->private, &why), 0);
        assert_int_equal(trail_verify_seals(s->path, e, ret), 0);
}

/* The hex digits after the last place where name stands in the line. */
static char *digits_after(char *line, size_t size, const char *name) {
        size_t n = strlen(name);

        for (char *p = line + size - n; p >= line; p--)
                if (memcmp(p, name, n) == 0)
                        return p + n;
        fail_msg("no %s", name);
        return NULL;
}

void forge_chain(const char *file, unsigned from, const char *head) {
        uint8_t prev[CHAIN_HASH_SIZE], stated[CHAIN_HASH_SIZE], computed[CHAIN_HASH_SIZE];
        char hex[CHAIN_HEX_SIZE + 1], *text;
        uint64_t sequence = 0;
        size_t size;
        unsigned i = 0;
        FILE *f;

        assert_int_equal(read_small_file(file, 64u << 20, &text, &size), 0);
        for (char *p = text, *end; p < text + size; p = end + 1, i++) {
                end = memchr(p, '\n', size - (size_t) (p - text));
                assert_non_null(end);
                if (i > from) {
                        chain_to_hex(prev, hex);
                        memcpy(digits_after(p, (size_t) (end - p), "\"prev\":\""), hex, CHAIN_HEX_SIZE);
                }
                assert_int_equal(chain_from_hex(digits_after(p, (size_t) (end - p), "\"prev\":\""), CHAIN_HEX_SIZE, prev), 0);
                assert_int_equal(chain_hash_line(prev, p, (size_t) (end - p), stated, computed), 0);
                chain_to_hex(i >= from ? computed : stated, hex);
                memcpy(digits_after(p, (size_t) (end - p), "\"hash\":\""), hex, CHAIN_HEX_SIZE);
                memcpy(prev, i >= from ? computed : stated, sizeof(prev));
                assert_int_equal(sscanf(p, "{\"v\":%*u,\"seq\":%" SCNu64, &sequence), 1);
        }
        assert_non_null(f = fopen(file, "w"));
        assert_int_equal(fwrite(text, 1, size, f), size);
        fclose(f);
        free(text);
        chain_to_hex(prev, hex);
        if (head) {
                assert_non_null(f = fopen(head, "w"));
                fprintf(f, "v1 %020" PRIu64 " %s\n", sequence, hex);
                fclose(f);
        }
}
