/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One HTTP request, one bounded answer: the only file, but for http-proxy.c, that knows libcurl.
 *
 *   http_perform ─ takes an idle handle (its connection stays open) or a new one ─► libcurl ─► TLS 1.2+, verified
 *        ◄─ status, body, a few headers ── struct http_response: locked pages, left out of core dumps, wiped when freed
 *
 * Never follows a redirect, uses the pool's proxy or none and never one for metadata, never speaks another protocol than the one asked for. Bodies above
 * HTTP_BODY_MAX and headers above HTTP_HEADERS_MAX end the transfer. A handle that has carried a secret is not kept:
 * closing it returns its buffers through the wiping allocator of memory.h. A kept connection that is silent for 3 s is
 * taken for dead, and the question asked again on a new one, within the same deadline, as libcurl does at once where a kept one was closed
 * meanwhile: what is asked of a vault changes nothing there. What does, a login of transit, is to ask for a fresh connection. */

#include "common/secret.h"
#include "judgement.h"

#define HTTP_BODY_MAX (64u * 1024u)
#define HTTP_HEADERS_MAX (32u * 1024u)
#define HTTP_RETRY_AFTER_MAX 300u
#define HTTP_CHALLENGE_MAX 2048u

struct http_pool;

struct http_request {
        const char *url;
        bool metadata;                   /* plain http, "Metadata: true"; else https */
        const char *body;                /* POST; NULL: GET */
        bool put;                        /* PUT, with that body */
        bool form;                       /* the body is application/x-www-form-urlencoded; else application/json */
        size_t body_size;
        const struct secret *bearer;     /* NUL-terminated token, or NULL */
        const struct secret *authorization;   /* a line for the head, NUL-terminated: "Authorization: ...", or NULL */
        const char *const *headers;      /* more lines for the head, "Name: value"; NULL-terminated, or NULL */
        bool fresh_connection;           /* on a connection of its own, that is closed afterwards */
        bool carries_secret;             /* the handle is not kept, but for a request that waits for one just now */
        uint64_t deadline_usec;          /* CLOCK_BOOTTIME */
        const _Atomic bool *called_off;  /* or NULL: ends with -ECONNREFUSED within a second of its being true */
};

struct http_response {
        uint16_t status;
        bool json;                       /* Content-Type: application/json */
        bool vendor;                     /* one of the headers that the vault's own replies have */
        char request_id[129];
        char location[513];              /* "": none, or one that does not fit */
        char challenge[HTTP_CHALLENGE_MAX + 1];   /* the first WWW-Authenticate; the same */
        uint32_t retry_after_sec;        /* 0: not said */
        uint32_t usec;                   /* the whole exchange, with connecting */
        char *body;                      /* not NUL-terminated */
        size_t body_size;
        size_t headers_size;
        bool too_large;
        char error[257];                 /* of a failure, for people */
};

/* A pool for one host. ca_pem: the only authorities trusted (copied), NULL: the system's. Returns 0 or -ENOMEM. */
int http_pool_new(const char *ca_pem, struct http_pool **ret);

/* What a certificate must be beside signed by an authority and of the host's name; texts stay the caller's. */
struct http_checks {
        const char *pins;                /* "sha256//BASE64;...": its public key is one of these; NULL: any */
        const char *crl_file;            /* PEM, read anew for each connection: neither it nor an authority is on the list */
        bool stapled;                    /* the server shows an OCSP answer of its authority, that it is good */
};

/* Before the first request. */
void http_pool_set_checks(struct http_pool *p, const struct http_checks *checks);

/* Before the first request: connections go through that proxy, "http://HOST:PORT" or "https://HOST:PORT" (NULL: none), but for
 * metadata. credentials_file: USER:PASSWORD for it, read for each request, or NULL. Both stay the caller's; takes over ca_pem, the only
 * authorities that its certificate may be of (NULL: the system's). */
void http_pool_set_proxy(struct http_pool *p, const char *url, const char *credentials_file, char *ca_pem);

/* What connections made from now on show of themselves: a certificate with its chain, PEM, and its key, with a NUL. Takes both
 * over. */
void http_pool_set_client(struct http_pool *p, char *certificate, struct secret *key);

/* No request may be under way. Accepts NULL, returns NULL. */
struct http_pool *http_pool_free(struct http_pool *p);

/* Sends and waits for the answer, whatever its status is. Safe from several threads. Returns 0, or
 *   -ETIMEDOUT    the deadline passed
 *   -ENXIO        the name does not resolve
 *   -ECONNREFUSED no connection, or it broke
 *   -ENETUNREACH  the proxy gave no way through
 *   -EKEYREJECTED TLS: the peer did not prove to be the host asked for
 *   -EMSGSIZE     more than the limits allow
 *   -EBADMSG      not HTTP as it should be
 *   -EINVAL       the request, the CA file or the proxy's credentials are not usable
 *   -EPERM        pages cannot be locked (RLIMIT_MEMLOCK)
 *   -ENOMEM
 * with *ret filled as far as it goes (error, usec). *ret is to be freed in every case. */
int http_perform(struct http_pool *p, const struct http_request *q, struct http_response *ret);

/* What a negative result of http_perform() means for the one who asked. */
void http_judge_failure(int r, const struct http_response *y, struct judgement *ret);

/* Wipes and frees what is in it. */
void http_response_clear(struct http_response *y);

/* Appends s to the text in buf, percent-encoded but for A-Z a-z 0-9 - . _ ~. Returns 0 or -ENOSPC. */
int http_append_escaped(char *buf, size_t size, const char *s);
