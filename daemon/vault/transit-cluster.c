/* SPDX-License-Identifier: Apache-2.0 */
#include "transit-cluster.h"

#include "transit-http.h"
#include "transit-redirect.h"
#include "transit-reply.h"

#define KNOWN_FOR_USEC (60 * USEC_PER_SEC)
#define KNOWN_FOR_LOGIN_USEC USEC_PER_SEC

struct transit_cluster {
        const struct vault_config *config;
        struct http_pool *http;
        char *first;                                 /* HOST:PORT of Host= */
        const char **places;                         /* HOST:PORT */
        _Atomic uint64_t *known_usec;                /* of each: when it said that it is of the cluster; 0: not yet */
        unsigned n, n_servers;
};

static unsigned count(char **list) {
        unsigned n = 0;

        while (list && list[n])
                n++;
        return n;
}

int transit_cluster_new(const struct vault_config *config, struct http_pool *http, struct transit_cluster **ret) {
        unsigned n_servers = 1 + MIN_OF(count(config->servers), TRANSIT_SERVERS_MAX - 1), n = n_servers + count(config->redirect_hosts);
        struct transit_cluster *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->config = config;
        c->http = http;
        c->places = calloc(n, sizeof(*c->places));
        c->known_usec = calloc(n, sizeof(*c->known_usec));
        if (!c->places || !c->known_usec || asprintf(&c->first, "%s:%u", config->host, config->port) < 0) {
                c->first = NULL;
                transit_cluster_free(c);
                return -ENOMEM;
        }
        c->places[c->n++] = c->first;
        while (c->n < n_servers)
                c->places[c->n] = config->servers[c->n - 1], c->n++;
        c->n_servers = n_servers;
        while (c->n < n)
                c->places[c->n] = config->redirect_hosts[c->n - n_servers], c->n++;
        *ret = c;
        return 0;
}

struct transit_cluster *transit_cluster_free(struct transit_cluster *c) {
        if (!c)
                return NULL;
        free(c->first);
        free(c->places);
        free(c->known_usec);
        free(c);
        return NULL;
}

unsigned transit_cluster_servers(const struct transit_cluster *c) {
        return c->n_servers;
}

void transit_cluster_forget(struct transit_cluster *c, unsigned place) {
        c->known_usec[place] = 0;
}

static int check(struct transit_cluster *c, unsigned place, const struct transit_exchange *x, const _Atomic bool *called_off,
                 struct http_response *ret) {
        const struct transit_exchange health = {
                .path = "sys/health?standbyok=true&perfstandbyok=true", .outside = true, .client_request_id = x->client_request_id,
                .fresh_connection = x->fresh_connection, .deadline_usec = x->deadline_usec,
        };
        uint64_t now = now_boottime_usec();
        char found[65] = "";
        int r;

        c->known_usec[place] = 0;
        r = transit_send(c->config, c->http, c->places[place], &health, called_off, ret);
        if (r < 0)
                return r;
        r = ret->json ? transit_parse_cluster(ret->body, ret->body_size, found) : -EBADMSG;
        if (r == -EHOSTDOWN) {
                snprintf(ret->error, sizeof(ret->error), "%s: the vault is sealed", c->places[place]);
                return r;
        }
        if (r < 0 || !streq(found, c->config->cluster_id)) {
                snprintf(ret->error, sizeof(ret->error), "%s is not of the cluster of ClusterId=, but %s: what it says does not count",
                         c->places[place], *found ? found : "no vault, or one without an id");
                return -EHOSTUNREACH;
        }
        c->known_usec[place] = now;
        return 0;
}

int transit_cluster_check(struct transit_cluster *c, unsigned place, const struct transit_exchange *x, const _Atomic bool *called_off,
                          struct http_response *ret) {
        return check(c, place % c->n, x, called_off, ret);
}

/* 0, or as http_perform(): it is not to be spoken to, and ret->error says why. */
static int get_acquainted(struct transit_cluster *c, unsigned place, const struct transit_exchange *x, const _Atomic bool *called_off,
                          struct http_response *ret) {
        uint64_t known = c->known_usec[place], enough = transit_is_login(x->call) ? KNOWN_FOR_LOGIN_USEC : KNOWN_FOR_USEC;
        int r;

        if (!c->config->cluster_id || (known > 0 && now_boottime_usec() - known < enough))
                return 0;
        r = check(c, place, x, called_off, ret);
        if (r >= 0)
                http_response_clear(ret);
        return r;
}

static int ask(struct transit_cluster *c, unsigned place, const struct transit_exchange *x, const _Atomic bool *called_off, bool checked,
               struct http_response *ret) {
        int r = checked ? get_acquainted(c, place, x, called_off, ret) : 0;

        if (r >= 0)
                r = transit_send(c->config, c->http, c->places[place], x, called_off, ret);
        if (r < 0)
                transit_cluster_forget(c, place);
        return r;
}

int transit_cluster_exchange(struct transit_cluster *c, unsigned *place, const struct transit_exchange *x, const _Atomic bool *called_off,
                             struct http_response *ret) {
        int r, there;

        r = ask(c, *place, x, called_off, c->n_servers > 1 || *place > 0 || transit_is_login(x->call), ret);
        if (r < 0 || ret->status != 307)
                return r;
        there = transit_redirect(c->places, c->n, x->path, ret->location);
        if (there < 0)
                return r;
        http_response_clear(ret);
        *place = (unsigned) there;
        return ask(c, *place, x, called_off, true, ret);
}
