/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle.h"

#include "bundle-file.h"
#include "veil.h"
#include "common/json-text.h"
#include "review.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define NAMES_MAX 4096u                    /* files of a trail */

/* The part of a trail that goes out: lines, from 1. */
struct stretch {
        uint64_t first_line, last_line, first, last;
        uint8_t before[CHAIN_HASH_SIZE], hash[CHAIN_HASH_SIZE];
};

static void add_hash(struct json_object *o, const char *name, const uint8_t hash[static CHAIN_HASH_SIZE]) {
        char hex[CHAIN_HEX_SIZE + 1];

        chain_to_hex(hash, hex);
        json_put_text(o, name, hex);
}

static bool is_inside(const struct bundle *b, const struct record *r) {
        return r->realtime_usec >= b->since_usec && (b->until_usec == 0 || r->realtime_usec <= b->until_usec);
}

static int find_stretch(const struct bundle *b, struct stretch *ret) {
        _cleanup_(reader_freep) struct reader *reader = NULL;
        struct stretch s = {};
        uint64_t line = 0;                 /* of all files together */
        int r = reader_open(b->trail, &reader);

        while (r >= 0) {
                _cleanup_(record_done) struct record record = {};

                r = reader_next(reader, &record);
                if (r == 0)
                        break;
                line++;
                if (r == -EBADMSG || r == -EPROTONOSUPPORT)
                        r = 1;
                else if (r > 0 && is_inside(b, &record)) {
                        if (s.first_line == 0) {
                                s.first_line = line;
                                s.first = record.sequence;
                                memcpy(s.before, record.prev, sizeof(s.before));
                        }
                        s.last_line = line;
                        s.last = record.sequence;
                        memcpy(s.hash, record.hash, sizeof(s.hash));
                }
        }
        if (r < 0)
                return r;
        if (s.first_line == 0)
                return -ENODATA;
        *ret = s;
        return 0;
}

static int write_lines(const struct bundle *b, const struct stretch *s, struct bundle_file *f) {
        _cleanup_(reader_freep) struct reader *reader = NULL;
        const char *line;
        uint64_t n = 0;
        size_t size;
        int r = reader_open(b->trail, &reader);

        while (r >= 0) {
                r = reader_next_line(reader, &line, &size);
                if (r == 0 || ++n > s->last_line)
                        return 0;
                if (r == -EMSGSIZE)
                        r = 1;             /* too long to be a record: verify says so of the trail */
                else if (r > 0 && n >= s->first_line) {
                        r = bundle_file_add(f, line, size);
                        if (r >= 0)
                                r = bundle_file_add(f, "\n", 1);
                }
        }
        return r;
}

/* The lines of a stretch, and a head for them. */
static int write_stretch(const struct bundle *b, struct bundle_files *files, const struct stretch *s) {
        _cleanup_(bundle_file_freep) struct bundle_file *f = NULL;
        char head[128], hex[CHAIN_HEX_SIZE + 1];
        int r;

        chain_to_hex(s->hash, hex);
        snprintf(head, sizeof(head), "v1 %llu %s\n", (unsigned long long) s->last, hex);
        r = bundle_file_new(files, "trail.jsonl", &f);
        if (r >= 0)
                r = write_lines(b, s, f);
        if (r >= 0)
                r = bundle_file_end(f);
        return r < 0 ? r : bundle_file_text(files, "trail.head", head);
}

/* The head first: it is never ahead of the trail that is read after it. */
static int head_first(const void *a, const void *b) {
        const char *x = *(const char *const *) a, *y = *(const char *const *) b;
        bool p = strstr(x, ".head"), q = strstr(y, ".head");

        return p != q ? q - p : strcmp(x, y);
}

/* In a line of SHA256SUMS. */
static bool is_plain(const char *name) {
        return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == strlen(name);
}

/* All that belongs to the trail has its name up to a full stop or a dash. */
static int list_files(const char *dir, const char *stem, char **names, size_t *ret_n) {
        DIR *d = opendir(dir);
        size_t n = 0, k = strlen(stem);
        struct dirent *e;
        int r = 0;

        if (!d)
                return -errno;
        while (r >= 0 && (e = readdir(d))) {
                if (strncmp(e->d_name, stem, k) != 0 || !e->d_name[k] || !strchr(".-", e->d_name[k]) || !is_plain(e->d_name))
                        continue;
                r = n < NAMES_MAX ? 0 : -E2BIG;
                if (r >= 0 && !(names[n++] = strdup(e->d_name)))
                        r = -ENOMEM;
        }
        closedir(d);
        *ret_n = n;
        return r;
}

static int copy_all(const struct bundle *b, struct bundle_files *files) {
        _cleanup_(freep) char *dir = strdup(b->trail), *stem = NULL;
        _cleanup_(freep) char **names = calloc(NAMES_MAX, sizeof(char *));
        char *slash = dir ? strrchr(dir, '/') : NULL;
        size_t n = 0;
        int r;

        stem = strdup(slash ? slash + 1 : b->trail);
        if (!dir || !stem || !names)
                return -ENOMEM;
        if (slash)
                slash[slash == dir] = 0;
        if (strlen(stem) > 6 && streq(stem + strlen(stem) - 6, ".jsonl"))
                stem[strlen(stem) - 6] = 0;
        r = list_files(slash ? dir : ".", stem, names, &n);
        if (r >= 0)
                qsort(names, n, sizeof(*names), head_first);
        for (size_t i = 0; i < n; i++) {
                if (r >= 0)
                        r = bundle_file_copy(files, slash ? dir : ".", names[i]);
                free(names[i]);
        }
        return r;
}

static struct json_object *verification(const struct trail_report *t) {
        struct json_object *o = json_object_new_object(), *list = json_object_new_array();

        json_object_object_add(o, "verified", json_object_new_boolean(t->n_problems == 0));
        json_put_number(o, "records", t->records);
        json_put_number(o, "sealed", t->sealed);
        json_put_number(o, "files", t->files);
        json_put_number(o, "first", t->first_sequence);
        json_put_number(o, "last", t->last_sequence);
        add_hash(o, "head", t->head);
        json_object_object_add(o, "head_checked", json_object_new_boolean(t->head_checked));
        json_put_number(o, "problem_count", t->n_problems);
        for (uint64_t i = 0; i < MIN_OF(t->n_problems, (uint64_t) TRAIL_PROBLEMS_MAX); i++) {
                struct json_object *p = json_object_new_object();

                json_put_text(p, "kind", trail_problem_to_string(t->problems[i].kind));
                json_put_text(p, "file", t->problems[i].file);
                json_put_number(p, "line", t->problems[i].line);
                json_put_text(p, "text", t->problems[i].text);
                json_object_array_add(list, p);
        }
        json_object_object_add(o, "problems", list);
        return o;
}

/* PRETTY_NAME of os-release(5), without its quotes. */
static void os_name(char *buf, size_t size) {
        _cleanup_(freep) char *text = NULL;
        const char *p;

        *buf = 0;
        if (read_small_file("/etc/os-release", 65536, &text, NULL) < 0)
                return;
        p = strstr(text, "PRETTY_NAME=\"");
        if (p)
                snprintf(buf, size, "%.*s", (int) strcspn(p + 13, "\"\n"), p + 13);
}

/* What stands for a name in the manifest; "": nothing may. */
static const char *told(const struct bundle *b, const char *name, char buf[static AUDIT_VALUE_MAX + 1]) {
        if (!b->strict)
                return name;
        if (!b->privacy || veil_name(b->privacy, name, buf, AUDIT_VALUE_MAX + 1) < 0)
                return "";
        return buf;
}

static void add_node(const struct bundle *b, struct json_object *o) {
        struct json_object *node = json_object_new_object();
        char os[256], buf[AUDIT_VALUE_MAX + 1];
        struct utsname u = {};

        (void) uname(&u);
        os_name(os, sizeof(os));
        json_put_text(node, "name", told(b, u.nodename, buf));
        json_put_text(node, "kernel", u.release);
        json_put_text(node, "architecture", u.machine);
        json_put_text(node, "os", os);
        json_object_object_add(o, "node", node);
}

static int write_manifest(const struct bundle *b, struct bundle_files *files, const struct stretch *s) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();
        struct json_object *list = json_object_new_array();
        char made[64], buf[AUDIT_VALUE_MAX + 1];
        _cleanup_(freep) char *text = NULL;

        if (!o || !list)
                return -ENOMEM;
        review_time(instant_now().realtime_usec, made, sizeof(made));
        json_put_text(o, "format", "cmkd audit export 1");
        json_put_text(o, "made_utc", made);
        json_put_text(o, "cmkd", VERSION);
        if (b->own)
                add_node(b, o);
        else
                json_object_object_add(o, "node", NULL);
        json_put_text(o, "trail", b->trail);
        json_object_object_add(o, "whole_trail", verification(b->report));
        if (s) {
                struct json_object *part = json_object_new_object();

                json_put_number(part, "first", s->first);
                json_put_number(part, "last", s->last);
                add_hash(part, "follows", s->before);
                add_hash(part, "head", s->hash);
                json_object_object_add(o, "part", part);
        }
        for (char *const *word = b->baseline; word && *word; word++)
                if (*told(b, *word, buf))
                        json_object_array_add(list, json_object_new_string(told(b, *word, buf)));
        json_object_object_add(o, "baseline", list);
        list = json_object_new_array();
        for (size_t i = 0; i < files->n; i++) {
                struct json_object *one = json_object_new_object();

                json_put_text(one, "name", files->f[i].name);
                json_put_number(one, "size", files->f[i].size);
                json_put_text(one, "sha256", files->f[i].sum);
                json_object_array_add(list, one);
        }
        json_object_object_add(o, "files", list);
        if (asprintf(&text, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY|JSON_C_TO_STRING_SPACED|
                                                                      JSON_C_TO_STRING_NOSLASHESCAPE)) < 0)
                return -ENOMEM;
        return bundle_file_text(files, "MANIFEST.json", text);
}

static int fill(const struct bundle *b, struct bundle_files *files, char ret_sum[static CHAIN_HEX_SIZE + 1]) {
        bool part = b->since_usec > 0 || b->until_usec > 0;
        struct stretch s = {};
        int r;

        r = part ? find_stretch(b, &s) : copy_all(b, files);
        if (r >= 0 && part)
                r = write_stretch(b, files, &s);
        if (r >= 0)
                r = write_manifest(b, files, part ? &s : NULL);
        return r < 0 ? r : bundle_files_sums(files, ret_sum);
}

int bundle_write(const struct bundle *b, char ret_sum[static CHAIN_HEX_SIZE + 1]) {
        _cleanup_(bundle_files_done) struct bundle_files files = { .fd = -EBADF };
        int r;

        r = bundle_files_begin(b->dir, &files);
        if (r >= 0)
                r = fill(b, &files, ret_sum);
        return r < 0 ? r : bundle_files_end(&files);
}
