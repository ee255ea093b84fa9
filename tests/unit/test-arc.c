/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/arc-key.c daemon/vault/challenge-header.c daemon/vault/secret-file.c daemon/vault/identity-imds.c daemon/vault/identity-http.c daemon/vault/identity.c daemon/vault/imds-reply.c daemon/vault/http.c daemon/vault/http-proxy.c daemon/vault/judgement.c daemon/vault/reply-secret.c
// libs: libcurl json-c

/* The agent of Azure Arc: which file it may make us read, and the two questions that a token takes. The real directory belongs to
 * the agent, so another one is said here. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <ftw.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config-azure.h"
#include "vault/arc-key.h"
#include "vault/identity-imds.h"

static char root[64], directory[96];

static int remove_one(const char *path, const struct stat *st _unused_, int flag _unused_, struct FTW *f _unused_) {
        return remove(path);
}

static void put(const char *path, const void *data, size_t size) {
        assert_int_equal(write_file_atomic(path, data, size, 0440), 0);
}

static int set_up(void **state _unused_) {
        char path[160];

        strcpy(root, "/tmp/test-arc.XXXXXX");
        if (!mkdtemp(root))
                return -1;
        snprintf(directory, sizeof(directory), "%s/tokens", root);
        assert_int_equal(mkdir(directory, 0755), 0);
        snprintf(path, sizeof(path), "%s/a-1.key", directory);
        put(path, "c2VjcmV0+/=\n", 12);
        return 0;
}

static int tear_down(void **state _unused_) {
        return nftw(root, remove_one, 8, FTW_DEPTH|FTW_PHYS);
}

static int ask(const char *format, const char *where, const char **ret_why, struct secret **ret) {
        char header[512];

        snprintf(header, sizeof(header), format, where);
        return arc_key_read(header, directory, ret, ret_why);
}

static void test_the_file(void **state _unused_) {
        static const char *const forms[] = { "Basic realm=%s/a-1.key", "basic realm=\"%s/a-1.key\"", "Basic x=1, realm=%s/a-1.key" };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                struct secret *s = NULL;
                const char *why = NULL;

                assert_int_equal(ask(forms[i], directory, &why, &s), 0);
                assert_string_equal(secret_cdata(s), "Authorization: Basic c2VjcmV0+/=");
                assert_int_equal(secret_size(s), strlen("Authorization: Basic c2VjcmV0+/=") + 1);
                secret_free(s);
        }
}

static void test_other_files(void **state _unused_) {
        static const char *const forms[] = {
                "Basic realm=%s/../outside.key", "Basic realm=%s//a-1.key", "Basic realm=%s/sub/a-1.key", "Basic realm=%sx/a-1.key",
                "Basic realm=%s/a-1.txt", "Basic realm=%s/.key", "Basic realm=%s/.a.key", "Basic realm=%s/", "Basic realm=%s",
                "Basic realm=\"%s/a 1.key\"", "Basic realm=/etc/shadow%.0s", "Basic realm=/etc/shadow.key%.0s",
                "Basic realm=a-1.key%.0s", "Bearer realm=%s/a-1.key", "Basic%.0s", "%.0s", "Basic realm=%s/link.key",
                "Basic realm=%s/large.key", "Basic realm=%s/lines.key", "Basic realm=%s/empty.key", "Basic realm=%s/directory.key",
                "Basic realm=%s/missing.key", "Basic realm=%s/pipe.key",
        };
        char path[160], target[160], large[SECRET_MAX];

        snprintf(target, sizeof(target), "%s/outside.key", root);
        put(target, "c2VjcmV0", 8);
        snprintf(path, sizeof(path), "%s/link.key", directory);
        assert_int_equal(symlink(target, path), 0);
        memset(large, 'A', sizeof(large));
        snprintf(path, sizeof(path), "%s/large.key", directory);
        put(path, large, sizeof(large));
        snprintf(path, sizeof(path), "%s/lines.key", directory);
        put(path, "abc\r\nX-Injected: 1", 18);
        snprintf(path, sizeof(path), "%s/empty.key", directory);
        put(path, "", 0);
        snprintf(path, sizeof(path), "%s/directory.key", directory);
        assert_int_equal(mkdir(path, 0755), 0);
        snprintf(path, sizeof(path), "%s/pipe.key", directory);
        assert_int_equal(mkfifo(path, 0600), 0);
        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                struct secret *s = NULL;
                const char *why = NULL;

                if (ask(forms[i], directory, &why, &s) >= 0 || s || !why)
                        fail_msg("%s", forms[i]);
        }
}

/* Answers connections in turn, each with one text, and keeps what was asked. */
struct agent {
        int fd;
        uint16_t port;
        const char *replies[4];
        char requests[4][2048];
        pthread_t thread;
};

static void *serve(void *arg) {
        struct agent *a = arg;

        for (size_t i = 0; i < ELEMENTSOF(a->replies) && a->replies[i]; i++) {
                int fd = accept4(a->fd, NULL, NULL, SOCK_CLOEXEC);
                size_t n = 0;

                while (fd >= 0 && !strstr(a->requests[i], "\r\n\r\n")) {
                        ssize_t k = read(fd, a->requests[i] + n, sizeof(a->requests[i]) - 1 - n);

                        if (k <= 0)
                                break;
                        n += (size_t) k;
                }
                if (fd >= 0)
                        assert_true(send(fd, a->replies[i], strlen(a->replies[i]), MSG_NOSIGNAL) > 0);
                safe_close(fd);
        }
        return NULL;
}

static void agent_start(struct agent *a) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof(address);

        a->fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);
        assert_int_equal(bind(a->fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(a->fd, 4), 0);
        assert_int_equal(getsockname(a->fd, (struct sockaddr *) &address, &n), 0);
        a->port = ntohs(address.sin_port);
        assert_int_equal(pthread_create(&a->thread, NULL, serve, a), 0);
}

static int get_token(struct agent *a, int identity, struct token_result *ret) {
        char endpoint[64], resource[] = "https://vault.azure.net";
        struct vault_config c = { .identity = identity, .metadata_endpoint = endpoint, .resource = resource };
        const struct token_request q = { .deadline_usec = now_boottime_usec() + 5 * USEC_PER_SEC };
        struct identity *i;
        int r;

        agent_start(a);
        snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", a->port);
        assert_int_equal(identity_imds_new(&c, directory, &i), 0);
        r = identity_get_token(i, &q, ret);
        identity_free(i);
        shutdown(a->fd, SHUT_RDWR);
        pthread_join(a->thread, NULL);
        safe_close(a->fd);
        return r;
}

#define CLOSE "Connection: close\r\n"
#define TOKEN "HTTP/1.1 200 OK\r\n" CLOSE "Content-Type: application/json\r\n\r\n{\"access_token\":\"abc\",\"expires_in\":\"3600\"}"

static void test_two_questions(void **state _unused_) {
        struct agent a = { .replies = { NULL, TOKEN } };
        struct token_result t;
        char first[256];

        snprintf(first, sizeof(first), "HTTP/1.1 401 No\r\n" CLOSE "WWW-Authenticate: Basic realm=%s/a-1.key\r\n"
                 "Content-Length: 0\r\n\r\n", directory);
        a.replies[0] = first;
        assert_int_equal(get_token(&a, AZURE_IDENTITY_ARC, &t), 0);
        assert_string_equal(secret_cdata(t.token), "abc");
        secret_free(t.token);
        assert_non_null(strstr(a.requests[0], "GET /metadata/identity/oauth2/token?api-version=2019-11-01&resource=https%3A%2F%2F"));
        assert_null(strstr(a.requests[0], "Authorization:"));
        for (int i = 0; i < 2; i++)
                assert_non_null(strstr(a.requests[i], "\r\nMetadata: true\r\n"));
        assert_non_null(strstr(a.requests[1], "\r\nAuthorization: Basic c2VjcmV0+/=\r\n"));
}

#define NOT_FOUND "HTTP/1.1 400 Bad\r\n" CLOSE "Content-Type: application/json\r\n\r\n" \
                  "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}"

/* where NULL: without a challenge. */
static void test_refusals(void **state _unused_) {
        static const struct { const char *where, *second; int identity; enum verdict verdict; const char *code; } rows[] = {
                { "/a-1.key", "HTTP/1.1 401 No\r\n" CLOSE "Content-Length: 0\r\n\r\n", AZURE_IDENTITY_ARC, VERDICT_BROKEN, "metadata: HTTP 401" },
                { "/../x.key", NULL, AZURE_IDENTITY_ARC, VERDICT_BROKEN, "metadata: challenge" },
                { "/missing.key", NULL, AZURE_IDENTITY_ARC, VERDICT_MISCONFIGURED, "metadata: challenge" },
                { "/a-1.key", NULL, AZURE_IDENTITY_MANAGED, VERDICT_BROKEN, "metadata: HTTP 401" },   /* elsewhere there is no such thing */
                /* the agent's port is any local user's while the agent is down */
                { NULL, NOT_FOUND, AZURE_IDENTITY_ARC, VERDICT_DENIED_WEAK, "metadata: invalid_request" },
                { "/a-1.key", NOT_FOUND, AZURE_IDENTITY_ARC, VERDICT_DENIED_WEAK, "metadata: invalid_request" },
                { NULL, NOT_FOUND, AZURE_IDENTITY_MANAGED, VERDICT_DENIED, "metadata: invalid_request" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct agent a = { .replies = { NULL, rows[i].where ? rows[i].second : NULL } };
                struct token_result t;
                char first[256];

                snprintf(first, sizeof(first), "HTTP/1.1 401 No\r\n" CLOSE "WWW-Authenticate: Basic realm=%s%s\r\n"
                         "Content-Length: 0\r\n\r\n", directory, strempty(rows[i].where));
                a.replies[0] = rows[i].where ? first : rows[i].second;
                assert_int_equal(get_token(&a, rows[i].identity, &t), -EACCES);
                assert_null(t.token);
                if (t.failure.verdict != rows[i].verdict || !streq(t.failure.code, rows[i].code))
                        fail_msg("row %zu: %s %s", i, verdict_to_string(t.failure.verdict), t.failure.code);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
                T(test_the_file), T(test_other_files), T(test_two_questions), T(test_refusals),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
