/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A vault's log, as Azure's diagnostics have it, of polls that carry heads of the trail in review-trail.h. Include it after that. */

#include "common/anchor.h"

#include <time.h>

#define MACHINE_ID "0123456789abcdef0123456789abcdef"
#define OTHER_ID "fedcba9876543210fedcba9876543210"
#define FIRST_SEC UINT64_C(1700000000)         /* of the first record; each is a second after the one before */

static char log_path[96];
static char log_text[65536];
static size_t log_size;
static uint32_t log_number;

static inline void log_start(void) {
        snprintf(log_path, sizeof(log_path), "%s/vault.log", dir);
        log_size = 0;
}

static inline void log_write(void) {
        assert_int_equal(write_file_atomic(log_path, log_text, log_size, 0600), 0);
}

/* A use of the key. who: application id, NULL: none is known. */
static inline void log_use(uint64_t sec, const char *id, const char *who, bool answered) {
        time_t t = (time_t) sec;
        struct tm tm;
        char when[32];

        assert_non_null(gmtime_r(&t, &tm));
        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
        log_size += (size_t) snprintf(log_text + log_size, sizeof(log_text) - log_size, "{\"time\":\"%s\",\"operationName\":\"KeyUnwrap\","
                "\"correlationId\":\"%s\",\"callerIpAddress\":\"10.0.0.4\",%s%s%s\"properties\":{\"httpStatusCode\":%d,\"requestUri\":"
                "\"" KEY "/unwrapkey\"}}\n", when, id, who ? "\"identity\":{\"claim\":{\"appid\":\"" : "", strempty(who),
                who ? "\"}}," : "", answered ? 200 : 403);
        assert_true(log_size < sizeof(log_text));
}

/* The id of the next poll of the node with that machine id, whose trail has the hash for its head. */
static inline void anchor_id(const char *machine_id, const uint8_t *hash, char ret[static 37]) {
        struct anchor a = { .number = log_number++ };

        assert_int_equal(anchor_mark(hash, a.mark), 0);
        assert_int_equal(anchor_tag(machine_id, a.tag), 0);
        anchor_format(&a, ret);
}

/* A poll as soon as the trail has its present head, and answered. */
static inline void log_poll(const char *machine_id) {
        char id[37];

        anchor_id(machine_id, trail_hash(trail), id);
        log_use(FIRST_SEC + trail_sequence(trail), id, "node", true);
}

static inline const char *tag_field(const char *machine_id) {
        static char field[32];
        char text[ANCHOR_TAG_TEXT_SIZE + 1];
        uint8_t tag[ANCHOR_TAG_SIZE];

        assert_int_equal(anchor_tag(machine_id, tag), 0);
        anchor_tag_format(tag, text);
        snprintf(field, sizeof(field), "anchor_tag=%s", text);
        return field;
}
