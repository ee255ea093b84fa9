/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/trust-signed.c daemon/manager/trust.c daemon/manager/trust-find.c

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ftw.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/trust-signed.h"

#define UUID "0f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69"
#define UUID2 "1f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69"
#define DIGEST "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEAD "[List]\nVersion=1\n"
#define VOLUME(uuid, node, name, generation) "[Volume " uuid "]\nNode=" node "\nName=" name "\nRole=data\n" \
        "Key=https://v.test/keys/k\nDigest=" DIGEST "\nGeneration=" generation "\nPublicKey=QUJD\n"

static const struct node_identity here = { .host = "db1", .machine_id = "0123456789abcdef0123456789abcdef" };
static char base[64], dir[80], pem[96];

static int remove_one(const char *path, const struct stat *st _unused_, int flag _unused_, struct FTW *f _unused_) {
        return remove(path);
}

static int setup(void **state _unused_) {
        strcpy(base, "/tmp/test-signed.XXXXXX");
        if (!mkdtemp(base))
                return -1;
        snprintf(dir, sizeof(dir), "%s/trust.d", base);
        snprintf(pem, sizeof(pem), "%s/owner.pem", base);
        return mkdir(dir, 0755);
}

static int teardown(void **state _unused_) {
        return nftw(base, remove_one, 8, FTW_DEPTH|FTW_PHYS);
}

/* ---- the text ---- */

struct parsed {
        int r;
        struct trust_entry *ours;
        struct trust_elsewhere *elsewhere;
        size_t n, n_elsewhere;
        char *why;
};

static void parse(const char *text, struct parsed *p) {
        *p = (struct parsed) {};
        p->r = trust_signed_parse(text, strlen(text), &here, &p->ours, &p->n, &p->elsewhere, &p->n_elsewhere, &p->why);
}

static void done(struct parsed *p) {
        free(p->ours);
        free(p->elsewhere);
        free(p->why);
}

static void several_keys(void **state _unused_) {
        struct parsed p;

        parse(HEAD VOLUME(UUID, "db1", "data1", "7") "Key2=https://w.test/keys/k\nGeneration2=3\nPublicKey2=QUJE\n"
              VOLUME(UUID2, "*", "data2", "1"), &p);
        assert_int_equal(p.r, 0);
        assert_int_equal(p.n, 2);
        assert_int_equal(p.ours[0].n_keys, 2);
        assert_int_equal(p.ours[0].keys[1].generation, 3);
        assert_string_equal(p.ours[0].keys[1].key.host, "w.test");
        assert_int_equal(p.ours[1].n_keys, 1);
        done(&p);
        parse(HEAD VOLUME(UUID, "db1", "data1", "7") "Key2=https://w.test/keys/k\nPublicKey2=QUJE\n", &p);
        assert_int_equal(p.r, -EINVAL);
        assert_non_null(strstr(p.why, "Generation2= is missing"));
        done(&p);
}

static void for_which_node(void **state _unused_) {
        struct parsed p;

        parse(HEAD VOLUME(UUID, "db0 DB1,db2", "data1", "7") VOLUME(UUID2, "db10", "data2", "1"), &p);
        assert_int_equal(p.r, 0);
        assert_int_equal(p.n, 1);
        assert_string_equal(p.ours->uuid, UUID);
        assert_string_equal(p.ours->name, "data1");
        assert_int_equal(p.ours->keys[0].generation, 7);
        assert_int_equal(p.n_elsewhere, 1);
        assert_string_equal(p.elsewhere->uuid, UUID2);
        assert_string_equal(p.elsewhere->node, "db10");
        done(&p);
        parse(HEAD VOLUME(UUID, "*", "data1", "1") VOLUME(UUID2, "0123456789ABCDEF0123456789ABCDEF", "data2", "1"), &p);
        assert_int_equal(p.n, 2);
        assert_int_equal(p.n_elsewhere, 0);
        done(&p);
        parse(HEAD, &p);
        assert_int_equal(p.r, 0);
        assert_int_equal(p.n + p.n_elsewhere, 0);
        done(&p);
}

static void a_node_without_a_name(void **state _unused_) {
        struct node_identity nobody = {};
        struct parsed p = {};
        const char *text = HEAD VOLUME(UUID, "db1", "data1", "1");

        assert_int_equal(trust_signed_parse(text, strlen(text), &nobody, &p.ours, &p.n, &p.elsewhere, &p.n_elsewhere, NULL), 0);
        assert_int_equal(p.n, 0);
        done(&p);
}

static void refused(void **state _unused_) {
        static const struct { const char *text, *why; } bad[] = {
                { "", "it has no [List]" },
                { VOLUME(UUID, "*", "data1", "1"), "it does not begin with [List]" },
                { "[List]\nVersion=2\n", "more than Version=1" },
                { HEAD "[Volume x]\nNode=*\n", "no section of it is Volume x" },
                { HEAD "[Other]\nA=b\n", "no section of it is Other" },
                { HEAD VOLUME(UUID, "*", "data1", "1") VOLUME(UUID, "*", "data1", "1"), "there twice" },
                { HEAD "[Volume " UUID "]\nName=x\n", "Node= is missing" },
                { HEAD "[Volume " UUID "]\nNode=*\nName=x\n", "Role= is missing" },
                { HEAD "[Volume " UUID "]\nNode=\n", "Node= is empty" },
                { HEAD "[Volume " UUID "]\nNode=*\nColour=red\n", "there is no Colour=" },
                { HEAD "words\n", "its line 3" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                struct parsed p;

                parse(bad[i].text, &p);
                assert_int_equal(p.r, -EINVAL);
                assert_non_null(p.why);
                if (!strstr(p.why, bad[i].why))
                        fail_msg("%s, not %s", p.why, bad[i].why);
                done(&p);
        }
}

/* ---- signatures ---- */

static EVP_PKEY *make(const char *kind) {
        if (streq(kind, "ED25519"))
                return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        return streq(kind, "EC") ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
                                 : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) (streq(kind, "RSA") ? 2048 : 1024));
}

static size_t sign(EVP_PKEY *key, const char *text, bool pss, uint8_t *signature, size_t size) {
        EVP_MD_CTX *c = EVP_MD_CTX_new();
        EVP_PKEY_CTX *details;

        assert_int_equal(EVP_DigestSignInit(c, &details, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256(), NULL, key), 1);
        if (pss)
                assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(details, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_DigestSign(c, signature, &size, (const uint8_t *) text, strlen(text)), 1);
        EVP_MD_CTX_free(c);
        return size;
}

static char *public_half(EVP_PKEY *key) {
        BIO *bio = BIO_new(BIO_s_mem());
        char *data, *text;
        long n;

        assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
        n = BIO_get_mem_data(bio, &data);
        text = strndup(data, (size_t) n);
        BIO_free(bio);
        return text;
}

static int check(const char *kind, const char *signed_text, const char *text, bool pss) {
        EVP_PKEY *key = make(kind);
        char *half = public_half(key);
        uint8_t s[512];
        size_t n = sign(key, signed_text, pss, s, sizeof(s));
        int r = trust_signature_check((const uint8_t *) text, strlen(text), s, n, half, strlen(half));

        EVP_PKEY_free(key);
        free(half);
        return r;
}

static void signatures(void **state _unused_) {
        static const char *const kinds[] = { "ED25519", "EC", "RSA" };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                assert_int_equal(check(kinds[i], "a list", "a list", i == 2), 0);
                assert_int_equal(check(kinds[i], "a list", "a lisT", i == 2), -EKEYREJECTED);
        }
        assert_int_equal(check("RSA", "a list", "a list", false), -EKEYREJECTED);     /* PKCS #1 v1.5 */
        assert_int_equal(check("RSA-1024", "a list", "a list", true), -EINVAL);
        assert_int_equal(trust_signature_check((const uint8_t *) "x", 1, (const uint8_t *) "x", 1, "no key", 6), -EINVAL);
}

/* ---- the directory ---- */

static void put(const char *path, const void *data, size_t size) {
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_int_equal(fwrite(data, 1, size, f), size);
        assert_int_equal(fclose(f), 0);
}

static void put_list(EVP_PKEY *key, const char *name, const char *text) {
        char path[256];
        uint8_t s[512];

        snprintf(path, sizeof(path), "%s/%s.list", dir, name);
        put(path, text, strlen(text));
        strcat(path, ".sig");
        put(path, s, sign(key, text, false, s, sizeof(s)));
}

static struct trust_list *load(bool with_key) {
        char *keys[] = { (char *) "/nowhere.pem", pem, NULL };
        char local[80];
        struct trust_list *l;

        snprintf(local, sizeof(local), "%s/trust", base);
        assert_int_equal(trust_load(local, &l), 0);
        assert_int_equal(trust_load_signed(dir, with_key ? keys : NULL, &here, l), 0);
        return l;
}

static void local_entry(const char *uuid, const char *name, uint64_t generation) {
        struct trust_entry e = {
                .role = ROLE_DATA, .serial = "S1", .n_keys = 1,
                .keys = { { .generation = generation, .spki_size = 3, .key = { .host = "v.test", .port = 443, .name = "k" } } },
        };
        char local[80];

        strcpy(e.uuid, uuid);
        strcpy(e.name, name);
        snprintf(local, sizeof(local), "%s/trust", base);
        assert_int_equal(trust_add(local, &e), 0);
}

static EVP_PKEY *owner(void) {
        EVP_PKEY *key = make("ED25519");
        char *half = public_half(key);

        put(pem, half, strlen(half));
        free(half);
        return key;
}

static void a_directory(void **state _unused_) {
        EVP_PKEY *key = owner(), *stranger = make("ED25519");
        const struct trust_entry *e;
        struct trust_list *l;

        local_entry(UUID, "old", 9);
        put_list(key, "a", HEAD VOLUME(UUID, "db1", "data1", "3"));
        put_list(stranger, "b", HEAD VOLUME(UUID2, "*", "evil", "3"));
        l = load(true);
        assert_int_equal(l->n_entries, 1);
        e = trust_find_uuid(l, UUID);
        assert_string_equal(e->name, "data1");
        assert_string_equal(e->list, "a.list");
        assert_string_equal(e->serial, "S1");
        assert_int_equal(e->keys[0].generation, 9);
        assert_int_equal(l->n_bad, 1);
        assert_non_null(strstr(l->bad[0], "b.list: no key of OwnerKeys="));
        trust_free(l);
        l = load(false);
        assert_int_equal(l->n_bad, 2);
        assert_string_equal(trust_find_uuid(l, UUID)->name, "old");
        trust_free(l);
        EVP_PKEY_free(key);
        EVP_PKEY_free(stranger);
}

static void same_names(void **state _unused_) {
        EVP_PKEY *key = owner();
        struct trust_list *l;

        local_entry(UUID, "data1", 1);
        put_list(key, "a", HEAD VOLUME(UUID2, "*", "data1", "3"));
        l = load(true);
        assert_int_equal(l->n_entries, 0);
        assert_int_equal(l->n_bad, 2);
        trust_free(l);
        EVP_PKEY_free(key);
}

static void not_ours(void **state _unused_) {
        EVP_PKEY *key = owner();
        struct trust_list *l;
        char path[128];

        put_list(key, "a", HEAD VOLUME(UUID, "db2", "data1", "3"));
        l = load(true);
        assert_int_equal(l->n_entries, 0);
        assert_string_equal(trust_find_elsewhere(l, UUID), "db2");
        assert_null(trust_find_elsewhere(l, UUID2));
        trust_free(l);
        snprintf(path, sizeof(path), "%s/a.list", dir);
        assert_int_equal(chmod(path, 0666), 0);
        l = load(true);
        assert_int_equal(l->n_elsewhere, 0);
        assert_non_null(strstr(l->bad[0], "only root may write"));
        trust_free(l);
        snprintf(path, sizeof(path), "%s/a.list.sig", dir);
        assert_int_equal(unlink(path), 0);
        snprintf(path, sizeof(path), "%s/a.list", dir);
        assert_int_equal(chmod(path, 0644), 0);
        l = load(true);
        assert_non_null(strstr(l->bad[0], "(.sig) is missing"));
        trust_free(l);
        EVP_PKEY_free(key);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(several_keys), TEST(for_which_node), TEST(a_node_without_a_name), TEST(refused), TEST(signatures), TEST(a_directory),
                TEST(same_names), TEST(not_ours),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
