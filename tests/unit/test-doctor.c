/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/doctor/running.c daemon/ctl/doctor/algorithms.c daemon/ctl/doctor/pe.c daemon/ctl/doctor/blindness.c
// sources: daemon/ctl/options.c daemon/ctl/print.c daemon/ctl/doctor/doctor.c daemon/ctl/doctor/secrets.c daemon/ctl/doctor/versions.c daemon/ctl/doctor/cpio.c
// sources: daemon/ctl/doctor/elf.c daemon/ctl/doctor/image.c daemon/ctl/doctor/unpack.c daemon/ctl/doctor/findings.c daemon/ctl/doctor/machine.c
// sources: daemon/ctl/doctor/machine-disk.c daemon/ctl/doctor/certificates.c daemon/ctl/doctor/lists.c daemon/ctl/doctor/config-copy.c daemon/ctl/doctor/judge-boot.c daemon/ctl/doctor/blindness.c
// sources: daemon/ctl/doctor/judge-vault.c daemon/ctl/doctor/judge-volumes.c daemon/ctl/boot-chain.c
// sources: daemon/ctl/doctor/leftovers.c daemon/ctl/doctor/leaks.c daemon/ctl/doctor/backing.c daemon/ctl/doctor/keys.c daemon/ctl/worker.c
// libs: json-c

/* A small image with which a small machine would boot, and one change of either for each finding. */
#include "ctl-capture.h"

#include <ftw.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include "cpio-image.h"
#include "ctl/doctor/elf.h"
#include "ctl/doctor/findings.h"
#include "ctl/key-usage.h"
#include "doctor-changes.h"
#include <cmocka.h>          /* last: it has a macro fail() */

/* There is no cmkd to ask. */
int key_usage(const char *key _unused_, struct json_object **ret _unused_) {
        return EXIT_CODE_FAILED;
}

static char top[] = "/tmp/test-doctor.XXXXXX";
static char image_path_text[64];
static char certificates[2][4096];
static uint8_t programs[2][SMALL_ELF_SIZE], library[SMALL_ELF_SIZE];
static size_t program_size, library_size;

/* ---- making things ---- */

static void make_certificate(char *text, size_t size, long from, long until) {
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *x = X509_new();
        BIO *bio = BIO_new(BIO_s_mem());
        int n;

        X509_gmtime_adj(X509_getm_notBefore(x), from);
        X509_gmtime_adj(X509_getm_notAfter(x), until);
        X509_set_pubkey(x, key);
        assert_true(X509_sign(x, key, EVP_sha256()) > 0);
        assert_true(PEM_write_bio_X509(bio, x));
        n = BIO_read(bio, text, (int) size - 1);
        assert_true(n > 0);
        text[n] = 0;
        BIO_free(bio);
        X509_free(x);
        EVP_PKEY_free(key);
}

static const void *content_of(const char *content, size_t *ret_size) {
        static char now[32];

        if (streq(content, PROGRAM) || streq(content, OTHER_PROGRAM)) {
                *ret_size = program_size;
                return programs[streq(content, OTHER_PROGRAM)];
        }
        if (streq(content, LIBRARY)) {
                *ret_size = library_size;
                return library;
        }
        if (streq(content, CERTIFICATE) || streq(content, OLD_CERTIFICATE))
                content = certificates[streq(content, OLD_CERTIFICATE)];
        if (streq(content, NOW)) {
                snprintf(now, sizeof(now), "%lld\n", (long long) time(NULL));
                content = now;
        }
        *ret_size = strlen(content);
        return content;
}

static void add(struct cpio_image *i, const char *path, const char *content) {
        size_t size;
        const void *data = content_of(content, &size);

        cpio_add(i, path, S_IFREG | 0755, data, size);
}

/* An archive of the image's files; the change is in it. */
static void make_image(struct cpio_image *i, const struct change *c) {
        cpio_add(i, ".", S_IFDIR | 0755, "", 0);
        cpio_add(i, "early", S_IFREG | 0644, "microcode", 9);
        cpio_end(i);
        cpio_put(i, (const uint8_t[512]) {}, 512);
        for (size_t k = 0; k < ELEMENTSOF(in_image); k++)
                if (!c || c->machine || !streq(in_image[k].path, c->path))
                        add(i, in_image[k].path, in_image[k].content);
        if (c && !c->machine && c->content)
                add(i, c->path, c->content);
        cpio_end(i);
}

static void make_file(const char *path, const char *content) {
        char full[512], target[512], dir[512];
        const char *link = startswith(content, "> ");
        size_t size;
        const void *data;

        snprintf(full, sizeof(full), "%s/root/%s", top, path);
        snprintf(dir, sizeof(dir), "%s", full);
        *strrchr(dir, '/') = 0;
        assert_int_equal(mkdir_parents(dir, 0755), 0);
        if (link) {
                snprintf(target, sizeof(target), *link == '/' ? "%s/root%s" : "%.0s%s", top, link);
                assert_int_equal(symlink(target, full), 0);
                return;
        }
        data = content_of(content, &size);
        assert_int_equal(write_file_atomic(full, data, size, 0644), 0);
}

static int remove_one(const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_) {
        return remove(path);
}

static void make_machine(const struct change *c) {
        char root[128];

        snprintf(root, sizeof(root), "%s/root", top);
        nftw(root, remove_one, 16, FTW_DEPTH|FTW_PHYS);
        for (size_t k = 0; k < ELEMENTSOF(in_machine); k++)
                if (!c || !c->machine || !streq(in_machine[k].path, c->path))
                        make_file(in_machine[k].path, in_machine[k].content);
        if (c && c->machine && c->content)
                make_file(c->path, c->content);
}

static struct captured *examine(const void *data, size_t size) {
        char root[128];

        snprintf(root, sizeof(root), "%s/root", top);
        assert_int_equal(write_file_atomic(image_path_text, data, size, 0600), 0);
        return RUN(verb_doctor, "--initramfs", image_path_text, "--root", root);
}

static int set_up(void **state _unused_) {
        if (!mkdtemp(top))
                return -1;
        snprintf(image_path_text, sizeof(image_path_text), "%s/initrd", top);
        make_certificate(certificates[0], sizeof(certificates[0]), -86400, 86400);
        make_certificate(certificates[1], sizeof(certificates[1]), -2 * 86400, -86400);
        program_size = make_elf(programs[0], LOADER, "libc.so.6", 1);
        make_elf(programs[1], LOADER, "libc.so.6", 2);
        library_size = make_elf(library, NULL, NULL, 3);
        return 0;
}

static int tear_down(void **state _unused_) {
        return nftw(top, remove_one, 16, FTW_DEPTH|FTW_PHYS);
}

/* ---- tests ---- */

static void finds(void **state) {
        const struct change *c = *state;
        struct cpio_image i = {};
        struct captured *said;
        char wanted[64];

        make_machine(c);
        make_image(&i, c);
        said = examine(i.data, i.size);
        free(i.data);
        assert_string_equal(said->err, "");
        snprintf(wanted, sizeof(wanted), " %s: ", c->id);
        if (!*c->id ? said->code != EXIT_CODE_DONE || !strstr(said->out, "no findings") || !strstr(said->out, c->says)
                    : said->code != EXIT_CODE_FAILED || !strstr(said->out, wanted) || !strstr(said->out, c->says))
                fail_msg("code %d, wanted %s (%s):\n%s", said->code, c->id, c->says, said->out);
}

/* Each compression that a builder of images uses, by its own program; then the same with its end cut off. */
static void reads_compressed(void **state) {
        const char *program = *state;
        struct cpio_image i = {};
        _cleanup_(freep) char *packed = NULL;
        char command[256];
        struct captured *said;
        size_t size;

        make_machine(NULL);
        make_image(&i, NULL);
        snprintf(command, sizeof(command), "%s/plain", top);
        assert_int_equal(write_file_atomic(command, i.data, i.size, 0600), 0);
        free(i.data);
        i = (struct cpio_image) {};
        snprintf(command, sizeof(command), "%s -c <%s/plain >%s/packed 2>/dev/null", program, top, top);
        if (system(command) != 0)
                skip();
        snprintf(command, sizeof(command), "%s/packed", top);
        assert_int_equal(read_small_file(command, 1 << 20, &packed, &size), 0);
        cpio_add(&i, "kernel/x86/microcode/x.bin", S_IFREG | 0644, "x", 1);
        cpio_end(&i);
        cpio_put(&i, packed, size);
        said = examine(i.data, i.size);
        if (said->code != EXIT_CODE_DONE || !strstr(said->out, "kernel " RELEASE))
                fail_msg("code %d: %s%s", said->code, said->out, said->err);
        said = examine(i.data, i.size - size / 2);
        free(i.data);
        if (said->code != EXIT_CODE_FAILED || !strstr(said->out, "stop image-damaged: "))
                fail_msg("cut off: code %d: %s%s", said->code, said->out, said->err);
}

/* The kernel and we would see different names. */
static void refuses_odd_names(void **state _unused_) {
        for (size_t at = 1; at < 4; at++) {
                struct cpio_image i = {};
                struct captured *said;

                make_machine(NULL);
                cpio_add(&i, "abc", S_IFREG | 0644, "x", 1);
                cpio_end(&i);
                i.data[110 + at] = at < 3 ? 0 : 'x';
                said = examine(i.data, i.size);
                free(i.data);
                assert_int_equal(said->code, EXIT_CODE_FAILED);
                assert_non_null(strstr(said->out, "image-damaged"));
        }
}

static void refuses_other_files(void **state _unused_) {
        struct captured *said;

        make_machine(NULL);
        said = examine("hello", 5);
        assert_int_equal(said->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(said->out, "it is no initramfs"));
        said = examine("", 0);
        assert_non_null(strstr(said->out, "image-damaged"));
        said = RUN(verb_doctor, "--initramfs", "/nonexistent");
        assert_int_equal(said->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(said->err, "/nonexistent: No such file"));
        said = RUN(verb_doctor, "--initramfs", "/dev/zero");
        assert_int_equal(said->code, EXIT_CODE_FAILED);
}

/* Without an image: the node. */
static void examines_the_node(void **state _unused_) {
        struct captured *said;
        char root[128];

        snprintf(root, sizeof(root), "%s/root", top);
        make_machine(&(struct change) { .machine = true, .path = "sys/kernel/kexec_loaded", .content = "1" });
        said = RUN(verb_doctor, "--root", root);
        assert_int_equal(said->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(said->out, "risk init-on-free: the kernel runs without init_on_free=1: what"));
        assert_non_null(strstr(said->out, "note kexec: "));
        assert_non_null(strstr(said->out, "\nthis node: 1 finding, 1 note\n"));
        said = RUN(verb_doctor, "--root", root, "--json");
        assert_non_null(strstr(said->out, "\"id\": \"init-on-free\""));
        assert_null(strstr(said->out, "\"image\""));
        assert_non_null(strstr(said->out, "\"subject\": \"node\""));
        assert_non_null(strstr(said->out, "\"ok\": false"));
        make_machine(&(struct change) { .machine = true, .path = "proc/cmdline", .content = "init_on_free=1" });
        said = RUN(verb_doctor, "--root", root, "--json");
        assert_int_equal(said->code, EXIT_CODE_DONE);
        assert_non_null(strstr(said->out, "\"ok\": true"));
        said = RUN(verb_doctor, "--root", root);
        assert_int_equal(said->code, EXIT_CODE_DONE);
        assert_string_equal(said->out, "this node: no findings\n");
        make_machine(&(struct change) { .machine = true, .path = "etc/cmkd/cmkd.conf", .content = "[Vault v]\nHots=x\n" });
        said = RUN(verb_doctor, "--root", root);
        assert_int_equal(said->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(said->out, "stop config-bad: "));
        assert_non_null(strstr(said->out, "cmkd.conf:2: there is no Hots= in [Vault v]"));
}

static void put32(uint8_t *p, uint32_t v) {
        for (unsigned i = 0; i < 4; i++)
                p[i] = (uint8_t) (v >> 8 * i);
}

/* Kernel and image in one file: the section .initrd is read, what follows it is not. */
static void reads_unified_images(void **state _unused_) {
        struct cpio_image i = {};
        uint8_t head[512] = "MZ";
        struct captured *said;

        make_machine(NULL);
        put32(head + 60, 64);
        memcpy(head + 64, "PE\0", 4);
        head[64 + 4 + 2] = 2;                             /* sections */
        head[64 + 4 + 16] = 240;                          /* size of the optional header */
        put32(head + 64 + 24, 0x20b);
        memcpy(head + 64 + 24 + 240, ".linux", 7);
        memcpy(head + 64 + 24 + 280, ".initrd", 8);
        cpio_put(&i, head, sizeof(head));
        make_image(&i, NULL);
        put32(i.data + 64 + 24 + 280 + 8, (uint32_t) i.size - 512);
        put32(i.data + 64 + 24 + 280 + 16, (uint32_t) i.size - 512 + 100);
        put32(i.data + 64 + 24 + 280 + 20, 512);
        cpio_put(&i, "not an archive, and not zero", 28);
        said = examine(i.data, i.size);
        assert_int_equal(said->code, EXIT_CODE_DONE);
        assert_non_null(strstr(said->out, "(UKI), without a signature"));
        put32(i.data + 64 + 24 + 112 + 36, 1000);         /* size of the certificates */
        said = examine(i.data, i.size);
        assert_non_null(strstr(said->out, "(UKI), signed"));
        memcpy(i.data + 64 + 24 + 280, ".initRD", 8);
        said = examine(i.data, i.size);
        free(i.data);
        assert_int_equal(said->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(said->out, "an executable without an initramfs"));
}

/* The kernel's version is a name in the archive. */
static void release_is_printed_clean(void **state _unused_) {
        struct cpio_image i = {};
        struct captured *said;

        make_machine(NULL);
        cpio_add(&i, "usr/lib/modules/6\033[2J\xc2\x9b/kernel/x.ko", S_IFREG | 0644, "x", 1);
        cpio_end(&i);
        said = examine(i.data, i.size);
        free(i.data);
        assert_non_null(strstr(said->out, "kernel 6?[2J?, "));
        assert_null(strchr(said->out, '\033'));
}

/* Names of libraries and of the loader are paths: what is longer than any is no reason to copy it. */
static void bounds_texts_of_programs(void **state _unused_) {
        static _Alignas(Elf64_Ehdr) uint8_t data[SMALL_ELF_SIZE + 8192];

        for (size_t length = 4095; length <= 4096; length++)
                for (unsigned which = 0; which < 2; which++) {
                        size_t size = make_elf(data, LOADER, "libc.so.6", 1), strings;
                        Elf64_Ehdr *h = (Elf64_Ehdr *) data;
                        Elf64_Phdr *p = (Elf64_Phdr *) (data + h->e_phoff);
                        struct elf_facts facts = {};
                        int r;

                        memset(data + size, 'x', length);
                        data[size + length] = 0;
                        p[0].p_filesz = sizeof(data);
                        for (unsigned i = 0; i < h->e_phnum; i++) {
                                Elf64_Dyn *d = (Elf64_Dyn *) (data + p[i].p_offset);

                                if (p[i].p_type == PT_INTERP && which == 0)
                                        p[i].p_offset = size;
                                strings = p[i].p_type == PT_DYNAMIC ? d[1].d_un.d_ptr - 0x1000 : 0;
                                if (p[i].p_type == PT_DYNAMIC && which == 1)
                                        d[0].d_un.d_val = size - strings;
                        }
                        r = elf_read(data, size + length + 1, &facts);
                        assert_int_equal(r, length < 4096 ? 0 : -EBADMSG);
                        if (r >= 0)
                                assert_int_equal(strlen(which == 0 ? facts.interpreter : facts.needed[0]), length);
                        elf_release(&facts);
                }
}

/* What the machine cannot say of a disk in a test: the header's own answer. */
static void judges_recovery_keys(void **state _unused_) {
        static const struct { int answer; enum finding_kind kind; } cases[] = {
                { 0, FINDING_NO_RECOVERY_KEY }, { -EPERM, FINDING_RECOVERY_UNKNOWN }, { 1, _FINDING_MAX },
        };

        for (size_t k = 0; k < ELEMENTSOF(cases); k++) {
                struct machine m = { .root = "", .n_volumes = 1, .secure_boot = 1 };
                struct image i = {};
                struct case_file c = { .image = &i, .machine = &m };
                struct findings l = {};
                bool found = false;

                strcpy(m.volumes[0].entry.name, "root");
                m.volumes[0].recovery_key = cases[k].answer;
                judge_volumes(&c, &l);
                for (size_t n = 0; n < l.n; n++) {
                        found |= l.list[n].kind == cases[k].kind;
                        if (cases[k].kind == _FINDING_MAX)
                                assert_true(l.list[n].kind != FINDING_NO_RECOVERY_KEY);
                }
                assert_int_equal(found, cases[k].kind != _FINDING_MAX);
                findings_release(&l);
        }
}

static void prints_json(void **state _unused_) {
        struct cpio_image i = {};
        char root[128];
        struct captured *said;

        make_machine(NULL);
        make_image(&i, &changes[1]);
        assert_int_equal(write_file_atomic(image_path_text, i.data, i.size, 0600), 0);
        free(i.data);
        snprintf(root, sizeof(root), "%s/root", top);
        said = RUN(verb_doctor, "--json", "--initramfs", image_path_text, "--root", root);
        assert_int_equal(said->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(said->out, "\"network-driver\""));
        assert_non_null(strstr(said->out, "\"cure\""));
        assert_non_null(strstr(said->out, "\"subject\": \"image\""));
}

int main(void) {
        static struct CMUnitTest tests[ELEMENTSOF(changes) + 16];
        const struct CMUnitTest more[] = {
                { "gzip", reads_compressed, NULL, NULL, (void *) "gzip" },
                { "zstd", reads_compressed, NULL, NULL, (void *) "zstd" },
                { "xz", reads_compressed, NULL, NULL, (void *) "xz --check=crc32" },
                { "lz4", reads_compressed, NULL, NULL, (void *) "lz4 -l" },
                cmocka_unit_test(reads_unified_images), cmocka_unit_test(refuses_other_files), cmocka_unit_test(examines_the_node),
                        cmocka_unit_test(refuses_odd_names),
                cmocka_unit_test(bounds_texts_of_programs), cmocka_unit_test(release_is_printed_clean),
                cmocka_unit_test(judges_recovery_keys),
                cmocka_unit_test(prints_json),
        };
        size_t n = 0;

        for (size_t k = 0; k < ELEMENTSOF(changes); k++)
                tests[n++] = (struct CMUnitTest) { changes[k].name, finds, NULL, NULL, (void *) &changes[k] };
        memcpy(tests + n, more, sizeof(more));
        return _cmocka_run_group_tests("doctor", tests, n + ELEMENTSOF(more), set_up, tear_down);
}
