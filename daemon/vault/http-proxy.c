/* SPDX-License-Identifier: Apache-2.0 */
#include "http-proxy.h"

#include "common/base64.h"
#include "secret-file.h"

#define LINE "Proxy-Authorization: Basic "

#define SET(option, value) do { if (c == CURLE_OK) c = curl_easy_setopt(h, option, value); } while (0)

static int refuse(char *error, size_t size, const struct http_proxy *x, int r, const char *why) {
        snprintf(error, size, "ProxyCredentialsFile=%s: %s", x->credentials_file, why);
        return r == -ENOMEM || r == -EPERM ? r : -EINVAL;
}

static bool is_user_and_password(const char *s) {
        for (const char *p = s; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        return false;
        return strchr(s, ':') && *s != ':';
}

/* The line is copied by libcurl, whose copies are wiped (memory.h). */
static int add_credentials(const struct http_proxy *x, struct curl_slist **l, char *error, size_t error_size) {
        _cleanup_(secret_freep) struct secret *file = NULL, *line = NULL;
        const char *why = "no memory for what stays secret";
        struct curl_slist *more;
        int r;

        r = secret_file_read(x->credentials_file, SECRET_FILE_PRIVATE | SECRET_FILE_PEM, &file, &why);
        if (r < 0)
                return refuse(error, error_size, x, r, why);
        if (!is_user_and_password((const char *) secret_cdata(file)))
                return refuse(error, error_size, x, -EINVAL, "it is not USER:PASSWORD on one line");
        r = secret_new(sizeof(LINE) + BASE64_SIZE(secret_size(file)), &line);
        if (r < 0)
                return refuse(error, error_size, x, r, why);
        memcpy(secret_data(line), LINE, sizeof(LINE) - 1);
        base64_encode(secret_cdata(file), secret_size(file) - 1, (char *) secret_data(line) + sizeof(LINE) - 1);
        more = curl_slist_append(*l, (const char *) secret_cdata(line));
        if (!more)
                return -ENOMEM;
        *l = more;
        return 0;
}

static CURLcode use(CURL *h, const struct http_proxy *x, struct curl_slist *headers) {
        CURLcode c = CURLE_OK;

        SET(CURLOPT_PROXY, x->url);
        SET(CURLOPT_PROXYTYPE, startswith(x->url, "https:") ? (long) CURLPROXY_HTTPS : (long) CURLPROXY_HTTP);
        SET(CURLOPT_NOPROXY, "");
        SET(CURLOPT_HTTPPROXYTUNNEL, 1L);
        SET(CURLOPT_HEADEROPT, (long) CURLHEADER_SEPARATE);      /* what is for the vault is not for it */
        SET(CURLOPT_PROXYHEADER, headers);
        SET(CURLOPT_PROXY_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
        if (x->ca_pem) {
                struct curl_blob blob = { .data = x->ca_pem, .len = strlen(x->ca_pem), .flags = CURL_BLOB_NOCOPY };

                SET(CURLOPT_PROXY_CAINFO_BLOB, &blob);
                SET(CURLOPT_PROXY_CAPATH, NULL);
        }
        return c;
}

int http_proxy_set_up(CURL *h, const struct http_proxy *x, struct curl_slist **ret_headers, char *error, size_t error_size) {
        CURLcode c = CURLE_OK;
        int r = 0;

        if (!x || !x->url) {
                SET(CURLOPT_PROXY, "");
                SET(CURLOPT_NOPROXY, "*");
        } else {
                if (x->credentials_file)
                        r = add_credentials(x, ret_headers, error, error_size);
                if (r >= 0)
                        c = use(h, x, *ret_headers);
        }
        if (r >= 0 && c != CURLE_OK)
                r = c == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
        return r;
}

bool http_proxy_was_last(CURL *h) {
        long status = 0;

        return curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status == 0;
}

/* Whether the connection was being made, and the proxy had not yet said yes, or said it without an end. */
static bool is_proxy(CURL *h, CURLcode c, int r, long *ret_status) {
        long made = 0;

        *ret_status = 0;
        if (c == CURLE_COULDNT_RESOLVE_PROXY || c == CURLE_COULDNT_CONNECT || c == CURLE_PROXY)
                return true;
        if (curl_easy_getinfo(h, CURLINFO_NUM_CONNECTS, &made) != CURLE_OK || made == 0 ||
            curl_easy_getinfo(h, CURLINFO_HTTP_CONNECTCODE, ret_status) != CURLE_OK)
                return false;
        return *ret_status / 100 != 2 || (r == -EMSGSIZE && http_proxy_was_last(h));
}

int http_proxy_blame(CURL *h, const struct http_proxy *x, CURLcode c, int r, char *error, size_t error_size) {
        char why[257];
        long status;

        snprintf(why, sizeof(why), "%s", *error ? error : curl_easy_strerror(c));
        if (!is_proxy(h, c, r, &status)) {
                snprintf(error, error_size, "%s (through the proxy %s)", why, x->url);
                return r;
        }
        if (status >= 300)
                snprintf(error, error_size, "the proxy %s refuses with HTTP status %ld%s", x->url, status,
                         status == 407 ? ": it wants other credentials" : "");
        else
                snprintf(error, error_size, "the proxy %s gives no way through: %s", x->url, why);
        return c == CURLE_SSL_CACERT_BADFILE || r == -ENOMEM || r == -ETIMEDOUT ? r : -ENETUNREACH;
}
