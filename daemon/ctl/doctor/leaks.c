/* SPDX-License-Identifier: Apache-2.0 */
#include "leaks.h"

#include <limits.h>
#include <stdarg.h>

#include "backing.h"
#include "common/ini-reader.h"
#include "common/kernel-parameter.h"

#define FILE_MAX (1u << 16)
#define COREDUMP_DIR "/var/lib/systemd/coredump"

static char *_printf_(1, 2) read_text(const char *format, ...) {
        char path[PATH_MAX], *text;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(path, sizeof(path), format, ap);
        va_end(ap);
        if (n >= (int) sizeof(path) || read_small_file(path, FILE_MAX, &text, NULL) < 0)
                return NULL;
        return text;
}

static bool is_one(const char *text) {
        return text && *text == '1';
}

static void look_at_free_memory(const char *command_line, struct findings *l) {
        if (!kernel_parameter_is_on(command_line, "init_on_free"))
                finding_add(l, FINDING_INIT_ON_FREE, "the kernel runs without init_on_free=1");
}

/* Filename Type Size Used Priority; returns whether a hibernation image would find room in one of them. */
static bool look_at_swap(const char *root, struct findings *l) {
        _cleanup_(freep) char *text = read_text("%s/proc/swaps", root);
        char *rest = text, *line;
        bool on_disk = false;

        while (text && (line = strsep(&rest, "\n"))) {
                char path[PATH_MAX], type[16];
                enum backing b;

                if (sscanf(line, "%4095s %15s", path, type) != 2 || *path != '/')
                        continue;
                b = backing_of_path(root, path);
                on_disk |= b != BACKING_MEMORY;
                if (b == BACKING_PLAIN || b == BACKING_UNKNOWN)
                        finding_add(l, FINDING_PLAIN_SWAP, "swap on %s, which is %s", path,
                                    b == BACKING_PLAIN ? "not encrypted" : "not known to be encrypted");
        }
        return on_disk;
}

static void look_at_kexec(const char *root, struct findings *l) {
        _cleanup_(freep) char *crash = read_text("%s/sys/kernel/kexec_crash_loaded", root);
        _cleanup_(freep) char *next = read_text("%s/sys/kernel/kexec_loaded", root);

        if (is_one(crash))
                finding_add(l, FINDING_KDUMP, "a kernel for crash dumps is loaded");
        if (is_one(next))
                finding_add(l, FINDING_KEXEC, "a kernel to go on with is loaded");
}

static void look_at_hibernation(const char *root, const char *command_line, bool has_swap, struct findings *l) {
        _cleanup_(freep) char *state = read_text("%s/sys/power/state", root);
        _cleanup_(freep) char *how = read_text("%s/sys/power/disk", root);
        _cleanup_(freep) char *resume = read_text("%s/sys/power/resume", root);
        _cleanup_(freep) char *named = kernel_parameter(command_line, "resume");

        if (!state || !strstr(state, "disk") || !how || strstr(how, "[disabled]"))
                return;
        if (named)
                finding_add(l, FINDING_HIBERNATION, "the kernel can hibernate, and looks for its image on %s", named);
        else if (resume && strcspn(resume, "123456789") < strlen(resume))
                finding_add(l, FINDING_HIBERNATION, "the kernel can hibernate, and looks for its image on device %.*s",
                            (int) strcspn(resume, "\n"), resume);
        else if (has_swap)
                finding_add(l, FINDING_HIBERNATION, "the kernel can hibernate to the swap that is on");
}

static int read_storage(void *user, const char *section, const char *key, const char *value) {
        bool *none = user;

        if (streq(section, "Coredump") && streq(key, "Storage"))
                *none = streq(value, "none");
        return 0;
}

static bool keeps_no_cores(const char *root) {
        _cleanup_(freep) char *text = read_text("%s/etc/systemd/coredump.conf", root);
        bool none = false;
        unsigned line;

        return text && ini_read(text, strlen(text), read_storage, &none, &line) >= 0 && none;
}

static void look_at_piped_cores(const char *root, const char *program, struct findings *l) {
        int n = (int) strcspn(program, " ");
        const char *base = memrchr(program, '/', (size_t) n);

        base = base ? base + 1 : program;
        n -= (int) (base - program);
        if ((n == 4 && startswith(base, "true")) || (n == 5 && startswith(base, "false")))
                return;
        if (!startswith(base, "systemd-coredump"))
                finding_add(l, FINDING_CORES, "core dumps go to the program %.*s", n, base);
        else if (!keeps_no_cores(root) && backing_of_path(root, COREDUMP_DIR) == BACKING_PLAIN)
                finding_add(l, FINDING_CORES, "core dumps are kept in " COREDUMP_DIR ", which is not encrypted");
}

static void look_at_cores(const char *root, struct findings *l) {
        _cleanup_(freep) char *pattern = read_text("%s/proc/sys/kernel/core_pattern", root);

        if (!pattern)
                return;
        pattern[strcspn(pattern, "\n")] = 0;
        if (*pattern == '|')
                look_at_piped_cores(root, pattern + 1 + strspn(pattern + 1, " "), l);
        else if (*pattern == '/' && backing_of_path(root, pattern) != BACKING_MEMORY &&
                 backing_of_path(root, pattern) != BACKING_ENCRYPTED)
                finding_add(l, FINDING_CORES, "core dumps go to %s, which is not known to be encrypted", pattern);
        else if (*pattern && *pattern != '/')
                finding_add(l, FINDING_CORES_BESIDE, "core dumps go to the working directory of who crashes (%s)", pattern);
}

void find_leaks(const char *root, struct findings *l) {
        _cleanup_(freep) char *command_line = read_text("%s/proc/cmdline", root);

        look_at_free_memory(strempty(command_line), l);
        look_at_kexec(root, l);
        look_at_hibernation(root, strempty(command_line), look_at_swap(root, l), l);
        look_at_cores(root, l);
}
