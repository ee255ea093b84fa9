/* SPDX-License-Identifier: Apache-2.0 */
#include "transit-http.h"

#define URL_MAX 1024u

/* X-Vault-Request keeps a server-side request forgery elsewhere from speaking to an agent. A vault told to log
 * X-Request-Id has the id that stands in the trail, refused requests included: its own is in good replies only. A login is on a
 * connection of its own, where nothing is asked twice (http.h): it may use up a secret id. */
int transit_send(const struct vault_config *c, struct http_pool *http, const char *authority, const struct transit_exchange *x,
                 const _Atomic bool *called_off, struct http_response *ret) {
        char url[URL_MAX], id[64], namespace[160];
        const char *headers[4] = { "X-Vault-Request: true" };
        struct http_request q = {
                .url = url, .headers = headers, .body = x->body, .body_size = x->body_size, .bearer = x->token,
                .carries_secret = x->carries_secret, .fresh_connection = x->fresh_connection || transit_is_login(x->call),
                .deadline_usec = x->deadline_usec, .called_off = called_off,
        };
        size_t n = 1;

        *ret = (struct http_response) {};
        if (snprintf(url, sizeof(url), "https://%s/v1/%s", authority, x->path) >= (int) sizeof(url))
                return -EINVAL;
        if (x->client_request_id) {
                snprintf(id, sizeof(id), "X-Request-Id: %s", x->client_request_id);
                headers[n++] = id;
        }
        if (c->namespace && !x->outside) {
                snprintf(namespace, sizeof(namespace), "X-Vault-Namespace: %s", c->namespace);
                headers[n++] = namespace;
        }
        return http_perform(http, &q, ret);
}
