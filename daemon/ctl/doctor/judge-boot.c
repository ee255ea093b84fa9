/* SPDX-License-Identifier: Apache-2.0 */
#include "findings.h"

#include <sys/stat.h>

#define MODULES "usr/lib/modules/"
#define LIBRARIES_MAX 512u

static bool has_module(const struct case_file *c, const char *name) {
        return image_has_module(c->image, name) || module_list_has(c->machine->builtin, name);
}

/* ---- modules ---- */

struct closure {
        const struct case_file *c;
        struct findings *findings;
        const char *module;
};

/* A line of modules.dep: "path: path path". Reports those that the image does not have. */
static void check_dependencies(const struct closure *k, const char *line, size_t size) {
        _cleanup_(freep) char *copy = strndup(line, size);
        char path[CPIO_NAME_MAX + 160], *rest, *word;

        rest = copy ? strchr(copy, ':') : NULL;
        if (!rest)
                return;
        rest++;
        while ((word = strsep(&rest, " "))) {
                if (!*word)
                        continue;
                snprintf(path, sizeof(path), MODULES "%s/%s", k->c->image->release, word);
                if (!image_find(k->c->image, path))
                        finding_add(k->findings, FINDING_MODULE_DEPENDENCY,
                                    "the module %s needs %s, which is not in the image", k->module, word);
        }
}

static void check_module(const struct case_file *c, const char *module, struct findings *l) {
        const struct closure k = { c, l, module };
        char path[256];
        const char *line;

        snprintf(path, sizeof(path), MODULES "%s/modules.dep", c->image->release);
        line = image_text(c->image, path);
        while (line && *line) {
                size_t n = strcspn(line, "\n"), first = MIN_OF(strcspn(line, ":"), n);
                _cleanup_(freep) char *name = strndup(line, first);

                if (name && module_list_has(name, module))
                        check_dependencies(&k, line, n);
                line += n + (line[n] == '\n');
        }
}

static void judge_drivers(const struct case_file *c, struct findings *l) {
        for (size_t i = 0; i < c->machine->n_drivers; i++) {
                const struct machine_driver *d = c->machine->drivers + i;
                bool network = d->kind == DRIVER_NETWORK;

                if (has_module(c, d->module))
                        check_module(c, d->module, l);
                else
                        finding_add(l, network ? FINDING_NETWORK_DRIVER : FINDING_DISK_DRIVER,
                                    "the image has no module %s, which the %s %s needs", d->module,
                                    network ? "network card" : "disk", d->device);
        }
}

static void judge_crypto(const struct case_file *c, struct findings *l) {
        static const char *const needed[] = { "dm_mod", "dm_crypt", "xts" };
        static const char *const aes[] = { "aes_generic", "aesni_intel", "aes_x86_64", "aes", "aes_ce_blk",
                                           "aes_arm64" };
        bool has_aes = false;

        for (size_t i = 0; i < ELEMENTSOF(needed); i++) {
                if (has_module(c, needed[i]))
                        check_module(c, needed[i], l);
                else
                        finding_add(l, FINDING_CRYPTO, "the image has no module %s", needed[i]);
        }
        for (size_t i = 0; i < ELEMENTSOF(aes); i++)
                has_aes |= has_module(c, aes[i]);
        if (!has_aes)
                finding_add(l, FINDING_CRYPTO, "the image has no module of the cipher aes");
}

/* ---- programs and libraries ---- */

struct library_search {
        const char *name;
        const struct image_file *found;
};

static bool match_library(const struct image_file *f, void *user) {
        struct library_search *s = user;
        const char *slash = strrchr(f->path, '/');

        if (!slash || !streq(slash + 1, s->name))
                return false;
        s->found = f;
        return true;
}

static const struct image_file *find_library(const struct image *i, const char *name) {
        struct library_search s = { .name = name };

        return image_any(i, "usr/lib", match_library, &s) ? image_find(i, s.found->path) : NULL;
}

/* Everything that a program loads at its start, by and by: no library is looked at twice. */
static void check_libraries(const struct case_file *c, const struct image_file *program, struct findings *l) {
        const struct image_file *seen[LIBRARIES_MAX] = { program };
        size_t n = 1;

        if (program->elf.interpreter && !image_find(c->image, program->elf.interpreter))
                finding_add(l, FINDING_LIBRARY, "/%s needs %s, which is not in the image", program->path,
                            program->elf.interpreter);
        for (size_t i = 0; i < n; i++) {
                for (size_t k = 0; k < seen[i]->elf.n_needed; k++) {
                        const struct image_file *f = find_library(c->image, seen[i]->elf.needed[k]);
                        bool known = false;

                        if (!f)
                                finding_add(l, FINDING_LIBRARY, "/%s needs %s, which is not in the image",
                                            seen[i]->path,
                                            seen[i]->elf.needed[k]);
                        for (size_t s = 0; s < n; s++)
                                known |= seen[s] == f;
                        if (f && !known && n < ELEMENTSOF(seen))
                                seen[n++] = f;
                }
        }
}

/* By build id: a builder of images may strip what it copies. */
static void check_same_build(const struct case_file *c, const struct image_file *f, struct findings *l) {
        struct elf_facts installed;

        if (!f->is_elf || machine_read_program(c->machine, f->path, &installed) < 0)
                return;
        if (!streq(f->elf.build_id, installed.build_id))
                finding_add(l, FINDING_PROGRAM_OTHER, "/%s in the image is another build than the one installed",
                            f->path);
        elf_release(&installed);
}

static void judge_programs(const struct case_file *c, struct findings *l) {
        static const char *const programs[] = {
                "usr/lib/cmkd/cmkd", "usr/lib/cmkd/cmkd-vault", "usr/lib/cmkd/cmkd-disk", "usr/lib/cmkd/cmkd-ladder",
                "usr/lib/cmkd/cmkd-audit", "usr/lib/cmkd/cmkd-breaker", "usr/bin/cmkctl",
        };

        for (size_t i = 0; i < ELEMENTSOF(programs); i++) {
                const struct image_file *f = image_find(c->image, programs[i]);

                if (!f || !S_ISREG(f->mode)) {
                        finding_add(l, FINDING_PROGRAM_MISSING, "the image has no /%s", programs[i]);
                        continue;
                }
                if (!(f->mode & 0100) || (!f->is_elf && f->size == 0))
                        finding_add(l, FINDING_PROGRAM_MISSING, "/%s in the image cannot be executed", programs[i]);
                check_libraries(c, f, l);
                check_same_build(c, f, l);
        }
}

/* ---- who asks for the volume ---- */

static bool is_systemd(const struct image *i) {
        return image_find(i, "usr/lib/systemd/systemd") != NULL;
}

/* A line of crypttab, or the kernel's command line, that leaves the volume to systemd-cryptsetup. */
static bool is_left_to_systemd(const struct case_file *c) {
        const char *crypttab = image_text(c->image, "etc/crypttab");

        if (!is_systemd(c->image))
                return false;
        for (size_t i = 0; i < c->machine->n_volumes; i++) {
                const char *uuid = c->machine->volumes[i].entry.uuid;

                if ((crypttab && strstr(crypttab, uuid)) ||
                    (c->machine->command_line && strstr(c->machine->command_line, "rd.luks") &&
                     strstr(c->machine->command_line, uuid)))
                        return true;
        }
        return false;
}

static void judge_plugin(const struct case_file *c, struct findings *l) {
        const struct image_file *f = find_library(c->image, "libcryptsetup-token-cmkd.so");

        if (f) {
                check_libraries(c, f, l);
                check_same_build(c, f, l);
        } else if (is_left_to_systemd(c)) {
                finding_add(l, FINDING_PLUGIN, "systemd-cryptsetup is to open the volume, and the image has no token "
                            "plugin of cmkd");
        }
}

/* crypttab of initramfs-tools: "NAME SOURCE KEY OPTION,keyscript=PATH,OPTION". */
static void judge_keyscripts(const struct case_file *c, struct findings *l) {
        const char *text = image_text(c->image, "cryptroot/crypttab");

        while (text && (text = strstr(text, "keyscript="))) {
                char path[512];
                size_t n;

                text += strlen("keyscript=");
                n = strcspn(text, ", \t\n");
                if (n == 0 || n >= sizeof(path))
                        continue;
                memcpy(path, text, n);
                path[n] = 0;
                if (!image_find(c->image, path))
                        finding_add(l, FINDING_KEYSCRIPT, "the image's crypttab names the keyscript %s, which is not "
                                    "in the image", path);
        }
}

static bool has_word(const char *text, const char *word) {
        const size_t n = strlen(word);

        for (const char *p = text; p && (p = strstr(p, word)); p += n)
                if ((p == text || p[-1] == ' ') && strchr(" \n", p[n]))
                        return true;
        return false;
}

static bool match_start(const struct image_file *f, void *user _unused_) {
        const char *name = strrchr(f->path, '/');

        return name && startswith(name + 1, "cmkd") && !S_ISDIR(f->mode);
}

static void judge_start(const struct case_file *c, struct findings *l) {
        static const char *const places[] = { "scripts/", "usr/lib/systemd/system/", "etc/systemd/system/",
                                              "usr/lib/dracut/hooks/", "var/lib/dracut/hooks/" };
        const char *crypttab = image_text(c->image, "cryptroot/crypttab");

        if (has_word(c->machine->command_line, "cmkd.off"))
                finding_add(l, FINDING_COMMAND_LINE, "the kernel's command line says cmkd.off");
        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                if (image_any(c->image, places[i], match_start, NULL) &&
                    (!strstr(places[i], "systemd") || is_systemd(c->image)))
                        return;
        if (crypttab && strstr(crypttab, "cmkd-keyscript"))
                return;
        finding_add(l, FINDING_START, "no script and no unit of the image starts cmkd");
}

static void judge_network_setup(const struct case_file *c, struct findings *l) {
        static const char *const programs[] = {
                "usr/lib/systemd/systemd-networkd", "usr/bin/ipconfig", "usr/lib/klibc/bin/ipconfig", "usr/sbin/dhcpcd",
                "usr/sbin/dhclient", "usr/sbin/udhcpc", "usr/bin/udhcpc", "usr/sbin/NetworkManager", "usr/bin/connmand",
        };

        if (has_word(c->machine->command_line, "ip=off") || has_word(c->machine->command_line, "ip=none"))
                finding_add(l, FINDING_COMMAND_LINE, "the kernel's command line says that no network card gets an address "
                            "(ip=)");
        for (size_t i = 0; i < ELEMENTSOF(programs); i++)
                if (image_find(c->image, programs[i]))
                        return;
        finding_add(l, FINDING_NETWORK_SETUP, "nothing in the image sets up a network card");
}

void judge_boot(const struct case_file *c, struct findings *l) {
        if (*c->image->release) {
                judge_drivers(c, l);
                judge_crypto(c, l);
        } else {
                finding_add(l, FINDING_NO_MODULES, "the image has no kernel modules");
        }
        judge_network_setup(c, l);
        judge_programs(c, l);
        judge_plugin(c, l);
        judge_keyscripts(c, l);
        judge_start(c, l);
}
