/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include <stdarg.h>

void print_clean(FILE *f, const char *text) {
        while (*text) {
                size_t n = control_length(text);

                fputc(n > 0 ? '?' : *text, f);
                text += MAX_OF(n, (size_t) 1);
        }
}

void print_quoted(FILE *f, const char *text) {
        fputc('"', f);
        while (*text) {
                size_t n = control_length(text);

                if (*text == '"' || *text == '\\')
                        fputc('\\', f);
                fputc(n > 0 ? '?' : *text, f);
                text += MAX_OF(n, (size_t) 1);
        }
        fputc('"', f);
}

void table_start(struct table *t, const char *const *header, size_t n_columns) {
        *t = (struct table) { .n_columns = n_columns };
        for (size_t i = 0; i < n_columns; i++)
                table_add(t, header[i]);
}

void table_add(struct table *t, const char *text) {
        char **bigger, *copy = strdup(text && *text ? text : "-");

        bigger = reallocarray(t->cells, t->n_cells + 1, sizeof(*bigger));
        if (bigger)
                t->cells = bigger;
        if (!bigger || !copy) {
                t->out_of_memory = true;
                free(copy);
                return;
        }
        replace_controls(copy);
        t->cells[t->n_cells++] = copy;
}

void table_addf(struct table *t, const char *format, ...) {
        _cleanup_(freep) char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        if (text)
                table_add(t, text);
        else
                t->out_of_memory = true;
}

/* In characters, not bytes: what is not the first byte of a UTF-8 sequence takes no column. */
static size_t width_of(const char *s) {
        size_t n = 0;

        for (; *s; s++)
                n += ((unsigned char) *s & 0xc0) != 0x80;
        return n;
}

int table_print(struct table *t) {
        size_t width[TABLE_COLUMNS_MAX] = {};
        bool oom = t->out_of_memory;

        for (size_t i = 0; i < t->n_cells; i++) {
                size_t w = width_of(t->cells[i]), *column = width + i % t->n_columns;

                *column = MAX_OF(*column, w);
        }
        for (size_t i = 0; i < t->n_cells && !oom; i++) {
                size_t column = i % t->n_columns;
                bool last = column == t->n_columns - 1;

                printf("%s%*s", t->cells[i], last ? 0 : (int) (width[column] - width_of(t->cells[i]) + 2), "");
                if (last)
                        putchar('\n');
        }
        for (size_t i = 0; i < t->n_cells; i++)
                free(t->cells[i]);
        free(t->cells);
        *t = (struct table) {};
        return oom ? fail(EXIT_CODE_FAILED, "out of memory") : EXIT_CODE_DONE;
}

void format_span(uint64_t seconds, char *buf, size_t size) {
        static const struct { uint64_t seconds; const char *unit; } units[] = {
                { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" },
        };
        size_t n = 0;
        int parts = 0;

        if (seconds == UINT64_MAX) {
                snprintf(buf, size, "-");
                return;
        }
        snprintf(buf, size, "0s");
        for (size_t i = 0; i < ELEMENTSOF(units) && parts < 2; i++) {
                uint64_t v = seconds / units[i].seconds;

                seconds %= units[i].seconds;
                if (v == 0 || n >= size)
                        continue;
                n += (size_t) snprintf(buf + n, size - n, "%s%llu%s", parts ? " " : "",
                                       (unsigned long long) v, units[i].unit);
                parts++;
        }
}

static bool printed;

bool json_was_printed(void) {
        return printed;
}

void json_is_printed(void) {
        printed = true;
}

static int print_document(struct json_object *o, int flags) {
        printed = true;
        puts(json_object_to_json_string_ext(o, flags|JSON_C_TO_STRING_SPACED|JSON_C_TO_STRING_NOSLASHESCAPE));
        if (fflush(stdout) != 0)
                return fail(EXIT_CODE_FAILED, "cannot write the result: %s", strerror(errno));
        return EXIT_CODE_DONE;
}

int print_json(struct json_object *o) {
        return print_document(o, JSON_C_TO_STRING_PRETTY);
}

int print_json_into(struct json_object *list, struct json_object *o) {
        int code;

        if (list)
                return json_object_array_add(list, o) < 0 ? fail(EXIT_CODE_FAILED, "out of memory") : EXIT_CODE_DONE;
        code = print_json(o);
        json_object_put(o);
        return code;
}

int print_json_answer(const char *name, const char *member, bool value) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();

        if (!o || json_object_object_add(o, "volume", json_object_new_string(name)) < 0 ||
            json_object_object_add(o, member, json_object_new_boolean(value)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        return print_json(o);
}

int print_json_failure(int code) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();

        if (!o || json_object_object_add(o, "error", json_object_new_string(last_failure())) < 0 ||
            json_object_object_add(o, "exit_code", json_object_new_int(code)) < 0)
                return fail((enum exit_code) code, "out of memory");
        (void) print_json(o);
        return code;
}

int print_json_done(const char *member) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();

        if (!o || json_object_object_add(o, member, json_object_new_boolean(true)) < 0)
                return fail(EXIT_CODE_FAILED, "out of memory");
        return print_json(o);
}

int print_json_line(struct json_object *o) {
        return print_document(o, 0);
}

const char *json_text(struct json_object *o, const char *member) {
        struct json_object *v;

        if (!json_object_object_get_ex(o, member, &v) || !json_object_is_type(v, json_type_string))
                return "";
        return json_object_get_string(v);
}

void json_put_text(struct json_object *o, const char *member, const char *text) {
        json_object_object_add(o, member, text ? json_object_new_string(text) : NULL);
}

void json_put_number(struct json_object *o, const char *member, uint64_t n) {
        json_object_object_add(o, member, json_object_new_uint64(n));
}

uint64_t json_number(struct json_object *o, const char *member) {
        struct json_object *v;

        if (!json_object_object_get_ex(o, member, &v) || !json_object_is_type(v, json_type_int))
                return UINT64_MAX;
        return json_object_get_uint64(v);
}
