/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/doctor/pe.c daemon/ctl/doctor/cpio.c daemon/ctl/doctor/elf.c daemon/ctl/doctor/image.c

/* An initramfs is a stranger's bytes to the doctor. They come in pieces whose size the first byte chooses: the model that
 * comes out must be in order, and its paths must not lead out of it. The bytes are tried as
 * a program and as a UKI by themselves too. */

#include "ctl/doctor/image.h"
#include "ctl/doctor/pe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok) {
        if (!ok)
                abort();
}

static bool look(const struct image_file *f, void *user) {
        const struct image *i = user;

        check(*f->path && *f->path != '/' && !strstr(f->path, "/../") && !startswith(f->path, "../"));
        check(!f->data || !f->data[f->size]);
        check(f->elf.n_needed <= ELF_NEEDED_MAX);
        (void) image_text(i, f->path);
        return false;
}

static void try_elf(const uint8_t *data, size_t size) {
        struct elf_facts e;

        if (elf_read(data, size, &e) < 0)
                return;
        check(strlen(e.build_id) < sizeof(e.build_id));
        elf_release(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct image i = {};
        struct cpio_sink sink = image_sink(&i);
        struct cpio c;
        struct pe_facts facts;
        size_t at = 1, step, used;
        int r = 0;

        if (size == 0)
                return 0;
        step = (size_t) *data + 1;
        cpio_init(&c, &sink);
        while (r == 0 && at < size) {
                size_t n = MIN_OF(step, size - at);

                r = cpio_feed(&c, data + at, n, &used);
                check(r < 0 || used <= n);
                check(r != 0 || used == n);
                at += n;
        }
        image_finish(&i);
        for (size_t k = 1; k < i.n_files; k++)
                check(strcmp(i.files[k - 1].path, i.files[k].path) < 0);
        image_any(&i, "", look, &i);
        (void) image_has_module(&i, "dm_crypt");
        image_release(&i);
        try_elf(data, size);
        (void) pe_read(data, size, &facts);
        return 0;
}
