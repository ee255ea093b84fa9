/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/http.c daemon/vault/http-proxy.c daemon/vault/judgement.c daemon/vault/memory.c daemon/vault/secret-file.c
// libs: libcurl json-c

/* What a test vault cannot show: the limits at their edges, headers byte by byte, and that blocks are overwritten
 * before they are freed. The rest of http.c is tested by worker-faults. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vault/http.h"
#include "vault/memory.h"

/* Answers one connection with that text, then closes. */
struct server {
        int fd;
        uint16_t port;
        const char *reply;
        size_t reply_size;
        char request[4096];
        pthread_t thread;
};

static void *answer(void *arg) {
        struct server *s = arg;
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        size_t n = 0;

        while (fd >= 0 && n < sizeof(s->request) - 1 && !strstr(s->request, "\r\n\r\n")) {
                ssize_t k = read(fd, s->request + n, sizeof(s->request) - 1 - n);

                if (k <= 0)
                        break;
                n += (size_t) k;
                s->request[n] = 0;
        }
        for (size_t sent = 0; fd >= 0 && sent < s->reply_size; ) {
                ssize_t k = send(fd, s->reply + sent, s->reply_size - sent, MSG_NOSIGNAL);

                if (k <= 0)
                        break;
                sent += (size_t) k;
        }
        safe_close(fd);
        return NULL;
}

static void server_start(struct server *s, const char *reply, size_t size) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof(a);

        *s = (struct server) { .fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0), .reply = reply, .reply_size = size };
        assert_int_equal(bind(s->fd, (struct sockaddr *) &a, sizeof(a)), 0);
        assert_int_equal(listen(s->fd, 1), 0);
        assert_int_equal(getsockname(s->fd, (struct sockaddr *) &a, &n), 0);
        s->port = ntohs(a.sin_port);
        assert_int_equal(pthread_create(&s->thread, NULL, answer, s), 0);
}

static int ask(const char *reply, size_t size, struct http_response *ret, char *ret_request) {
        struct http_pool *pool;
        struct server s;
        char url[64];
        int r;

        server_start(&s, reply, size);
        snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", s.port);
        assert_int_equal(http_pool_new(NULL, &pool), 0);
        r = http_perform(pool, &(struct http_request) { .url = url, .metadata = true,
                                                        .deadline_usec = now_boottime_usec() + 5 * USEC_PER_SEC }, ret);
        shutdown(s.fd, SHUT_RDWR);
        pthread_join(s.thread, NULL);
        safe_close(s.fd);
        http_pool_free(pool);
        if (ret_request)
                memcpy(ret_request, s.request, sizeof(s.request));
        return r;
}

static int ask_text(const char *reply, struct http_response *ret) {
        return ask(reply, strlen(reply), ret, NULL);
}

static void test_body_limit(void **state _unused_) {
        for (size_t n = HTTP_BODY_MAX; n <= HTTP_BODY_MAX + 1; n++)
                for (int said = 0; said < 2; said++) {
                        char *text = malloc(n + 128);
                        struct http_response y;
                        int head = said ? snprintf(text, 128, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n)
                                        : snprintf(text, 128, "HTTP/1.1 200 OK\r\n\r\n");

                        memset(text + head, 'x', n);
                        assert_int_equal(ask(text, (size_t) head + n, &y, NULL), n <= HTTP_BODY_MAX ? 0 : -EMSGSIZE);
                        if (n <= HTTP_BODY_MAX)
                                assert_int_equal(y.body_size, n);
                        http_response_clear(&y);
                        assert_null(y.body);
                        free(text);
                }
}

static void test_header_limit(void **state _unused_) {
        struct http_response y;
        char *text = malloc(80000);
        size_t n;

        assert_non_null(text);
        for (unsigned lines = 20; lines <= 40; lines += 20) {
                n = (size_t) sprintf(text, "HTTP/1.1 200 OK\r\n");
                for (unsigned i = 0; i < lines; i++)
                        n += (size_t) sprintf(text + n, "X-%u: %01200d\r\n", i, 0);
                n += (size_t) sprintf(text + n, "Content-Length: 0\r\n\r\n");
                assert_int_equal(ask(text, n, &y, NULL), lines == 20 ? 0 : -EMSGSIZE);
                http_response_clear(&y);
        }
        free(text);
}

static void test_headers(void **state _unused_) {
        struct http_response y;

        assert_int_equal(ask_text("HTTP/1.1 403 Forbidden\r\nX-MS-Request-ID:  abc-1 \r\n"
                                  "content-type: application/json; charset=utf-8\r\n"
                                  "Retry-After: 9\r\nContent-Length: 2\r\n\r\n{}", &y), 0);
        assert_int_equal(y.status, 403);
        assert_string_equal(y.request_id, "abc-1");
        assert_true(y.vendor && y.json);
        assert_int_equal(y.retry_after_sec, 9);
        assert_memory_equal(y.body, "{}", 2);
        http_response_clear(&y);

        assert_int_equal(ask_text("HTTP/1.1 429 No\r\nx-ms-request-id: a\tb\r\n"
                                  "Content-Type: application/jsonx\r\nRetry-After: 99999\r\n"
                                  "x-ms-request-idx: q\r\nContent-Length: 0\r\n\r\n", &y), 0);
        assert_string_equal(y.request_id, "");
        assert_false(y.vendor || y.json);
        assert_int_equal(y.retry_after_sec, HTTP_RETRY_AFTER_MAX);
        http_response_clear(&y);

        /* what an interim reply says is not about the final one */
        assert_int_equal(ask_text("HTTP/1.1 103 Early\r\nx-ms-request-id: early\r\n"
                                  "Content-Type: application/json\r\n\r\n"
                                  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &y), 0);
        assert_int_equal(y.status, 200);
        assert_string_equal(y.request_id, "");
        assert_false(y.vendor || y.json);
        http_response_clear(&y);
}

static void test_request(void **state _unused_) {
        struct http_response y;
        char request[4096];
        const char *reply = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";

        assert_int_equal(ask(reply, strlen(reply), &y, request), 0);
        assert_int_equal(y.status, 302);        /* and not followed */
        assert_non_null(strstr(request, "GET /x HTTP/1.1\r\n"));
        assert_non_null(strstr(request, "\r\nMetadata: true\r\n"));
        assert_null(strcasestr(request, "Authorization"));
        assert_null(strcasestr(request, "Accept-Encoding"));
        http_response_clear(&y);
}

static void test_refusals(void **state _unused_) {
        static const char *const urls[] = { "https://127.0.0.1:1/", "ftp://127.0.0.1:1/", "file:///etc/passwd",
                                            "gopher://127.0.0.1:1/" };
        struct http_pool *pool;
        struct http_response y;

        assert_int_equal(http_pool_new(NULL, &pool), 0);
        for (size_t i = 0; i < ELEMENTSOF(urls); i++) {        /* metadata is plain http and nothing else */
                assert_int_equal(http_perform(pool, &(struct http_request) { .url = urls[i], .metadata = true,
                                              .deadline_usec = now_boottime_usec() + USEC_PER_SEC }, &y), -EBADMSG);
                http_response_clear(&y);
        }
        assert_int_equal(http_perform(pool, &(struct http_request) { .url = "http://127.0.0.1:1/",
                                      .deadline_usec = now_boottime_usec() + USEC_PER_SEC }, &y), -EBADMSG);
        http_response_clear(&y);
        assert_int_equal(http_perform(pool, &(struct http_request) { .url = "https://127.0.0.1:1/",
                                                                     .deadline_usec = 1 }, &y),
                         -ETIMEDOUT);
        http_response_clear(&y);
        http_pool_free(pool);
}

static void test_escaping(void **state _unused_) {
        char buf[24] = "?r=";

        assert_int_equal(http_append_escaped(buf, sizeof(buf), "a-Z_0.~:/&"), 0);
        assert_string_equal(buf, "?r=a-Z_0.~%3A%2F%26");
        assert_int_equal(http_append_escaped(buf, sizeof(buf), "xxxxxx"), -ENOSPC);
}

/* A reallocation gives back the old block: whatever it is used for next, its content is gone. */
static void test_memory(void **state _unused_) {
        char *p = memory_alloc(64), *q;
        volatile const char *old = p;

        assert_non_null(p);
        memset(p, 'W', 64);
        q = memory_realloc(p, 4096);
        assert_non_null(q);
        for (size_t i = 0; i < 64; i++)
                assert_int_equal(q[i], 'W');
#ifndef __SANITIZE_ADDRESS__
        for (size_t i = 16; i < 64; i++)        /* the allocator's own links stand in the first bytes */
                assert_int_equal(old[i], 0);
#else
        (void) old;
#endif
        memory_free(q);
        memory_free(NULL);
        assert_null(memory_realloc(memory_alloc(8), 0));
}

/* Answers the first request of a connection and swallows all others of it. */
struct swallower {
        int fd, connections[2];
        unsigned n_connections, n_requests;
        pthread_t thread;
};

static void *swallow(void *arg) {
        static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        struct swallower *s = arg;
        char request[4096];

        for (; s->n_connections < 2; s->n_connections++) {
                int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

                if (fd < 0)
                        break;
                s->connections[s->n_connections] = fd;
                if (read(fd, request, sizeof(request)) > 0 && send(fd, reply, strlen(reply), MSG_NOSIGNAL) > 0)
                        s->n_requests++;
        }
        return NULL;
}

/* What a kept connection swallows is asked again, once and in time; a deadline that is nearer than that is the caller's. */
static void test_silent_connection(void **state _unused_) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof(a);
        struct swallower s = { .fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0) };
        struct http_request q = { .metadata = true };
        struct http_response y;
        struct http_pool *pool;
        uint64_t start;
        char url[64];

        assert_int_equal(bind(s.fd, (struct sockaddr *) &a, sizeof(a)), 0);
        assert_int_equal(listen(s.fd, 4), 0);
        assert_int_equal(getsockname(s.fd, (struct sockaddr *) &a, &n), 0);
        snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", ntohs(a.sin_port));
        q.url = url;
        assert_int_equal(http_pool_new(NULL, &pool), 0);
        assert_int_equal(pthread_create(&s.thread, NULL, swallow, &s), 0);
        for (int i = 0; i < 2; i++) {
                start = now_boottime_usec();
                q.deadline_usec = start + 60 * USEC_PER_SEC;
                assert_int_equal(http_perform(pool, &q, &y), 0);
                assert_memory_equal(y.body, "{}", 2);
                assert_int_equal(y.usec >= 3 * USEC_PER_SEC, i == 1);
                assert_true(y.usec <= now_boottime_usec() - start);
                http_response_clear(&y);
        }
        pthread_join(s.thread, NULL);
        assert_int_equal(s.n_connections, 2);
        assert_int_equal(s.n_requests, 2);
        q.deadline_usec = now_boottime_usec() + 500 * USEC_PER_MSEC;
        assert_int_equal(http_perform(pool, &q, &y), -ETIMEDOUT);
        assert_true(*y.error && y.usec >= 400 * USEC_PER_MSEC);
        http_response_clear(&y);
        http_pool_free(pool);
        for (int i = 0; i < 2; i++)
                safe_close(s.connections[i]);
        safe_close(s.fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_body_limit), cmocka_unit_test(test_header_limit), cmocka_unit_test(test_headers),
                cmocka_unit_test(test_request), cmocka_unit_test(test_refusals), cmocka_unit_test(test_escaping),
                cmocka_unit_test(test_silent_connection), cmocka_unit_test(test_memory),
        };

        return memory_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
