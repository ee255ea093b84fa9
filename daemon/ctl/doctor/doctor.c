/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/print.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "algorithms.h"
#include "config-copy.h"
#include "findings.h"
#include "keys.h"
#include "blindness.h"
#include "leaks.h"
#include "leftovers.h"
#include "lists.h"
#include "running.h"
#include "secrets.h"
#include "unpack.h"
#include "versions.h"

/* cmkctl doctor: where this node leaks what its volumes hold, and a list of revoked certificates that it lacks. With --initramfs IMAGE: what would stop it from booting with
 * that image. Needs no daemon. With --vaults, as root and by the worker: what is wrong with the keys of the configuration. Exit code 0: nothing but notes; 1: findings, or an image that could not be read. */

static const char *const severities[] = { "stop", "risk", "note" };

struct report {
        const char *path;
        struct image image;
        struct unpack_result unpacked;
        struct findings findings;
        bool is_readable, of_keys;
};

static void report_release(struct report *r) {
        image_release(&r->image);
        findings_release(&r->findings);
}

static int read_image(struct report *r) {
        _cleanup_(closep) int fd = open(r->path, O_RDONLY|O_CLOEXEC|O_NOCTTY|O_NONBLOCK);
        _cleanup_(freep) char *why = NULL;
        struct cpio_sink sink = image_sink(&r->image);
        struct stat st;
        int k;

        if (fd < 0 || fstat(fd, &st) < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", r->path, strerror(errno));
        if (!S_ISREG(st.st_mode))
                return fail(EXIT_CODE_FAILED, "%s is no file", r->path);
        k = unpack_image(fd, &sink, &r->unpacked, &why);
        image_finish(&r->image);
        if (k == -EBADMSG || k == -E2BIG)
                finding_add(&r->findings, FINDING_IMAGE_DAMAGED, "%s: %s", r->path, why ? why : strerror(-k));
        else if (k < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", r->path, why ? why : strerror(-k));
        r->is_readable = k >= 0;
        if (k >= 0 && r->unpacked.rest_unread)
                finding_add(&r->findings, FINDING_IMAGE_REST, "%s: something follows the part compressed with %s",
                            r->path,
                            r->unpacked.compression);
        if (k >= 0 && r->unpacked.is_unified)
                finding_add(&r->findings, FINDING_UNIFIED, "%s is kernel and image in one file (UKI), %s", r->path,
                            r->unpacked.is_signed ? "signed" : "without a signature");
        return EXIT_CODE_DONE;
}

static int judge(struct report *r, const char *root) {
        _cleanup_(machine_release) struct machine m;
        _cleanup_(config_freep) struct config *config = NULL;
        _cleanup_(freep) char *why = NULL;
        struct case_file c = { .image = &r->image, .machine = &m, .now = (uint64_t) time(NULL) };
        int k;

        machine_read(&m, root, r->image.release);
        k = config_from_image(&r->image, &config, &why);
        if (k < 0 && k != -EINVAL)
                return fail(EXIT_CODE_FAILED, "the image's configuration: %s", why ? why : strerror(-k));
        c.config = config;
        c.config_why = why;
        judge_boot(&c, &r->findings);
        judge_vault(&c, &r->findings);
        judge_volumes(&c, &r->findings);
        findings_sort(&r->findings);
        return r->findings.out_of_memory ? fail(EXIT_CODE_FAILED, "out of memory") : EXIT_CODE_DONE;
}

static int examine_node(struct findings *l, const char *root) {
        find_bad_config(root, l);
        if (!*root)
                find_not_running("/run/cmkd", (uint64_t) time(NULL), l);
        find_leaks(root, l);
        find_blindness(root, l);
        find_algorithms(root, l);
        find_lists(root, (uint64_t) time(NULL), l);
        find_leftovers(root, l);
        findings_sort(l);
        return l->out_of_memory ? fail(EXIT_CODE_FAILED, "out of memory") : EXIT_CODE_DONE;
}

/* What cmkd knows of them, where it runs; and the vaults of those whose wrapped key they keep. */
static int examine_volumes(struct worker *w, const struct config *c, struct findings *l) {
        _cleanup_(json_object_putp) struct json_object *list = NULL;
        int code;

        code = ask_versions(&list);
        if (code != EXIT_CODE_DONE)
                return code;
        judge_versions(list, (uint64_t) time(NULL), l);
        return find_secret_faults(w, c, list, l);
}

static int examine_keys(struct findings *l, const char *root) {
        _cleanup_(config_freep) struct config *c = NULL;
        _cleanup_(worker_close) struct worker w = { .fd = -EBADF };
        _cleanup_(freep) char *why = NULL;
        int code, r;

        r = config_load(root, &c, &why);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "the configuration: %s", why ? why : strerror(-r));
        code = worker_open(root, &w);
        if (code == EXIT_CODE_DONE)
                code = find_key_faults(&w, c, l);
        if (code == EXIT_CODE_DONE && !*root)
                code = examine_volumes(&w, c, l);
        findings_sort(l);
        return code == EXIT_CODE_DONE && l->out_of_memory ? fail(EXIT_CODE_FAILED, "out of memory") : code;
}

static size_t count(const struct findings *l, bool notes) {
        size_t n = 0;

        for (size_t i = 0; i < l->n; i++)
                n += (finding_severity(l->list[i].kind) == SEVERITY_NOTE) == notes;
        return n;
}

static void print_lines(const struct report *r) {
        size_t n = count(&r->findings, false), notes = count(&r->findings, true);

        for (size_t i = 0; i < r->findings.n; i++) {
                const struct finding *f = r->findings.list + i;

                printf("%s %s: ", severities[finding_severity(f->kind)], finding_id(f->kind));
                print_clean(stdout, f->what);
                printf(": %s; %s\n", finding_danger(f->kind), finding_cure(f->kind));
        }
        if (r->path) {
                print_clean(stdout, r->path);
                printf(": %zu files, kernel ", r->image.n_files);
                print_clean(stdout, *r->image.release ? r->image.release : "unknown");
                printf(", %s: ", *r->unpacked.compression ? r->unpacked.compression : "not compressed");
        } else
                printf(r->of_keys ? "keys of the configuration: " : "this node: ");
        printf(n == 0 ? "no findings" : n == 1 ? "1 finding" : "%zu findings", n);
        if (notes > 0)
                printf(notes == 1 ? ", 1 note" : ", %zu notes", notes);
        putchar('\n');
}

static void put(struct json_object *o, const char *key, const char *text) {
        json_object_object_add(o, key, json_object_new_string(text));
}

/* The form is a contract, which gates of provisioning read: cmkctl(1), FINDINGS. */
static int print_report_json(const struct report *r) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();
        struct json_object *list = json_object_new_array();

        put(o, "subject", r->path ? "image" : r->of_keys ? "keys" : "node");
        json_object_object_add(o, "ok", json_object_new_boolean(count(&r->findings, false) == 0));
        if (r->path) {
                put(o, "image", r->path);
                put(o, "kernel", r->image.release);
                put(o, "compression", r->unpacked.compression);
                json_object_object_add(o, "files", json_object_new_int64((int64_t) r->image.n_files));
        }
        for (size_t i = 0; i < r->findings.n; i++) {
                const struct finding *f = r->findings.list + i;
                struct json_object *one = json_object_new_object();

                put(one, "severity", severities[finding_severity(f->kind)]);
                put(one, "id", finding_id(f->kind));
                put(one, "what", f->what);
                put(one, "danger", finding_danger(f->kind));
                put(one, "cure", finding_cure(f->kind));
                json_object_array_add(list, one);
        }
        json_object_object_add(o, "findings", list);
        return print_json(o);
}

int verb_doctor(const struct invocation *in) {
        _cleanup_(report_release) struct report r = { .path = in->values[OPTION_INITRAMFS], .of_keys = has_option(in, OPTION_VAULTS) };
        const char *root = strempty(in->values[OPTION_ROOT]);
        int code;

        if (r.path && r.of_keys)
                return fail(EXIT_CODE_USAGE, "--initramfs and --vaults are two questions");
        code = r.path ? read_image(&r) : EXIT_CODE_DONE;
        if (code == EXIT_CODE_DONE && r.is_readable)
                code = judge(&r, root);
        else if (r.of_keys)
                code = examine_keys(&r.findings, root);
        else if (!r.path)
                code = examine_node(&r.findings, root);
        if (code != EXIT_CODE_DONE)
                return code;
        if (has_option(in, OPTION_JSON))
                code = print_report_json(&r);
        else
                print_lines(&r);
        if (code != EXIT_CODE_DONE)
                return code;
        return count(&r.findings, false) > 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}
