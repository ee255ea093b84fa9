/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#include "http-proxy.h"

#define IDLE_MAX 4u
/* So many requests run on connections of their own; further ones wait that long for one of those. A handshake costs more
 * than an answer, here and in the vault. */
#define CONNECTIONS_EAGER 6u
#define SHARE_PATIENCE_USEC USEC_PER_SEC
/* Half of the time that is left may go into a connection, and so much in any case: on a machine that opens many volumes at
 * once the handshakes wait for each other. */
#define CONNECT_TIMEOUT_MS 5000L
/* What was open before this machine was put back to a snapshot, or a load balancer forgot, swallows a request without a word. So
 * long a kept connection may be silent before the question is asked again on a new one. */
#define KEPT_PATIENCE_USEC (3 * USEC_PER_SEC)

struct http_pool {
        pthread_mutex_t lock;
        char *ca_pem;
        struct http_checks checks;
        struct http_proxy proxy;
        char *client_certificate;          /* under the lock */
        struct secret *client_key;
        CURL *idle[IDLE_MAX];
        size_t n_idle;
        size_t n_busy, n_waiting;
        pthread_cond_t given_back;
};

int http_pool_new(const char *ca_pem, struct http_pool **ret) {
        pthread_condattr_t attr;
        struct http_pool *p;

        p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        if (ca_pem && !(p->ca_pem = strdup(ca_pem))) {
                free(p);
                return -ENOMEM;
        }
        pthread_mutex_init(&p->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&p->given_back, &attr);
        pthread_condattr_destroy(&attr);
        *ret = p;
        return 0;
}

/* Ending a connection may say goodbye to its peer: not under the lock. */
static void drop_idle(struct http_pool *p) {
        CURL *idle[IDLE_MAX];
        size_t n;

        pthread_mutex_lock(&p->lock);
        n = p->n_idle;
        memcpy(idle, p->idle, sizeof(idle));
        p->n_idle = 0;
        pthread_mutex_unlock(&p->lock);
        while (n > 0)
                curl_easy_cleanup(idle[--n]);
}

struct http_pool *http_pool_free(struct http_pool *p) {
        if (!p)
                return NULL;
        drop_idle(p);
        pthread_cond_destroy(&p->given_back);
        pthread_mutex_destroy(&p->lock);
        free(p->ca_pem);
        free(p->proxy.ca_pem);
        free(p->client_certificate);
        secret_free(p->client_key);
        free(p);
        return NULL;
}

void http_pool_set_checks(struct http_pool *p, const struct http_checks *checks) {
        p->checks = *checks;
}

void http_pool_set_proxy(struct http_pool *p, const char *url, const char *credentials_file, char *ca_pem) {
        p->proxy = (struct http_proxy) { .url = url, .credentials_file = credentials_file, .ca_pem = ca_pem };
}

void http_pool_set_client(struct http_pool *p, char *certificate, struct secret *key) {
        pthread_mutex_lock(&p->lock);
        free(p->client_certificate);
        secret_free(p->client_key);
        p->client_certificate = certificate;
        p->client_key = key;
        pthread_mutex_unlock(&p->lock);
}

/* Under the lock. */
static void wait_for_handle(struct http_pool *p) {
        struct timespec end;
        int r = 0;

        clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += (time_t) (SHARE_PATIENCE_USEC / USEC_PER_SEC);
        p->n_waiting++;
        while (r == 0 && p->n_idle == 0 && p->n_busy >= CONNECTIONS_EAGER)
                r = pthread_cond_timedwait(&p->given_back, &p->lock, &end);
        p->n_waiting--;
}

static CURL *take_handle(struct http_pool *p, bool fresh, bool *ret_kept) {
        CURL *h = NULL;

        pthread_mutex_lock(&p->lock);
        if (!fresh)
                wait_for_handle(p);
        if (!fresh && p->n_idle > 0)
                h = p->idle[--p->n_idle];
        p->n_busy++;
        pthread_mutex_unlock(&p->lock);
        *ret_kept = h != NULL;
        if (!h)
                h = curl_easy_init();
        if (!h) {
                pthread_mutex_lock(&p->lock);
                p->n_busy--;
                pthread_mutex_unlock(&p->lock);
        }
        return h;
}

/* Resetting keeps the connection and forgets the token. One that a secret came by is kept only for somebody who waits for
 * it at this moment: its buffers are overwritten by the next answer, and wiped with the last. */
static void give_back(struct http_pool *p, CURL *h, bool keep, bool secret) {
        curl_easy_reset(h);
        pthread_mutex_lock(&p->lock);
        p->n_busy--;
        if (keep && p->n_idle < IDLE_MAX && (!secret || p->n_waiting > p->n_idle)) {
                p->idle[p->n_idle++] = h;
                h = NULL;
        }
        pthread_cond_signal(&p->given_back);
        pthread_mutex_unlock(&p->lock);
        if (h)
                curl_easy_cleanup(h);
}

static int map_body(struct http_response *y) {
        void *p;

        p = mmap(NULL, HTTP_BODY_MAX, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return -ENOMEM;
        y->body = p;
        if (mlock(p, HTTP_BODY_MAX) < 0 || madvise(p, HTTP_BODY_MAX, MADV_DONTDUMP) < 0 ||
            madvise(p, HTTP_BODY_MAX, MADV_WIPEONFORK) < 0)
                return -EPERM;
        return 0;
}

/* As it was before the question. */
static void response_again(struct http_response *y) {
        char *body = y->body;

        explicit_bzero(body, y->body_size);
        *y = (struct http_response) { .body = body };
}

void http_response_clear(struct http_response *y) {
        if (!y->body)
                return;
        explicit_bzero(y->body, HTTP_BODY_MAX);
        munmap(y->body, HTTP_BODY_MAX);
        y->body = NULL;
        y->body_size = 0;
}

static size_t on_body(char *data, size_t one _unused_, size_t n, void *user) {
        struct http_response *y = user;

        if (n > HTTP_BODY_MAX - y->body_size) {
                y->too_large = true;
                return 0;
        }
        memcpy(y->body + y->body_size, data, n);
        y->body_size += n;
        return n;
}

static int on_progress(void *user, curl_off_t a _unused_, curl_off_t b _unused_, curl_off_t c _unused_, curl_off_t d _unused_) {
        const _Atomic bool *called_off = user;

        return *called_off;
}

/* The value of a header line, without space around it; false if the line is another header, or does not fit. */
static bool header_value(const char *line, size_t n, const char *name, char *buf, size_t size) {
        size_t k = strlen(name);

        if (n <= k || strncasecmp(line, name, k) != 0 || line[k] != ':')
                return false;
        line += k + 1;
        n -= k + 1;
        for (; n > 0 && (*line == ' ' || *line == '\t'); line++)
                n--;
        while (n > 0 && isspace((unsigned char) line[n - 1]))
                n--;
        if (n == 0 || n >= size)
                return false;
        for (size_t i = 0; i < n; i++)
                if (line[i] < ' ' || line[i] > '~')
                        return false;
        memcpy(buf, line, n);
        buf[n] = 0;
        return true;
}

static void forget_headers(struct http_response *y) {
        y->vendor = y->json = false;
        y->request_id[0] = y->location[0] = y->challenge[0] = 0;
}

static size_t on_header(char *line, size_t one _unused_, size_t n, void *user) {
        struct http_response *y = user;
        char value[129];

        y->headers_size += n;
        if (y->headers_size > HTTP_HEADERS_MAX) {
                y->too_large = true;
                return 0;
        }
        if (n > 5 && memcmp(line, "HTTP/", 5) == 0) {
                forget_headers(y);       /* what an interim reply said, or a proxy, is not about this one */
        } else if (header_value(line, n, "x-ms-request-id", y->request_id, sizeof(y->request_id)) ||
            header_value(line, n, "x-ms-keyvault-service-version", value, sizeof(value)))
                y->vendor = true;
        else if (header_value(line, n, "Location", y->location, sizeof(y->location)) ||
                 (!*y->challenge && header_value(line, n, "WWW-Authenticate", y->challenge, sizeof(y->challenge))))
                return n;
        else if (header_value(line, n, "Content-Type", value, sizeof(value)))
                y->json = strncasecmp(value, "application/json", 16) == 0 && strchr("; ", value[16]);
        return n;
}

static int translate(CURLcode c, const struct http_response *y) {
        if (y->too_large)
                return -EMSGSIZE;
        switch (c) {
        case CURLE_OK:
                return 0;
        case CURLE_OPERATION_TIMEDOUT:
                return -ETIMEDOUT;
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
                return -ENXIO;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        case CURLE_SSL_INVALIDCERTSTATUS:
                return -EKEYREJECTED;
        case CURLE_FILESIZE_EXCEEDED:
                return -EMSGSIZE;
        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_BAD_CONTENT_ENCODING:
                return -EBADMSG;
        case CURLE_URL_MALFORMAT:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CRL_BADFILE:
        case CURLE_NOT_BUILT_IN:
        case CURLE_UNKNOWN_OPTION:
        case CURLE_BAD_FUNCTION_ARGUMENT:
                return -EINVAL;
        case CURLE_OUT_OF_MEMORY:
                return -ENOMEM;
        default:
                return -ECONNREFUSED;
        }
}

#define SET(option, value) do { if (c == CURLE_OK) c = curl_easy_setopt(h, option, value); } while (0)

/* Copied: another login may replace them meanwhile. libcurl's copies are wiped when they are freed (memory.h). */
static CURLcode set_up_client(CURL *h, struct http_pool *p) {
        CURLcode c = CURLE_OK;

        pthread_mutex_lock(&p->lock);
        if (p->client_key) {
                struct curl_blob certificate = {
                        .data = p->client_certificate, .len = strlen(p->client_certificate), .flags = CURL_BLOB_COPY,
                };
                struct curl_blob key = {
                        .data = secret_data(p->client_key), .len = secret_size(p->client_key) - 1, .flags = CURL_BLOB_COPY,
                };

                SET(CURLOPT_SSLCERT_BLOB, &certificate);
                SET(CURLOPT_SSLKEY_BLOB, &key);
        }
        pthread_mutex_unlock(&p->lock);
        return c;
}

static CURLcode set_up_checks(CURL *h, const struct http_pool *p) {
        CURLcode c = CURLE_OK;

        SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_SSL_VERIFYHOST, 2L);
        if (p->ca_pem) {
                struct curl_blob blob = { .data = p->ca_pem, .len = strlen(p->ca_pem), .flags = CURL_BLOB_NOCOPY };

                SET(CURLOPT_CAINFO_BLOB, &blob);
                SET(CURLOPT_CAPATH, NULL);     /* else the system's authorities would count as well */
        }
        if (p->checks.pins)
                SET(CURLOPT_PINNEDPUBLICKEY, p->checks.pins);
        if (p->checks.crl_file)
                SET(CURLOPT_CRLFILE, p->checks.crl_file);
        if (p->checks.stapled)
                SET(CURLOPT_SSL_VERIFYSTATUS, 1L);
        return c;
}

/* QUICK_EXIT: a name server that does not answer must not hold up the deadline; the resolver's thread ends alone. */
static CURLcode set_up_transport(CURL *h, const struct http_request *q, long left_ms) {
        long connect_ms = MAX_OF(left_ms / 2, CONNECT_TIMEOUT_MS);
        CURLcode c = CURLE_OK;

        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_PROTOCOLS_STR, q->metadata ? "http" : "https");
        SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
        SET(CURLOPT_FOLLOWLOCATION, 0L);
        SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
        SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
        SET(CURLOPT_HTTP09_ALLOWED, 0L);
        SET(CURLOPT_MAXFILESIZE, (long) HTTP_BODY_MAX);
        SET(CURLOPT_TIMEOUT_MS, left_ms);
        SET(CURLOPT_CONNECTTIMEOUT_MS, MIN_OF(left_ms, connect_ms));
        SET(CURLOPT_QUICK_EXIT, 1L);
        SET(CURLOPT_TCP_KEEPALIVE, 1L);
        if (q->fresh_connection) {
                SET(CURLOPT_FRESH_CONNECT, 1L);
                SET(CURLOPT_FORBID_REUSE, 1L);
                SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
                SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
        }
        return c;
}

static CURLcode set_up_request(CURL *h, const struct http_request *q, struct curl_slist *headers,
                               struct http_response *y) {
        CURLcode c = CURLE_OK;

        SET(CURLOPT_URL, q->url);
        SET(CURLOPT_USERAGENT, "cmkd");
        SET(CURLOPT_HTTPHEADER, headers);
        if (q->bearer) {
                SET(CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
                SET(CURLOPT_XOAUTH2_BEARER, (const char *) secret_cdata(q->bearer));
        }
        if (q->body) {
                SET(CURLOPT_POSTFIELDSIZE, (long) q->body_size);
                SET(CURLOPT_POSTFIELDS, q->body);
                if (q->put)
                        SET(CURLOPT_CUSTOMREQUEST, "PUT");
        } else
                SET(CURLOPT_HTTPGET, 1L);
        if (q->called_off) {
                SET(CURLOPT_XFERINFOFUNCTION, on_progress);
                SET(CURLOPT_XFERINFODATA, (void *) q->called_off);
                SET(CURLOPT_NOPROGRESS, 0L);
        }
        SET(CURLOPT_WRITEFUNCTION, on_body);
        SET(CURLOPT_WRITEDATA, y);
        SET(CURLOPT_HEADERFUNCTION, on_header);
        SET(CURLOPT_HEADERDATA, y);
        SET(CURLOPT_ERRORBUFFER, y->error);
        return c;
}

static void free_headers(struct curl_slist **l) {
        curl_slist_free_all(*l);
}

static int append_header(struct curl_slist **l, const char *text) {
        struct curl_slist *more = curl_slist_append(*l, text);

        if (!more)
                return -ENOMEM;
        *l = more;
        return 0;
}

static int make_headers(const struct http_request *q, struct curl_slist **ret) {
        int r;

        r = append_header(ret, "Accept: application/json");
        if (r >= 0)
                r = append_header(ret, "Expect:");
        if (r >= 0 && q->body)
                r = append_header(ret, q->form ? "Content-Type: application/x-www-form-urlencoded" :
                                                  "Content-Type: application/json");
        if (r >= 0 && q->metadata)
                r = append_header(ret, "Metadata: true");
        if (r >= 0 && q->authorization)
                r = append_header(ret, (const char *) secret_cdata(q->authorization));
        for (const char *const *h = q->headers; r >= 0 && h && *h; h++)
                r = append_header(ret, *h);
        return r;
}

static int perform_on(CURL *h, struct http_pool *p, const struct http_request *q, uint64_t deadline_usec,
                      struct http_response *ret) {
        _cleanup_(free_headers) struct curl_slist *headers = NULL, *proxy_headers = NULL;
        const struct http_proxy *proxy = q->metadata || !p->proxy.url ? NULL : &p->proxy;
        uint64_t now = now_boottime_usec();
        curl_off_t retry_after = 0;
        long status = 0, left_ms;
        CURLcode c;
        int r;

        r = make_headers(q, &headers);
        if (r < 0)
                return r;
        left_ms = deadline_usec > now ? (long) ((deadline_usec - now) / USEC_PER_MSEC) : 0;
        if (left_ms == 0)
                return -ETIMEDOUT;
        r = http_proxy_set_up(h, proxy, &proxy_headers, ret->error, sizeof(ret->error));
        if (r < 0)
                return r;
        c = set_up_transport(h, q, left_ms);
        if (c == CURLE_OK)
                c = set_up_checks(h, p);
        if (c == CURLE_OK)
                c = set_up_client(h, p);
        if (c == CURLE_OK)
                c = set_up_request(h, q, headers, ret);
        if (c == CURLE_OK)
                c = curl_easy_perform(h);
        r = translate(c, ret);
        if (r < 0) {
                if (http_proxy_was_last(h))
                        forget_headers(ret);
                if (ret->too_large)
                        snprintf(ret->error, sizeof(ret->error), "the answer is larger than allowed");
                else if (!*ret->error)
                        snprintf(ret->error, sizeof(ret->error), "%s", curl_easy_strerror(c));
                return proxy ? http_proxy_blame(h, proxy, c, r, ret->error, sizeof(ret->error)) : r;
        }
        if (curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status < 100 || status > 999)
                return -EBADMSG;
        ret->status = (uint16_t) status;
        if (curl_easy_getinfo(h, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK && retry_after > 0)
                ret->retry_after_sec = (uint32_t) MIN_OF(retry_after, (curl_off_t) HTTP_RETRY_AFTER_MAX);
        return 0;
}

/* On a kept connection if there is one, and where that is silent on one of its own. */
static int perform(struct http_pool *p, const struct http_request *q, struct http_response *ret) {
        uint64_t patience;
        bool kept;
        CURL *h;
        int r;

        h = take_handle(p, q->fresh_connection, &kept);
        if (!h)
                return -ENOMEM;
        patience = now_boottime_usec() + KEPT_PATIENCE_USEC;
        r = perform_on(h, p, q, kept ? MIN_OF(q->deadline_usec, patience) : q->deadline_usec, ret);
        give_back(p, h, r >= 0 && !q->fresh_connection, q->carries_secret);
        if (r != -ETIMEDOUT || !kept || patience >= q->deadline_usec)
                return r;
        drop_idle(p);                  /* kept with one that turned out to be dead */
        response_again(ret);
        h = take_handle(p, true, &kept);
        if (!h)
                return -ENOMEM;
        r = perform_on(h, p, q, q->deadline_usec, ret);
        give_back(p, h, r >= 0, q->carries_secret);
        return r;
}

int http_perform(struct http_pool *p, const struct http_request *q, struct http_response *ret) {
        uint64_t start = now_boottime_usec();
        int r;

        *ret = (struct http_response) {};
        r = map_body(ret);
        if (r < 0) {
                snprintf(ret->error, sizeof(ret->error), "cannot lock memory for the answer (RLIMIT_MEMLOCK)");
                return r;
        }
        r = perform(p, q, ret);
        ret->usec = (uint32_t) MIN_OF(now_boottime_usec() - start, (uint64_t) UINT32_MAX);
        return r;
}

void http_judge_failure(int r, const struct http_response *y, struct judgement *ret) {
        static const struct { int error; enum verdict verdict; const char *code; } table[] = {
                { -ETIMEDOUT, VERDICT_UNREACHABLE, "curl: timed out" },
                { -ENXIO, VERDICT_UNREACHABLE, "curl: name not resolved" },
                { -ECONNREFUSED, VERDICT_UNREACHABLE, "curl: no connection" },
                { -ENETUNREACH, VERDICT_UNREACHABLE, "curl: proxy" },
                { -EKEYREJECTED, VERDICT_UNREACHABLE, "curl: certificate" },
                { -EMSGSIZE, VERDICT_BROKEN, "curl: too large" },
                { -EBADMSG, VERDICT_BROKEN, "curl: not HTTP" },
                { -EINVAL, VERDICT_MISCONFIGURED, "curl: configuration" },
                { -EPERM, VERDICT_UNREACHABLE, "memory" },
                { -ENOMEM, VERDICT_UNREACHABLE, "memory" },
        };
        const char *text = *y->error ? y->error : strerror(-r);

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].error == r)
                        return judgement_set(ret, table[i].verdict, table[i].code, "%s", text);
        judgement_set(ret, VERDICT_UNREACHABLE, "curl: failed", "%s", text);
}

int http_append_escaped(char *buf, size_t size, const char *s) {
        size_t n = strlen(buf);

        for (; *s; s++) {
                if (n + 4 > size)
                        return -ENOSPC;
                if (isalnum((unsigned char) *s) || strchr("-._~", *s))
                        buf[n++] = *s;
                else
                        n += (size_t) snprintf(buf + n, 4, "%%%02X", (unsigned char) *s);
        }
        buf[n] = 0;
        return 0;
}
