/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/chain.c daemon/audit/seal.c daemon/audit/seal-rsa.c daemon/audit/record.c daemon/audit/reader.c
// sources: daemon/audit/segments.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/trail.c daemon/audit/sealer.c
// sources: daemon/audit/keep.c tests/unit/sealed-trail.c
// libs: json-c libsystemd
// A sealed trail of 10,000 records in several files, tampered with at random places in each of the ways there are: all of it
// is found. CMKD_TAMPER_SAMPLE= trials of each way (3), CMKD_TAMPER_SEED= to repeat a run; the seed is printed.

#include "sealed-trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <inttypes.h>
#include <syslog.h>
#include <unistd.h>

#define RECORDS 10000u
#define FILES 5u

struct line {
        const char *text;                  /* with its newline, if it has one */
        size_t size;
        unsigned file;
};

static struct sealed_trail s;
static struct trail_report report;
static char names[FILES][128], *content[FILES], head[256];
static struct line lines[2 * RECORDS], tampered[2 * RECORDS];
static size_t n_lines, n_tampered, n_scratch;
static char *scratch[RECORDS + 100];       /* lines that were made for one trial */
static uint64_t seed, state, sample = 3;

/* splitmix64: what a seed gives is the same everywhere. */
static uint64_t any(uint64_t below) {
        uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return (z ^ (z >> 31)) % below;
}

static uint64_t from_environment(const char *name, uint64_t otherwise) {
        const char *text = getenv(name);
        uint64_t n;

        return text && parse_u64(text, UINT64_MAX, &n) >= 0 ? n : otherwise;
}

static void read_file(unsigned i) {
        size_t size;

        assert_int_equal(read_small_file(names[i], 64u << 20, content + i, &size), 0);
        for (char *p = content[i]; p < content[i] + size; ) {
                char *end = strchr(p, '\n');

                lines[n_lines++] = (struct line) { p, (size_t) (end - p) + 1, i };
                p = end + 1;
        }
}

/* A restart or two, another key, and an end and a new begin are in it. */
static int set_up(void **unused _unused_) {
        char name[SEGMENT_NAME_MAX], *text;

        seed = from_environment("CMKD_TAMPER_SEED", (uint64_t) instant_now().realtime_usec);
        sample = from_environment("CMKD_TAMPER_SAMPLE", sample);
        state = seed;
        print_message("CMKD_TAMPER_SEED=%" PRIu64 " CMKD_TAMPER_SAMPLE=%" PRIu64 "\n", seed, sample);
        sealed_trail_begin(&s);
        for (unsigned i = 0; i < FILES; i++) {
                if (sealed_trail_write(&s, RECORDS / FILES - (i == 0), i % 2 ? "volume_open" : "verdict") < 0)
                        return -1;
                snprintf(names[i], sizeof(names[i]), "%s", s.path);
                if (i + 1 == FILES)
                        break;
                if (trail_rotate(s.trail, name) < 0)
                        return -1;
                snprintf(names[i], sizeof(names[i]), "%s/%.60s", s.dir, name);
                sealed_trail_close(&s);
                sealed_trail_open(&s, true);
        }
        sealed_trail_close(&s);
        for (unsigned i = 0; i < FILES; i++)
                read_file(i);
        if (read_small_file(s.head, sizeof(head), &text, NULL) < 0)
                return -1;
        snprintf(head, sizeof(head), "%s", text);
        free(text);
        return n_lines == RECORDS ? 0 : -1;
}

static int tear_down(void **unused _unused_) {
        for (unsigned i = 0; i < FILES; i++)
                free(content[i]);
        sealed_trail_end(&s);
        return 0;
}

static void begin(void) {
        memcpy(tampered, lines, sizeof(lines));
        n_tampered = n_lines;
}

static void write_files(void) {
        FILE *f[FILES];

        for (unsigned i = 0; i < FILES; i++)
                assert_non_null(f[i] = fopen(names[i], "w"));
        for (size_t i = 0; i < n_tampered; i++)
                assert_int_equal(fwrite(tampered[i].text, 1, tampered[i].size, f[tampered[i].file]), tampered[i].size);
        for (unsigned i = 0; i < FILES; i++)
                assert_int_equal(fclose(f[i]), 0);
        for (; n_scratch > 0; n_scratch--)
                free(scratch[n_scratch - 1]);
}

static void write_head(const char *text) {
        FILE *f = fopen(s.head, "w");

        assert_non_null(f);
        fputs(text, f);
        fclose(f);
}

static void expect_found(const char *what, uint64_t place) {
        write_files();
        sealed_trail_verify(&s, true, &report);
        if (report.n_problems == 0)
                fail_msg("%s at %" PRIu64 " is not found; CMKD_TAMPER_SEED=%" PRIu64, what, place, seed);
}

/* A copy that may be written to; room for one byte more. */
static char *own(struct line *l) {
        char *p = malloc(l->size + 1);

        assert_non_null(p);
        assert_true(n_scratch < ELEMENTSOF(scratch));
        memcpy(p, l->text, l->size);
        scratch[n_scratch++] = p;
        l->text = p;
        return p;
}

static void remove_line(size_t i) {
        memmove(tampered + i, tampered + i + 1, (n_tampered - i - 1) * sizeof(*tampered));
        n_tampered--;
}

static void insert_line(size_t i, struct line l) {
        memmove(tampered + i + 1, tampered + i, (n_tampered - i) * sizeof(*tampered));
        l.file = tampered[i].file;
        tampered[i] = l;
        n_tampered++;
}

/* Any byte of the whole trail, by its place in a record. */
static struct line *any_byte(size_t *ret_at) {
        struct line *l = tampered + any(n_tampered);

        *ret_at = (size_t) any(l->size);
        return l;
}

static void untouched_trail_is_good(void **unused _unused_) {
        begin();
        write_files();
        sealed_trail_verify(&s, true, &report);
        assert_int_equal(report.n_problems, 0);
        assert_int_equal(report.proven, RECORDS);
        assert_int_equal(report.files, FILES);
}

static void changed_bytes(void **unused _unused_) {
        for (uint64_t i = 0; i < 4 * sample; i++) {
                struct line *l;
                size_t at;

                begin();
                l = any_byte(&at);
                own(l)[at] ^= (char) (1 + any(255));
                expect_found("a changed byte", at);
        }
}

static void removed_and_added_bytes(void **unused _unused_) {
        for (uint64_t i = 0; i < 2 * sample; i++) {
                struct line *l;
                size_t at;
                char *p;

                begin();
                l = any_byte(&at);
                p = own(l);
                if (i % 2) {
                        memmove(p + at, p + at + 1, l->size - at - 1);
                        l->size--;
                } else {
                        memmove(p + at + 1, p + at, l->size - at);
                        p[at] = (char) any(256);
                        l->size++;
                }
                expect_found(i % 2 ? "a removed byte" : "an added byte", at);
        }
}

static void removed_records(void **unused _unused_) {
        for (uint64_t i = 0; i < sample; i++) {
                size_t at = any(n_lines);

                begin();
                for (uint64_t n = 1 + any(3); n > 0 && at < n_tampered; n--)
                        remove_line(at);
                expect_found("a removed record", at);
        }
}

static void swapped_records(void **unused _unused_) {
        for (uint64_t i = 0; i < sample; i++) {
                size_t a = any(n_lines - 1), b = i % 2 ? a + 1 : any(n_lines);
                struct line x;

                begin();
                x = tampered[a];
                if (a == b)
                        continue;
                tampered[a] = (struct line) { tampered[b].text, tampered[b].size, tampered[a].file };
                tampered[b] = (struct line) { x.text, x.size, tampered[b].file };
                expect_found("swapped records", a);
        }
}

static void replayed_records(void **unused _unused_) {
        for (uint64_t i = 0; i < sample; i++) {
                size_t at = any(n_lines);

                begin();
                insert_line(at, lines[any(n_lines)]);
                expect_found("a repeated record", at);
        }
}

/* Cut off at any byte; with the head as it was. */
static void truncations(void **unused _unused_) {
        for (uint64_t i = 0; i < sample; i++) {
                size_t line = any(n_lines), at = i % 2 ? 0 : (size_t) any(lines[line].size);

                begin();
                n_tampered = line + (at > 0);
                tampered[line].size = at;
                expect_found("a truncation", line);
        }
}

/* One file emptied, or moved into another. */
static void move_file(unsigned from, unsigned to) {
        begin();
        for (size_t i = 0; i < n_tampered; i++) {
                if (tampered[i].file != from)
                        continue;
                if (from == to)
                        tampered[i].size = 0;
                else
                        tampered[i].file = to;
        }
        expect_found("a file", from);
}

static void files_emptied_and_moved(void **unused _unused_) {
        for (unsigned i = 0; i < FILES; i++)
                move_file(i, i);
        for (uint64_t i = 0; i < sample; i++) {
                unsigned from = (unsigned) any(FILES), to = (unsigned) any(FILES);

                /* the last into the one before it: a trail that was rotated just now, no record is concerned */
                if (from != FILES - 1 || to != FILES - 2)
                        move_file(from, to);
        }
        begin();
        write_files();
}

/* The digits of a sealed line's last members. */
static char *prev_of(char *line, size_t size) {
        return line + size - 1 - CHAIN_TAIL_SIZE - CHAIN_MAC_SIZE - 1 - CHAIN_HEX_SIZE;
}

static void chain_anew(size_t from) {
        uint8_t prev[CHAIN_HASH_SIZE], stated[CHAIN_HASH_SIZE], computed[CHAIN_HASH_SIZE];
        char hex[CHAIN_HEX_SIZE + 1], text[256];

        for (size_t i = from; i < n_tampered; i++) {
                char *p = own(tampered + i), *hash = p + tampered[i].size - 3 - CHAIN_HEX_SIZE;

                if (i > from)
                        memcpy(prev_of(p, tampered[i].size), hex, CHAIN_HEX_SIZE);
                assert_int_equal(chain_from_hex(prev_of(p, tampered[i].size), CHAIN_HEX_SIZE, prev), 0);
                assert_int_equal(chain_hash_line(prev, p, tampered[i].size - 1, stated, computed), 0);
                chain_to_hex(computed, hex);
                memcpy(hash, hex, CHAIN_HEX_SIZE);
        }
        snprintf(text, sizeof(text), "v1 %020u %s\n", RECORDS, hex);
        write_head(text);
}

/* What only the seals can tell: a record changed, and every hash after it and the head computed anew. */
static void recomputed_chains(void **unused _unused_) {
        for (uint64_t i = 0; i < sample; i++) {
                size_t at = any(n_lines);
                char *p;

                begin();
                p = strstr(own(tampered + at), "\"priority\":");
                p[11] = p[11] == '6' ? '5' : '6';
                chain_anew(at);
                write_files();
                sealed_trail_verify(&s, false, &report);
                assert_int_equal(report.n_problems, 0);        /* the attack is a good one */
                sealed_trail_verify(&s, true, &report);
                if (report.n_problems == 0 || report.problems[0].kind != TRAIL_FORGED ||
                    report.problems[0].first != at + 1)
                        fail_msg("record %zu, chain computed anew, is not found; CMKD_TAMPER_SEED=%" PRIu64, at + 1, seed);
        }
        write_head(head);
}

static void changed_heads(void **unused _unused_) {
        begin();
        write_files();
        for (uint64_t i = 0; i < sample; i++) {
                size_t at = any(strlen(head));
                char other[sizeof(head)];

                memcpy(other, head, sizeof(head));
                other[at] ^= 1;
                write_head(other);
                sealed_trail_verify(&s, false, &report);
                if (report.n_problems == 0)
                        fail_msg("byte %zu of the head is not found; CMKD_TAMPER_SEED=%" PRIu64, at, seed);
        }
        write_head(head);
        untouched_trail_is_good(NULL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(untouched_trail_is_good), cmocka_unit_test(changed_bytes),
                cmocka_unit_test(removed_and_added_bytes), cmocka_unit_test(removed_records),
                cmocka_unit_test(swapped_records), cmocka_unit_test(replayed_records), cmocka_unit_test(truncations),
                cmocka_unit_test(files_emptied_and_moved), cmocka_unit_test(recomputed_chains),
                cmocka_unit_test(changed_heads),
        };

        return cmocka_run_group_tests_name("tamper", tests, set_up, tear_down);
}
