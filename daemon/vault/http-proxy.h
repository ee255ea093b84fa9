/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The proxy that a pool's connections go through, for http.c only: CONNECT, so that the proxy sees the host's name and what TLS
 * leaves readable, and nothing of the requests. Without one nothing is asked of a proxy, whatever the environment says. */

#include <curl/curl.h>

#include "http.h"

/* What of a proxy is the pool's. */
struct http_proxy {
        const char *url;                 /* "http://HOST:PORT", "https://HOST:PORT"; NULL: none */
        const char *credentials_file;    /* NULL: it asks for none */
        char *ca_pem;                    /* whom its certificate may be of; NULL: the system's */
};

/* Says to the handle whether to use a proxy, x, and how to prove who we are to it; x NULL: not to. *ret_headers (the caller's, to be
 * freed after the transfer) is what only the proxy sees. Returns 0, or -EINVAL (the file is not usable, with why in error), -EPERM,
 * -ENOMEM. */
int http_proxy_set_up(CURL *h, const struct http_proxy *x, struct curl_slist **ret_headers, char *error, size_t error_size);

/* Nothing came from the host itself: headers that were seen are the proxy's. */
bool http_proxy_was_last(CURL *h);

/* After a transfer through x that ended with c, which is not CURLE_OK, and was to be called r: whether the proxy kept the connection
 * from being made, or what came after it failed. error becomes a sentence with the proxy's name. Returns r, or -ENETUNREACH: it is the
 * proxy. */
int http_proxy_blame(CURL *h, const struct http_proxy *x, CURLcode c, int r, char *error, size_t error_size);
