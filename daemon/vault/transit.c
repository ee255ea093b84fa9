/* SPDX-License-Identifier: Apache-2.0 */
#include "vault.h"

#include "common/algorithm.h"
#include "common/base64.h"
#include "identity-login.h"
#include "secret-file.h"
#include "transit-excess.h"
#include "transit-reply.h"
#include "transit-servers.h"
#include "transit-verdict.h"

#define BOUND_MAX 160u

/* What one operation asks for. */
struct question {
        enum transit_call call;
        const char *verb;                /* "decrypt", "encrypt", "keys" */
        const char *payload;             /* POST, or NULL: GET */
        bool carries_secret;
};

/* One operation under way. */
struct run {
        struct vault *vault;
        const struct vault_call *call;
        struct vault_reply *reply;
        struct secret *token;
        bool token_cached;               /* it was there before: a newer one is worth a try */
        struct judgement note;           /* of the login that it is from */
        unsigned place;                  /* that answered last */
};

static void run_done(struct run *r) {
        r->token = secret_free(r->token);
}

static bool refuse(struct run *r, const struct judgement *j) {
        vault_reply_judge(r->reply, j);
        return false;
}

/* The token that somebody else keeps fresh: read each time, so that a change counts at once. */
static bool read_token_file(struct run *r) {
        const char *path = r->vault->config->token_file, *why = "";
        int k;

        r->token_cached = false;
        k = secret_file_read(path, SECRET_FILE_PRIVATE, &r->token, &why);
        if (k >= 0)
                return true;
        vault_reply_set(r->reply, k == -ENOMEM || k == -EPERM ? VERDICT_UNREACHABLE : VERDICT_MISCONFIGURED, "token file",
                        "TokenFile=%s: %s", path, why);
        return false;
}

static bool is_our_cluster(struct run *r);

/* What a vault says of itself or of the key counts where it is the one that is meant. False, with the reply filled. */
static bool refuse_checked(struct run *r, struct judgement *j) {
        struct judgement here = *j;
        bool place = r->vault->config->cluster_id && transit_judge_place(&here);

        if ((place || j->verdict == VERDICT_REVOKED || j->verdict == VERDICT_DENIED) && !is_our_cluster(r))
                return false;
        return refuse(r, place ? &here : j);
}

static bool get_token(struct run *r, uint64_t not_before_usec) {
        const struct token_request q = { .not_before_usec = not_before_usec, .deadline_usec = r->call->deadline_usec };
        struct token_result t;
        int k;

        r->token = secret_free(r->token);
        if (!r->vault->identity)
                return read_token_file(r);
        k = identity_get_token(r->vault->identity, &q, &t);
        r->reply->token_usec += t.usec;
        if (k < 0) {
                r->reply->http_status = 0;
                r->reply->retry_after_sec = t.retry_after_sec;
                r->place = transit_servers_answered(r->vault->transit);
                return refuse_checked(r, &t.failure);
        }
        r->token = t.token;
        r->token_cached = t.cached;
        r->note = t.note;
        return true;
}

static struct transit_exchange exchange(struct run *r, const struct question *q, const char *path) {
        const struct vault_request *request = r->call->request;

        return (struct transit_exchange) {
                .call = q->call, .place = &r->place, .path = path, .body = q->payload, .body_size = q->payload ? strlen(q->payload) : 0,
                .token = r->token, .client_request_id = request->client_request_id, .carries_secret = q->carries_secret,
                .fresh_connection = request->flags & VAULT_FLAG_FRESH_CONNECTION, .deadline_usec = r->call->deadline_usec,
        };
}

/* k: of the exchange. True: an HTTP answer came. */
static bool has_answer(struct run *r, int k, const struct http_response *answer) {
        struct vault_reply *y = r->reply;
        struct judgement j;

        y->round_trip_usec = answer->usec;
        y->http_status = answer->status;
        y->retry_after_sec = answer->retry_after_sec;
        if (k >= 0)
                return true;
        transit_judge_failure(k, answer, &j);
        return refuse(r, &j);
}

static bool send_once(struct run *r, const struct question *q, const char *path, struct http_response *answer) {
        const struct transit_exchange x = exchange(r, q, path);

        http_response_clear(answer);
        return has_answer(r, transit_exchange(r->vault->transit, &x, answer), answer);
}

static bool is_good(const struct http_response *answer) {
        return answer->status == 200 && answer->json;
}

static struct transit_evidence evidence(enum transit_call call, const struct http_response *answer) {
        return (struct transit_evidence) {
                .call = call, .status = answer->status, .json = answer->json, .body = answer->body,
                .body_size = answer->body_size,
        };
}

static bool ask_mount(struct run *r, const struct question *q, struct http_response *answer) {
        char path[TRANSIT_PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s/%s", r->vault->config->mount, q->verb, r->call->request->key.name);
        return send_once(r, q, path, answer);
}

static bool ask_lookup(struct run *r, struct http_response *answer) {
        const struct question q = { .call = TRANSIT_LOOKUP, .carries_secret = true };     /* it shows the token */

        return send_once(r, &q, "auth/token/lookup-self", answer);
}

/* No refusal, of the key or of the login, counts but from the cluster that is meant. False: y says what there is instead. */
static bool is_our_cluster(struct run *r) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        const struct transit_exchange x = exchange(r, &(struct question) {}, NULL);
        uint16_t status = r->reply->http_status;

        if (!r->vault->config->cluster_id)
                return true;
        if (!has_answer(r, transit_servers_check(r->vault->transit, &x, &answer), &answer))
                return false;
        r->reply->http_status = status;
        return true;
}

static void judge_missing(struct run *r, struct judgement *j) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        const struct question q = { .call = TRANSIT_READ, .verb = "keys" };
        struct transit_evidence e;

        if (!ask_mount(r, &q, &answer)) {
                judgement_set(j, r->reply->verdict, r->reply->code, "%s", r->reply->text);
                return;
        }
        e = evidence(TRANSIT_READ, &answer);
        transit_judge_missing(is_good(&answer) ? NULL : &e, j);
}

/* True: the token is dead. */
static bool judge_refused(struct run *r, struct judgement *j) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        struct judgement refused = *j;
        struct transit_evidence e;
        uint16_t status = r->reply->http_status;
        bool dead;

        if (!ask_lookup(r, &answer)) {
                judgement_set(j, r->reply->verdict, r->reply->code, "%s", r->reply->text);
                return false;
        }
        e = evidence(TRANSIT_LOOKUP, &answer);
        dead = transit_judge_refused(&refused, is_good(&answer) ? NULL : &e, j);
        if (j->verdict == VERDICT_DENIED)
                r->reply->http_status = status;
        return dead;
}

/* Asks with a token, and once more with a new one where the vault says that a cached one is dead. True: status 200, the
 * body is in answer; false: the reply says what it was. */
static bool ask(struct run *r, const struct question *q, struct http_response *answer) {
        uint64_t not_before = r->call->request->flags & VAULT_FLAG_FRESH_TOKEN ? now_boottime_usec() : 0;

        for (;;) {
                enum transit_next next;
                struct transit_evidence e;
                struct judgement j;
                bool dead = false;

                if (!get_token(r, not_before) || !ask_mount(r, q, answer))
                        return false;
                if (is_good(answer))
                        return true;
                e = evidence(q->call, answer);
                if (answer->status == 200) {
                        vault_reply_set(r->reply, VERDICT_BROKEN, "HTTP 200", "the reply is not JSON");
                        return false;
                }
                transit_judge(&e, &j, &next);
                if (next == TRANSIT_ASK_KEY)
                        judge_missing(r, &j);
                else if (next == TRANSIT_ASK_TOKEN)
                        dead = judge_refused(r, &j);
                if (dead && r->token_cached) {
                        not_before = now_boottime_usec();
                        continue;
                }
                return refuse_checked(r, &j);
        }
}

/* With what there is to tell of the login. */
static void granted(struct run *r) {
        vault_reply_granted(r->reply);
        if (*r->note.code)
                vault_reply_set(r->reply, VERDICT_GRANTED, r->note.code, "%s", r->note.text);
}

static void transit_get_key(struct vault *v, const struct vault_call *c, struct vault_reply *y) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        _cleanup_(run_done) struct run r = { .vault = v, .call = c, .reply = y };
        const char *why = "";
        int k;

        if (!ask(&r, &(struct question) { .call = TRANSIT_READ, .verb = "keys" }, &answer))
                return;
        k = transit_parse_key(answer.body, answer.body_size, &c->request->key, y, &why);
        if (k == -EOPNOTSUPP)
                vault_reply_set(y, VERDICT_MISCONFIGURED, "key type", "%s", why);
        else if (k < 0)
                vault_reply_unusable(y, k, why);
        else
                granted(&r);
}

/* False, with the reply filled, where the request is none for keys of transit. */
static bool check_request(const struct vault_request *q, struct vault_reply *y) {
        if (!streq(q->algorithm, ALGORITHM_RSA) && !algorithm_binds(q->algorithm))
                vault_reply_set(y, VERDICT_MISCONFIGURED, "algorithm", "%s is not supported", q->algorithm);
        else if (transit_version(&q->key) == 0)
                vault_reply_set(y, VERDICT_MISCONFIGURED, "request", "versions of transit keys are numbers from 1 up");
        else
                return true;
        return false;
}

/* What is not encrypted, and must be the same at decrypt: W is one volume's and no other's, and neither it nor a canary can be taken
 * for the other. RSA has no such thing: there the unlock key, which is made from the UUID too, binds. */
static void format_bound(const struct vault_request *q, char *buf, size_t size) {
        char text[64], encoded[BASE64_SIZE(sizeof(text)) + 1];
        int n;

        *buf = 0;
        if (!algorithm_binds(q->algorithm))
                return;
        if (*q->volume)
                n = snprintf(text, sizeof(text), "cmkd W v1|%s", q->volume);
        else
                n = snprintf(text, sizeof(text), "cmkd canary v1");
        base64_encode((const uint8_t *) text, (size_t) n, encoded);
        snprintf(buf, size, ",\"associated_data\":\"%s\"", encoded);
}

/* The body of encrypt, in secret memory: what is wrapped may be W. */
static int make_wrap_payload(const struct vault_call *c, struct secret **ret) {
        const struct vault_request *q = c->request;
        const uint8_t *plain = c->made ? secret_cdata(c->made) : q->blob;
        size_t size = c->made ? secret_size(c->made) : q->blob_size, n = 0;
        char bound[BOUND_MAX], *p;
        struct secret *s;
        int r;

        format_bound(q, bound, sizeof(bound));
        r = secret_new(BASE64_SIZE(VAULT_BLOB_MAX) + sizeof(bound) + 64, &s);
        if (r < 0)
                return r;
        p = (char *) secret_data(s);
        n = (size_t) sprintf(p, "{\"plaintext\":\"");
        base64_encode(plain, MIN_OF(size, (size_t) VAULT_BLOB_MAX), p + n);
        n = strlen(p);
        sprintf(p + n, "\",\"key_version\":%u%s}", transit_version(&q->key), bound);
        *ret = s;
        return 0;
}

static void transit_wrap(struct vault *v, const struct vault_call *c, struct vault_reply *y, struct secret **ret_value) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        _cleanup_(run_done) struct run r = { .vault = v, .call = c, .reply = y };
        _cleanup_(secret_freep) struct secret *payload = NULL;
        uint32_t version = transit_version(&c->request->key);
        const char *why = "";
        int k;

        if (!check_request(c->request, y))
                return;
        k = make_wrap_payload(c, &payload);
        if (k < 0)
                return vault_reply_unusable(y, k, why);
        if (!ask(&r, &(struct question) { .call = TRANSIT_ENCRYPT, .verb = "encrypt", .carries_secret = c->made,
                                          .payload = (const char *) secret_cdata(payload) }, &answer))
                return;
        k = transit_parse_ciphertext(answer.body, answer.body_size, version, y->request_id, ret_value, &why);
        if (k < 0)
                return vault_reply_unusable(y, k, why);
        key_uri_format(&c->request->key, y->kid, sizeof(y->kid));
        granted(&r);
}

static void transit_unwrap(struct vault *v, const struct vault_call *c, struct vault_reply *y, struct secret **ret_value) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        _cleanup_(run_done) struct run r = { .vault = v, .call = c, .reply = y };
        const struct vault_request *q = c->request;
        char payload[TRANSIT_CIPHERTEXT_MAX + BOUND_MAX + 64], ciphertext[TRANSIT_CIPHERTEXT_MAX], bound[BOUND_MAX];
        const char *why = "";
        int k;

        if (!check_request(q, y))
                return;
        transit_format_ciphertext(transit_version(&q->key), q->blob, q->blob_size, ciphertext);
        format_bound(q, bound, sizeof(bound));
        snprintf(payload, sizeof(payload), "{\"ciphertext\":\"%s\"%s}", ciphertext, bound);
        if (!ask(&r, &(struct question) { .call = TRANSIT_DECRYPT, .verb = "decrypt", .payload = payload,
                                          .carries_secret = q->flags & VAULT_FLAG_DELIVER }, &answer))
                return;
        k = transit_parse_plaintext(answer.body, answer.body_size, y->request_id, ret_value, &why);
        if (k < 0)
                return vault_reply_unusable(y, k, why);
        key_uri_format(&q->key, y->kid, sizeof(y->kid));
        granted(&r);
}

/* Transit keeps no list of what was deleted: "gone" is as sure as the cluster is known to be the right one. */
static void transit_check_deleted(struct vault *v, const struct vault_call *c, struct vault_reply *y) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        _cleanup_(run_done) struct run r = { .vault = v, .call = c, .reply = y };

        if (ask(&r, &(struct question) { .call = TRANSIT_READ, .verb = "keys" }, &answer))
                return vault_reply_set(y, VERDICT_UNREACHABLE, "contradiction", "the vault shows the key");
        if (y->verdict != VERDICT_REVOKED || y->http_status != 404)
                return;
        if (!v->config->cluster_id)
                return vault_reply_set(y, VERDICT_DENIED, "no list", "transit lists no deleted keys, and without ClusterId= a "
                                       "missing key could be another cluster's");
        key_uri_format(&c->request->key, y->kid, sizeof(y->kid));
        granted(&r);
}

/* Of the token that there is: no other is asked for. */
static void transit_check_excess(struct vault *v, const struct vault_call *c, struct vault_reply *y) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        _cleanup_(run_done) struct run r = { .vault = v, .call = c, .reply = y };
        const char *mount = v->config->mount, *key = c->request->key.name;
        char body[TRANSIT_EXCESS_BODY_MAX], found[sizeof(y->text)];
        const struct question q = { .call = TRANSIT_CAPABILITIES, .payload = body };
        enum transit_next next;
        struct transit_evidence e;
        struct judgement j;

        if (transit_excess_body(mount, key, body) < 0)
                return vault_reply_set(y, VERDICT_MISCONFIGURED, "request", "names that are too long");
        if (!get_token(&r, 0) || !send_once(&r, &q, "sys/capabilities-self", &answer))
                return;
        if (!is_good(&answer)) {
                e = evidence(q.call, &answer);
                transit_judge(&e, &j, &next);
                refuse(&r, &j);
        } else if (transit_parse_excess(answer.body, answer.body_size, mount, key, found, sizeof(found)) < 0)
                vault_reply_unusable(y, -EBADMSG, "it does not say what this token may");
        else if (*found)
                vault_reply_set(y, VERDICT_GRANTED, "more permissions", "%s", found);
        else
                vault_reply_set(y, VERDICT_DENIED, "no more permissions", "nothing beyond read, decrypt, encrypt and rewrap");
}

static int transit_open(struct vault *v) {
        int r;

        r = transit_servers_new(v->config, v->http, &v->transit);
        return r < 0 || v->config->token_file ? r : identity_login_new(v->config, v->http, v->transit, &v->identity);
}

const struct vault_ops transit_ops = {
        .provider = "transit",
        .open = transit_open,
        .get_key = transit_get_key,
        .wrap = transit_wrap,
        .unwrap = transit_unwrap,
        .check_deleted = transit_check_deleted,
        .check_excess = transit_check_excess,
};
