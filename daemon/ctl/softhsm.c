/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl.h"
#include "softhsm.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <p11-kit/pkcs11.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base64.h"
#include "common/secret.h"

#define TOKENS SOFTHSM_STORE "/tokens"
#define SO_PIN SOFTHSM_STORE "/so-pin"
#define PIN_SIZE 32u
#define SLOTS_MAX 64u

static const char conf[] = "# Made by cmkctl keys create --local\n"
                           "directories.tokendir = " TOKENS "\nobjectstore.backend = file\nobjectstore.umask = 0027\n"
                           "log.level = ERROR\n";

struct local {
        gid_t group;
        struct secret *pin, *so_pin;
        CK_FUNCTION_LIST *f;
        CK_SLOT_ID slot;
        CK_SESSION_HANDLE session;
};

static void local_done(struct local *l) {
        secret_free(l->pin);
        secret_free(l->so_pin);
        if (l->f)
                (void) l->f->C_Finalize(NULL);
}

static int refused(const char *what, CK_RV rv) {
        return fail(EXIT_CODE_FAILED, "%s: SoftHSM says 0x%lx", what, (unsigned long) rv);
}

/* ---- the store ---- */

static int make_directory(const char *path, mode_t mode, gid_t group) {
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return fail(EXIT_CODE_FAILED, "%s cannot be made: %s", path, strerror(errno));
        if (chown(path, 0, group) < 0 || chmod(path, mode) < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(errno));
        return EXIT_CODE_DONE;
}

/* In a file beside it first: an empty one, or one that cmkd-vault cannot read, would stay. Never in the place of another. */
static int write_pin(const char *path, mode_t mode, gid_t group, const struct secret *text) {
        _cleanup_(closep) int fd = -EBADF;
        char made[PATH_MAX];
        int r;

        snprintf(made, sizeof(made), "%s.XXXXXX", path);
        fd = mkostemp(made, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = secret_write(fd, text);
        if (r >= 0 && (fchown(fd, 0, group) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0 ||
                       renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE) < 0))
                r = -errno;
        if (r < 0)
                (void) unlink(made);
        return r;
}

/* 32 digits of hex, made once. */
static int make_pin(const char *path, mode_t mode, gid_t group, struct secret **ret) {
        _cleanup_(secret_freep) struct secret *random = NULL, *text = NULL;
        _cleanup_(closep) int fd = open(path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);
        int r;

        if (fd >= 0) {
                r = secret_read(fd, PIN_SIZE, ret);
                return r < 0 ? fail(EXIT_CODE_FAILED, "%s cannot be read: %s", path, strerror(-r)) : EXIT_CODE_DONE;
        }
        r = secret_random(PIN_SIZE / 2, &random);
        if (r >= 0)
                r = secret_new(PIN_SIZE + 1, &text);
        if (r >= 0) {
                hex_encode(secret_cdata(random), PIN_SIZE / 2, (char *) secret_data(text));
                secret_shrink(text, PIN_SIZE);
                r = write_pin(path, mode, group, text);
        }
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "%s cannot be written: %s", path, strerror(-r));
        *ret = TAKE_PTR(text);
        return EXIT_CODE_DONE;
}

static int make_store(struct local *l) {
        const struct group *g = getgrnam("cmkd-vault");
        int code, r;

        if (!g)
                return fail(EXIT_CODE_FAILED, "there is no group cmkd-vault: run systemd-sysusers");
        l->group = g->gr_gid;
        code = make_directory(SOFTHSM_STORE, 0750, l->group);
        if (code == EXIT_CODE_DONE)
                code = make_directory(TOKENS, 02750, l->group);
        if (code != EXIT_CODE_DONE)
                return code;
        if (access(SOFTHSM_CONF, F_OK) < 0) {
                r = write_file_atomic(SOFTHSM_CONF, conf, strlen(conf), 0640);
                if (r >= 0 && chown(SOFTHSM_CONF, 0, l->group) < 0)
                        r = -errno;
                if (r < 0)
                        return fail(EXIT_CODE_FAILED, SOFTHSM_CONF ": %s", strerror(-r));
        }
        code = make_pin(SOFTHSM_PIN, 0640, l->group, &l->pin);
        return code == EXIT_CODE_DONE ? make_pin(SO_PIN, 0600, 0, &l->so_pin) : code;
}

static gid_t share_group;

static int share_one(const char *path, const struct stat *st, int type, struct FTW *at) {
        const char *name = path + at->base, *end = strrchr(name, '.');
        bool writes = streq(name, "token.object") || streq(name, "generation") || (end && streq(end, ".lock"));

        if (type != FTW_D && type != FTW_F)
                return -1;
        if (st->st_uid != 0 || lchown(path, 0, share_group) < 0)
                return -1;
        return chmod(path, type == FTW_D ? 02750 : writes ? 0660 : 0640);
}

static int share(const struct local *l) {
        share_group = l->group;
        if (nftw(TOKENS, share_one, 8, FTW_PHYS) != 0)
                return fail(EXIT_CODE_FAILED, TOKENS ": its files cannot be given to the group cmkd-vault: %s", strerror(errno));
        return EXIT_CODE_DONE;
}

/* ---- the token ---- */

static int load(struct local *l, const char **ret_module) {
        static const char *const modules[] = { "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so",
                                               "/usr/lib64/pkcs11/libsofthsm2.so" };
        CK_C_GetFunctionList get;
        void *so = NULL;
        CK_RV rv;

        if (setenv("SOFTHSM2_CONF", SOFTHSM_CONF, true) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        for (size_t i = 0; !so && i < ELEMENTSOF(modules); i++) {
                so = dlopen(modules[i], RTLD_NOW|RTLD_LOCAL);
                *ret_module = modules[i];
        }
        get = so ? (CK_C_GetFunctionList) dlsym(so, "C_GetFunctionList") : NULL;
        if (!get || get(&l->f) != CKR_OK)
                return fail(EXIT_CODE_FAILED, "there is no SoftHSM here: install it (Debian: softhsm2)");
        rv = l->f->C_Initialize(NULL);
        return rv == CKR_OK ? EXIT_CODE_DONE : refused(SOFTHSM_STORE, rv);
}

static bool is_ours(const CK_TOKEN_INFO *i) {
        return memcmp(i->label, SOFTHSM_TOKEN, strlen(SOFTHSM_TOKEN)) == 0 && i->label[strlen(SOFTHSM_TOKEN)] == ' ';
}

/* The slot of the token, with its flags, or the free one that SoftHSM always has, with none. */
static int find_slot(struct local *l, CK_FLAGS *ret_flags) {
        CK_SLOT_ID slots[SLOTS_MAX];
        CK_ULONG n = SLOTS_MAX;
        bool free_one = false;
        CK_RV rv;

        *ret_flags = 0;
        rv = l->f->C_GetSlotList(CK_TRUE, slots, &n);
        for (CK_ULONG k = 0; rv == CKR_OK && k < n; k++) {
                CK_TOKEN_INFO i = {};

                if (l->f->C_GetTokenInfo(slots[k], &i) != CKR_OK)
                        continue;
                if (i.flags & CKF_TOKEN_INITIALIZED && is_ours(&i)) {
                        l->slot = slots[k];
                        *ret_flags = i.flags;
                        return EXIT_CODE_DONE;
                }
                if (!(i.flags & CKF_TOKEN_INITIALIZED)) {
                        l->slot = slots[k];
                        free_one = true;
                }
        }
        return rv == CKR_OK && free_one ? EXIT_CODE_DONE : refused("no free slot", rv);
}

static int open_session(struct local *l, CK_USER_TYPE user, const struct secret *pin) {
        CK_RV rv;

        rv = l->f->C_OpenSession(l->slot, CKF_SERIAL_SESSION|CKF_RW_SESSION, NULL, NULL, &l->session);
        if (rv == CKR_OK)
                rv = l->f->C_Login(l->session, user, (unsigned char *) secret_cdata(pin), secret_size(pin));
        return rv == CKR_OK ? EXIT_CODE_DONE : refused("the login", rv);
}

static int make_token(struct local *l) {
        unsigned char label[32];
        CK_RV rv;

        memset(label, ' ', sizeof(label));
        memcpy(label, SOFTHSM_TOKEN, strlen(SOFTHSM_TOKEN));
        rv = l->f->C_InitToken(l->slot, (unsigned char *) secret_cdata(l->so_pin), secret_size(l->so_pin), label);
        return rv == CKR_OK ? EXIT_CODE_DONE : refused("the token", rv);
}

static int make_user(struct local *l) {
        CK_RV rv;
        int code;

        code = open_session(l, CKU_SO, l->so_pin);
        if (code != EXIT_CODE_DONE)
                return code;
        rv = l->f->C_InitPIN(l->session, (unsigned char *) secret_cdata(l->pin), secret_size(l->pin));
        (void) l->f->C_CloseAllSessions(l->slot);
        return rv == CKR_OK ? EXIT_CODE_DONE : refused("the token's PIN", rv);
}

/* ---- the key ---- */

/* Whether what is there is what make_key() makes. */
static bool is_alike(struct local *l, CK_OBJECT_HANDLE key) {
        CK_KEY_TYPE type = ~0UL;
        CK_BBOOL leaves = CK_TRUE;
        uint8_t modulus[SOFTHSM_BITS / 8];
        CK_ATTRIBUTE is[] = { { CKA_KEY_TYPE, &type, sizeof(type) }, { CKA_EXTRACTABLE, &leaves, sizeof(leaves) },
                              { CKA_MODULUS, modulus, sizeof(modulus) } };

        return l->f->C_GetAttributeValue(l->session, key, is, ELEMENTSOF(is)) == CKR_OK && type == CKK_RSA && !leaves &&
               is[2].ulValueLen == sizeof(modulus);
}

static int find_key(struct local *l, const char *label, bool *ret_found) {
        CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
        CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &class, sizeof(class) }, { CKA_LABEL, (void *) label, strlen(label) } };
        CK_OBJECT_HANDLE found[2];
        CK_ULONG n = 0;
        CK_RV rv;

        rv = l->f->C_FindObjectsInit(l->session, wanted, ELEMENTSOF(wanted));
        if (rv == CKR_OK)
                rv = l->f->C_FindObjects(l->session, found, ELEMENTSOF(found), &n);
        if (rv != CKR_OK)
                return refused("the search for the key", rv);
        (void) l->f->C_FindObjectsFinal(l->session);
        *ret_found = n > 0;
        if (n == 0 || (n == 1 && is_alike(l, found[0])))
                return EXIT_CODE_DONE;
        return fail(EXIT_CODE_FAILED, "there is a key %s already that is another than is made here, nothing was changed: choose another "
                    "name", label);
}

static int make_key(struct local *l, const char *label) {
        CK_MECHANISM m = { .mechanism = CKM_RSA_PKCS_KEY_PAIR_GEN };
        CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
        CK_ULONG bits = SOFTHSM_BITS;
        uint8_t exponent[] = { 1, 0, 1 }, id[8];
        CK_ATTRIBUTE public[] = {
                { CKA_TOKEN, &yes, 1 }, { CKA_ENCRYPT, &yes, 1 }, { CKA_WRAP, &yes, 1 }, { CKA_VERIFY, &no, 1 },
                { CKA_MODULUS_BITS, &bits, sizeof(bits) }, { CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent) },
                { CKA_LABEL, (void *) label, strlen(label) }, { CKA_ID, id, sizeof(id) },
        };
        CK_ATTRIBUTE private[] = {
                { CKA_TOKEN, &yes, 1 }, { CKA_PRIVATE, &yes, 1 }, { CKA_SENSITIVE, &yes, 1 }, { CKA_EXTRACTABLE, &no, 1 },
                { CKA_DECRYPT, &yes, 1 }, { CKA_UNWRAP, &yes, 1 }, { CKA_SIGN, &no, 1 },
                { CKA_LABEL, (void *) label, strlen(label) }, { CKA_ID, id, sizeof(id) },
        };
        CK_OBJECT_HANDLE a, b;
        CK_RV rv;

        random_bytes(id, sizeof(id));
        rv = l->f->C_GenerateKeyPair(l->session, &m, public, ELEMENTSOF(public), private, ELEMENTSOF(private), &a, &b);
        return rv == CKR_OK ? EXIT_CODE_DONE : refused("the key", rv);
}

int softhsm_create(const char *label, const char **ret_module, bool *ret_made) {
        _cleanup_(local_done) struct local l = {};
        CK_FLAGS flags = 0;
        bool found = false;
        int code;

        umask(027);
        code = make_store(&l);
        if (code == EXIT_CODE_DONE)
                code = load(&l, ret_module);
        if (code == EXIT_CODE_DONE)
                code = find_slot(&l, &flags);
        if (code == EXIT_CODE_DONE && !(flags & CKF_TOKEN_INITIALIZED))
                code = make_token(&l);
        if (code == EXIT_CODE_DONE && !(flags & CKF_USER_PIN_INITIALIZED))
                code = make_user(&l);
        if (code == EXIT_CODE_DONE)
                code = open_session(&l, CKU_USER, l.pin);
        if (code == EXIT_CODE_DONE)
                code = find_key(&l, label, &found);
        if (code == EXIT_CODE_DONE && !found)
                code = make_key(&l, label);
        if (code == EXIT_CODE_DONE)
                code = share(&l);
        if (code == EXIT_CODE_DONE)
                *ret_made = !found;
        return code;
}
