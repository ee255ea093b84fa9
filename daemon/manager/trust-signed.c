/* SPDX-License-Identifier: Apache-2.0 */
#include "trust-signed.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <strings.h>
#include <unistd.h>

#include "common/ini-reader.h"

#define SUFFIX ".list"
#define RSA_BITS_MIN 2048

static void pkey_freep(EVP_PKEY **p) { EVP_PKEY_free(*p); }
static void bio_freep(BIO **p) { BIO_free(*p); }
static void md_freep(EVP_MD_CTX **p) { EVP_MD_CTX_free(*p); }

void node_identity_get(struct node_identity *ret) {
        _cleanup_(freep) char *text = NULL;
        struct node_identity n = {};

        if (gethostname(n.host, sizeof(n.host) - 1) < 0)
                *n.host = 0;
        if (read_small_file("/etc/machine-id", 64, &text, NULL) >= 0)
                snprintf(n.machine_id, sizeof(n.machine_id), "%.*s", (int) strcspn(text, "\n"), text);
        *ret = n;
}

/* ---- the signature ---- */

/* Which digest goes with a key; *ret_md NULL: the algorithm brings its own. */
static int choose_digest(EVP_PKEY *key, const EVP_MD **ret_md, bool *ret_pss) {
        *ret_md = NULL;
        *ret_pss = false;
        if (EVP_PKEY_is_a(key, "ED25519"))
                return 0;
        *ret_md = EVP_sha256();
        if (EVP_PKEY_is_a(key, "EC"))
                return 0;
        *ret_pss = true;
        return (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS")) && EVP_PKEY_get_bits(key) >= RSA_BITS_MIN
                       ? 0 : -EINVAL;
}

int trust_signature_check(const uint8_t *text, size_t size, const uint8_t *signature, size_t signature_size,
                          const char *pem, size_t pem_size) {
        _cleanup_(bio_freep) BIO *bio = pem_size <= INT_MAX ? BIO_new_mem_buf(pem, (int) pem_size) : NULL;
        _cleanup_(md_freep) EVP_MD_CTX *c = EVP_MD_CTX_new();
        _cleanup_(pkey_freep) EVP_PKEY *key = NULL;
        EVP_PKEY_CTX *details = NULL;
        const EVP_MD *md;
        bool pss;

        if (!bio || !c)
                return -ENOMEM;
        key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
        if (!key || choose_digest(key, &md, &pss) < 0 || EVP_DigestVerifyInit(c, &details, md, NULL, key) != 1)
                return -EINVAL;
        if (pss && (EVP_PKEY_CTX_set_rsa_padding(details, RSA_PKCS1_PSS_PADDING) != 1 ||
                    EVP_PKEY_CTX_set_rsa_pss_saltlen(details, RSA_PSS_SALTLEN_AUTO) != 1))
                return -EINVAL;
        return EVP_DigestVerify(c, signature, signature_size, text, size) == 1 ? 0 : -EKEYREJECTED;
}

/* ---- the text ---- */

struct draft {
        struct trust_entry entry;
        uint64_t seen;
        char node[256];          /* as it stands there */
};

struct parser {
        struct draft *drafts;
        size_t n;
        bool versioned;
        char *why;
};

static int complain(char **why, const char *what, const char *detail) {
        if (!*why && asprintf(why, "%s%s", what, detail) < 0)
                *why = NULL;
        return -EINVAL;
}

static struct draft *find_draft(struct parser *p, const char *uuid) {
        struct draft *bigger;

        for (size_t i = 0; i < p->n; i++)
                if (streq(p->drafts[i].entry.uuid, uuid))
                        return p->drafts + i;
        bigger = reallocarray(p->drafts, p->n + 1, sizeof(*bigger));
        if (!bigger)
                return NULL;
        p->drafts = bigger;
        bigger += p->n++;
        memset(bigger, 0, sizeof(*bigger));
        snprintf(bigger->entry.uuid, sizeof(bigger->entry.uuid), "%s", uuid);
        return bigger;
}

static int read_setting(void *user, const char *section, const char *key, const char *value) {
        const char *uuid = startswith(section, "Volume ");
        struct parser *p = user;
        struct draft *d;

        if (streq(section, "List")) {
                if (!streq(key, "Version") || !streq(value, "1"))
                        return complain(&p->why, "its [List] has more than Version=1: ", key);
                p->versioned = true;
                return 0;
        }
        if (!p->versioned || !uuid || !uuid_is_valid(uuid))
                return complain(&p->why, p->versioned ? "no section of it is " : "it does not begin with [List], Version=1 but ",
                                section);
        if (p->n >= TRUST_ENTRIES_MAX)
                return -E2BIG;
        d = find_draft(p, uuid);
        if (!d)
                return -ENOMEM;
        if (!streq(key, "Node"))
                return trust_read_setting(&d->entry, &d->seen, key, value, &p->why);
        if (*d->node || !*value || strlen(value) >= sizeof(d->node))
                return complain(&p->why, "Node= is empty, too long or there twice: ", uuid);
        strcpy(d->node, value);
        return 0;
}

static bool is_for(const char *nodes, const struct node_identity *node) {
        char copy[256], *rest = copy, *word;

        snprintf(copy, sizeof(copy), "%s", nodes);
        while ((word = strsep(&rest, " \t,")))
                if (*word && (streq(word, "*") || (*node->host && strcasecmp(word, node->host) == 0) ||
                              (*node->machine_id && strcasecmp(word, node->machine_id) == 0)))
                        return true;
        return false;
}

static int check_drafts(struct parser *p) {
        int r;

        for (size_t i = 0; i < p->n; i++) {
                if (!*p->drafts[i].node)
                        return complain(&p->why, "Node= is missing for volume ", p->drafts[i].entry.uuid);
                r = trust_check_complete(&p->drafts[i].entry, p->drafts[i].seen, &p->why);
                if (r < 0)
                        return r;
        }
        return p->versioned ? 0 : complain(&p->why, "it has no [List], Version=1", "");
}

static int sort_out(const struct parser *p, const struct node_identity *node, struct trust_entry **ret, size_t *ret_n,
                    struct trust_elsewhere **ret_elsewhere, size_t *ret_n_elsewhere) {
        struct trust_elsewhere *elsewhere = calloc(p->n + 1, sizeof(*elsewhere));
        struct trust_entry *ours = calloc(p->n + 1, sizeof(*ours));
        size_t n = 0, n_elsewhere = 0;

        if (!elsewhere || !ours) {
                free(elsewhere);
                free(ours);
                return -ENOMEM;
        }
        for (size_t i = 0; i < p->n; i++) {
                const struct draft *d = p->drafts + i;

                if (is_for(d->node, node))
                        ours[n++] = d->entry;
                else {
                        memcpy(elsewhere[n_elsewhere].uuid, d->entry.uuid, sizeof(d->entry.uuid));
                        snprintf(elsewhere[n_elsewhere++].node, sizeof(elsewhere->node), "%.64s", d->node);
                }
        }
        *ret = ours;
        *ret_n = n;
        *ret_elsewhere = elsewhere;
        *ret_n_elsewhere = n_elsewhere;
        return 0;
}

int trust_signed_parse(const char *text, size_t size, const struct node_identity *node, struct trust_entry **ret_for_node,
                       size_t *ret_n, struct trust_elsewhere **ret_elsewhere, size_t *ret_n_elsewhere, char **ret_why) {
        _cleanup_(freep) char *copy = malloc(size + 1);
        struct parser p = {};
        unsigned line = 0;
        char where[32];
        int r;

        if (!copy)
                return -ENOMEM;
        memcpy(copy, text, size);
        copy[size] = 0;
        r = ini_read(copy, size, read_setting, &p, &line);
        if (r == -EINVAL) {
                snprintf(where, sizeof(where), "%u", line);
                complain(&p.why, "neither a section, nor Key=value, nor a comment is its line ", where);
        }
        if (r >= 0)
                r = check_drafts(&p);
        if (r >= 0)
                r = sort_out(&p, node, ret_for_node, ret_n, ret_elsewhere, ret_n_elsewhere);
        if (r < 0 && ret_why)
                *ret_why = TAKE_PTR(p.why);
        free(p.why);
        free(p.drafts);
        return r;
}

/* ---- the directory ---- */

/* Reads a file of ours. Returns 0, -EPERM (others may write it), -EFBIG, -ENOMEM or -errno. */
static int read_ours(int dirfd, const char *file, size_t max, uint8_t **ret, size_t *ret_size) {
        _cleanup_(closep) int fd = openat(dirfd, file, O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NOCTTY|O_NONBLOCK);
        _cleanup_(freep) uint8_t *data = malloc(max + 1);
        size_t size = 0;
        ssize_t k;

        if (fd < 0)
                return -errno;
        if (!data)
                return -ENOMEM;
        if (!trust_file_is_ours(fd))
                return -EPERM;
        while (size <= max && (k = read(fd, data + size, max + 1 - size)) != 0) {
                if (k < 0)
                        return -errno;
                size += (size_t) k;
        }
        if (size > max)
                return -EFBIG;
        *ret = TAKE_PTR(data);
        *ret_size = size;
        return 0;
}

static bool is_signed(const uint8_t *text, size_t size, const uint8_t *signature, size_t signature_size, char *const *keys) {
        for (; keys && *keys; keys++) {
                _cleanup_(freep) uint8_t *pem = NULL;
                size_t n;

                if (read_ours(AT_FDCWD, *keys, 16384, &pem, &n) >= 0 &&
                    trust_signature_check(text, size, signature, signature_size, (const char *) pem, n) == 0)
                        return true;
        }
        return false;
}

/* What is there already gives way; its newer generation, and the disk that it was seen on, stay. */
static int enter(struct trust_list *l, struct trust_entry *e, const char *file) {
        struct trust_entry *bigger;

        snprintf(e->list, sizeof(e->list), "%.64s", file);
        for (size_t i = 0; i < l->n_entries; i++) {
                struct trust_entry *old = l->entries + i;

                if (!streq(old->uuid, e->uuid))
                        continue;
                for (unsigned k = 0; k < e->n_keys; k++) {
                        const struct trust_key *known = trust_find_key(old, &e->keys[k].key);

                        if (known && known->generation > e->keys[k].generation)
                                e->keys[k].generation = known->generation;
                }
                if (!*e->serial)
                        memcpy(e->serial, old->serial, sizeof(e->serial));
                *old = *e;
                return 0;
        }
        if (l->n_entries >= TRUST_ENTRIES_MAX)
                return -E2BIG;
        bigger = reallocarray(l->entries, l->n_entries + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        l->entries = bigger;
        l->entries[l->n_entries++] = *e;
        return 0;
}

static int enter_elsewhere(struct trust_list *l, const struct trust_elsewhere *more, size_t n) {
        struct trust_elsewhere *bigger = reallocarray(l->elsewhere, l->n_elsewhere + n + 1, sizeof(*bigger));

        if (!bigger)
                return -ENOMEM;
        l->elsewhere = bigger;
        if (n > 0)
                memcpy(bigger + l->n_elsewhere, more, n * sizeof(*more));
        l->n_elsewhere += n;
        return 0;
}

static const char *explain(int error) {
        return error == -EPERM ? "it, or its signature, is not a file that only root may write"
               : error == -ENOENT ? "its signature (.sig) is missing"
               : error == -EFBIG ? "it is too large"
               : error == -E2BIG ? "there are too many entries"
                                 : strerror(-error);
}

/* Returns 0 also for a list that is left out. */
static int load_list(const char *dir, int dirfd, const char *file, char *const *keys, const struct node_identity *node,
                     struct trust_list *l) {
        _cleanup_(freep) struct trust_elsewhere *elsewhere = NULL;
        _cleanup_(freep) struct trust_entry *ours = NULL;
        _cleanup_(freep) uint8_t *text = NULL, *signature = NULL;
        _cleanup_(freep) char *why = NULL;
        size_t size, signature_size, n = 0, n_elsewhere = 0;
        char path[NAME_MAX + 8];
        int r;

        snprintf(path, sizeof(path), "%s.sig", file);
        r = read_ours(dirfd, file, TRUST_SIGNED_MAX, &text, &size);
        if (r >= 0)
                r = read_ours(dirfd, path, TRUST_SIGNATURE_MAX, &signature, &signature_size);
        if (r >= 0 && !is_signed(text, size, signature, signature_size, keys))
                return trust_note_bad(l, dir, file, keys && *keys ? "no key of OwnerKeys= signed it; nothing of it is used"
                                                                  : "OwnerKeys= names no key; nothing of it is used");
        if (r >= 0)
                r = trust_signed_parse((const char *) text, size, node, &ours, &n, &elsewhere, &n_elsewhere, &why);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = enter(l, ours + i, file);
        if (r >= 0)
                r = enter_elsewhere(l, elsewhere, n_elsewhere);
        if (r == -ENOMEM || r >= 0)
                return r;
        return trust_note_bad(l, dir, file, why ? why : explain(r));
}

/* As in trust.c: nobody can say which is meant. Entries of signed lists only are left out in favour of none. */
static int drop_same_names(struct trust_list *l, const char *dir) {
        size_t kept = 0;

        for (size_t i = 0; i < l->n_entries; i++)
                for (size_t k = 0; k < l->n_entries; k++) {
                        struct trust_entry *e = l->entries + i;

                        if (k == i || !streq(l->entries[k].name, e->name) || e->n_keys == 0)
                                continue;
                        if (trust_note_bad(l, *e->list ? dir : "the node's list", *e->list ? e->list : e->uuid,
                                           "another volume has the same name; neither is used") < 0)
                                return -ENOMEM;
                        e->n_keys = 0;
                }
        for (size_t i = 0; i < l->n_entries; i++)
                if (l->entries[i].n_keys > 0)
                        l->entries[kept++] = l->entries[i];
        l->n_entries = kept;
        return 0;
}

static int is_list(const struct dirent *e) {
        size_t n = strlen(e->d_name);

        return e->d_name[0] != '.' && n > strlen(SUFFIX) && streq(e->d_name + n - strlen(SUFFIX), SUFFIX);
}

int trust_load_signed(const char *dir, char *const *keys, const struct node_identity *node, struct trust_list *l) {
        _cleanup_(closedirp) DIR *d = opendir(dir);
        struct dirent **files = NULL;
        int n, r = 0;

        if (!d)
                return errno == ENOENT ? 0 : -errno;
        n = scandir(dir, &files, is_list, alphasort);
        if (n < 0)
                return -errno;
        for (int i = 0; i < n; i++) {
                if (r >= 0)
                        r = load_list(dir, dirfd(d), files[i]->d_name, keys, node, l);
                free(files[i]);
        }
        free(files);
        return r < 0 ? r : drop_same_names(l, dir);
}
