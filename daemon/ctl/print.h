/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How results look: JSON documents, tables with columns as wide as their contents, spans of time.
 * What comes from a disk, a process or the vault is printed with control characters replaced. */

#include "common/json-text.h"
#include "ctl.h"

#define TABLE_COLUMNS_MAX 12u

struct table {
        size_t n_columns, n_cells;
        char **cells;                  /* row by row; the first row is the header */
        bool out_of_memory;
};

/* header: n_columns texts. */
void table_start(struct table *t, const char *const *header, size_t n_columns);

/* Adds the next cell, a copy of text (NULL or "": "-"). */
void table_add(struct table *t, const char *text);
void table_addf(struct table *t, const char *format, ...) _printf_(2, 3);

/* Prints and frees it. Returns an exit code. */
int table_print(struct table *t);

/* "1h 5min", "34s"; USEC_INFINITY: "-". */
void format_span(uint64_t seconds, char *buf, size_t size);

/* Prints o as one document and a newline. Returns an exit code: FAILED where standard output cannot be written. */
int print_json(struct json_object *o);

/* The same, or it is put at the end of list unless that is NULL. o is taken. */
int print_json_into(struct json_object *list, struct json_object *o);

/* The same on one line. */
int print_json_line(struct json_object *o);

/* Whether either was done, or a document was written past both. */
bool json_was_printed(void);
void json_is_printed(void);

/* {"error": what fail() said last, "exit_code": code}. Returns code. */
int print_json_failure(int code);

/* {MEMBER: true}. Returns an exit code. */
int print_json_done(const char *member);

/* {"volume": NAME, MEMBER: value}. Returns an exit code. */
int print_json_answer(const char *name, const char *member, bool value);

/* Text of a member, "" where there is none or it is of another type. */
const char *json_text(struct json_object *o, const char *member);

/* Number of a member; null, absent or not a number: UINT64_MAX. */
uint64_t json_number(struct json_object *o, const char *member);

/* Adds a member; a text that is NULL is null. */
void json_put_text(struct json_object *o, const char *member, const char *text);
void json_put_number(struct json_object *o, const char *member, uint64_t n);

/* Prints text with control characters replaced; and between quotes, with those in it escaped. */
void print_clean(FILE *f, const char *text);
void print_quoted(FILE *f, const char *text);
