/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/transit-verdict.c daemon/vault/judgement.c
// libs: json-c

/* An error reply of transit: call, status (two bytes), Content-Type, then the body. REVOKED only for what is on the list, and
 * never by what is asked about a token. */

#include "vault/transit-verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct judgement *j) {
        const char *const texts[] = { j->code, j->text };

        if (strnlen(j->code, sizeof(j->code)) == sizeof(j->code) || strnlen(j->text, sizeof(j->text)) == sizeof(j->text))
                abort();
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                for (const char *s = texts[i]; *s; s++)
                        if (*s < ' ' || *s > '~')
                                abort();
        if (j->verdict == VERDICT_GRANTED || j->verdict >= _VERDICT_MAX)
                abort();
}

static bool may_revoke(const struct transit_evidence *e, const struct judgement *j) {
        if (!e->json)
                return false;
        if (e->status == 404)
                return e->call == TRANSIT_READ && streq(j->code, "key not found") && !*j->text;
        return e->status == 400 && ((e->call <= TRANSIT_ENCRYPT && streq(j->text, "refusing to use soft-deleted key")) ||
                                    (e->call == TRANSIT_DECRYPT && startswith(j->text, "ciphertext or signature version is")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct judgement j, refused = { .verdict = VERDICT_DENIED, .code = "permission denied", .text = "permission denied" };
        struct transit_evidence e;
        enum transit_next next;

        if (size < 4)
                return 0;
        e = (struct transit_evidence) {
                .call = (enum transit_call) (data[0] % (TRANSIT_RENEW + 1)),
                .status = (uint16_t) ((data[1] << 8 | data[2]) % 1000), .json = data[3] & 1,
                .body = (const char *) data + 4, .body_size = size - 4,
        };
        if (e.status == 200)
                return 0;
        transit_judge(&e, &j, &next);
        check(&j);
        if (j.verdict == VERDICT_REVOKED && !may_revoke(&e, &j))
                abort();
        if (next != TRANSIT_NOTHING && (j.verdict == VERDICT_REVOKED || e.call > TRANSIT_READ))
                abort();
        e.call = TRANSIT_READ;
        transit_judge_missing(&e, &j);
        check(&j);
        if (j.verdict == VERDICT_REVOKED && e.status != 404)
                abort();
        e.call = TRANSIT_LOOKUP;
        if (transit_judge_refused(&refused, &e, &j) && (e.status != 403 || !e.json))
                abort();
        check(&j);
        if (j.verdict == VERDICT_REVOKED)
                abort();
        return 0;
}
