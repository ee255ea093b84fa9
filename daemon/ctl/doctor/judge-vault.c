/* SPDX-License-Identifier: Apache-2.0 */
#include "findings.h"

#include <arpa/inet.h>
#include <strings.h>
#include <sys/stat.h>

#include "certificates.h"
#include "lists.h"

#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"
#define DROP_INS "etc/cmkd/cmkd.conf.d/"
#define DAY 86400

/* ---- configuration ---- */

static bool match_regular(const struct image_file *f, void *user _unused_) {
        return S_ISREG(f->mode);
}

struct comparison {
        const struct case_file *c;
        struct findings *findings;
};

static void compare_drop_in(const char *name, void *user) {
        const struct comparison *k = user;
        _cleanup_(freep) char *own = NULL;
        char path[512];

        snprintf(path, sizeof(path), DROP_INS "%s", name);
        own = machine_read_text(k->c->machine, path);
        if (own && !streq_ptr(image_text(k->c->image, path), own))
                finding_add(k->findings, FINDING_CONFIG_OTHER, "the image's /%s is not the one of this node", path);
}

static bool match_removed(const struct image_file *f, void *user) {
        const struct comparison *k = user;
        _cleanup_(freep) char *own = NULL;

        if (!S_ISREG(f->mode) || !strstr(f->path, ".conf"))
                return false;
        own = machine_read_text(k->c->machine, f->path);
        if (!own)
                finding_add(k->findings, FINDING_CONFIG_OTHER, "the image's /%s is not on this node", f->path);
        return false;
}

/* A node without a configuration of its own has an image that was built elsewhere. */
static void compare_config(const struct case_file *c, struct findings *l) {
        struct comparison k = { c, l };

        if (!c->machine->cmkd_conf)
                return;
        if (!streq_ptr(image_text(c->image, "etc/cmkd/cmkd.conf"), c->machine->cmkd_conf))
                finding_add(l, FINDING_CONFIG_OTHER, "the image's /etc/cmkd/cmkd.conf is not the one of this node");
        machine_each_drop_in(c->machine, compare_drop_in, &k);
        image_any(c->image, DROP_INS, match_removed, &k);
}

static void judge_config(const struct case_file *c, struct findings *l) {
        static const char *const places[] = { "etc/cmkd/cmkd.conf", "run/cmkd/cmkd.conf", "usr/lib/cmkd/cmkd.conf" };
        bool any = false;

        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                any |= image_any(c->image, places[i], match_regular, NULL);
        if (!any)
                finding_add(l, FINDING_CONFIG_MISSING, "the image has no cmkd.conf");
        else if (!c->config)
                finding_add(l, FINDING_CONFIG_BAD, "the image's configuration: %s", strempty(c->config_why));
        else if (!c->config->vaults)
                finding_add(l, FINDING_NO_VAULT, "the image's configuration allows no vault");
        if (any)
                compare_config(c, l);
}

/* ---- certificates and the clock ---- */

/* said: CAFile= or the like, NULL where it was not. */
static void judge_authorities(const struct case_file *c, const struct vault_config *v, const char *said, struct findings *l) {
        const char *path = said ? said : SYSTEM_CA;
        const char *text = image_text(c->image, path);
        _cleanup_(freep) char *own = said ? machine_read_text(c->machine, path) : NULL;
        struct certificates found;

        if (!text) {
                finding_add(l, FINDING_CA_MISSING, "the image has no %s, which the vault %s needs", path, v->name);
                return;
        }
        certificates_read(text, c->now, &found);
        if (found.total == 0)
                finding_add(l, FINDING_CA_BAD, "%s in the image holds no certificate", path);
        else if (found.valid == 0)
                finding_add(l, FINDING_CA_BAD, "no certificate of %s in the image is valid now", path);
        else if (own && !streq(own, text))
                finding_add(l, FINDING_CA_OTHER, "the image's %s is not the one of this node", path);
}

/* Of CRLFile=: read with each connection, and one that is not there or out of date is none. */
static void judge_lists(const struct case_file *c, const struct vault_config *v, struct findings *l) {
        const char *text = image_text(c->image, v->crl_file);
        const char *why = NULL;
        uint64_t ends = UINT64_MAX;

        if (text)
                why = list_fault(text, c->now, &ends);
        if (!image_find(c->image, v->crl_file))
                finding_add(l, FINDING_IMAGE_CRL, "the image has no %s, which the vault %s needs (CRLFile=)", v->crl_file, v->name);
        else if (why)
                finding_add(l, FINDING_IMAGE_CRL, "%s in the image %s", v->crl_file, why);
        else if (ends < UINT64_MAX)
                finding_add(l, FINDING_CRL_AGES, "%s in the image is out of date in %llu days", v->crl_file,
                            (unsigned long long) (ends - c->now) / DAY);
}

static bool is_time_source(const struct image *i) {
        return image_find(i, "usr/sbin/chronyd") || image_find(i, "usr/lib/systemd/systemd-timesyncd");
}

static void judge_clock(const struct case_file *c, struct findings *l) {
        int64_t ahead = c->machine->clock_ahead;

        if (is_time_source(c->image))
                return;
        if (!c->machine->has_clock)
                finding_add(l, FINDING_CLOCK, "this machine has no hardware clock that the kernel reads");
        else if (ahead < -DAY || ahead > DAY)
                finding_add(l, FINDING_CLOCK, "the hardware clock is %lld days %s",
                            (long long) (ahead < 0 ? -ahead : ahead) / DAY, ahead < 0 ? "behind" : "ahead");
}

/* ---- names ---- */

static bool is_address(const char *host) {
        struct in6_addr a;

        return inet_pton(AF_INET, host, &a) == 1 || inet_pton(AF_INET6, host, &a) == 1 || *host == '[';
}

/* A file of lines of words, the first of which is key: calls for each word behind it until one matches. */
static bool any_word(const char *text, bool (*match)(const char *first, const char *word, void *user), void *user) {
        _cleanup_(freep) char *copy = strdup(strempty(text));
        char *lines = copy, *line;

        while (copy && (line = strsep(&lines, "\n"))) {
                char *first = NULL, *word;

                line[strcspn(line, "#;")] = 0;
                while ((word = strsep(&line, " \t"))) {
                        if (!*word)
                                continue;
                        if (first && match(first, word, user))
                                return true;
                        if (!first)
                                first = word;
                }
        }
        return false;
}

struct host_search {
        const char *host;
        char address[64];
};

static bool match_host(const char *first, const char *word, void *user) {
        struct host_search *s = user;

        if (strcasecmp(word, s->host) != 0)
                return false;
        snprintf(s->address, sizeof(s->address), "%s", first);
        return true;
}

struct servers {
        const struct machine *machine;
        unsigned remote, local, behind;
        char first_local[64], first_behind[64], tunnel[32];
};

/* Those of the network, those that are this machine itself, and those that a tunnel of its leads to. */
static bool count_server(const char *first, const char *word, void *user) {
        struct servers *s = user;
        const struct machine_route *way;

        if (!streq(first, "nameserver"))
                return false;
        way = machine_find_route(s->machine, word);
        if (machine_is_own(s->machine, word)) {
                if (s->local++ == 0)
                        snprintf(s->first_local, sizeof(s->first_local), "%s", word);
        } else if (way && way->is_virtual) {
                if (s->behind++ == 0) {
                        snprintf(s->first_behind, sizeof(s->first_behind), "%s", word);
                        snprintf(s->tunnel, sizeof(s->tunnel), "%s", way->device);
                }
        } else {
                s->remote++;
        }
        return false;
}

struct sources {
        const struct image *image;
        bool any, asks;
};

/* "hosts: files dns" of nsswitch.conf: whether anybody is asked. */
static bool match_source(const char *first, const char *word, void *user) {
        struct sources *s = user;

        if (!streq(first, "hosts:"))
                return false;
        s->any = true;
        s->asks |= streq(word, "dns") ||
                   (streq(word, "resolve") && image_find(s->image, "usr/lib/systemd/systemd-resolved"));
        return false;
}

static bool has_local_resolver(const struct image *i) {
        return image_find(i, "usr/lib/systemd/systemd-resolved") || image_find(i, "usr/sbin/unbound") ||
               image_find(i, "usr/sbin/dnsmasq");
}

/* A fixed address on the kernel's command line, in which no DNS server is named: ip=ADDRESS:... */
static bool is_static_without_dns(const char *command_line) {
        const char *p = command_line ? strstr(command_line, "ip=") : NULL;
        unsigned fields = 0;
        size_t n;

        if (!p || (p != command_line && p[-1] != ' ') || p[3] < '0' || p[3] > '9' ||
            strstr(command_line, "nameserver="))
                return false;
        n = strcspn(p, " \n");
        for (size_t i = 0; i < n; i++)
                if (p[i] == ':' && ++fields == 7)
                        return p[i + 1] == ':' || i + 1 == n;
        return true;
}

/* An address that is known: is the way there one of the network? */
static void judge_way(const struct case_file *c, const char *address, const char *host, const char *what,
                      struct findings *l) {
        const struct machine_route *way = machine_find_route(c->machine, address);

        if (machine_is_own(c->machine, address))
                finding_add(l, FINDING_ROUTE_ON_DISK, "%s (%s) is at %s, which is this machine itself", host, what,
                            address);
        else if (way && way->is_virtual)
                finding_add(l, FINDING_ROUTE_ON_DISK, "%s (%s) is at %s, behind %s, which is no network card", host, what,
                            address, way->device);
}

static void judge_servers(const struct case_file *c, const char *host, const char *what, struct findings *l) {
        const struct image_file *link = NULL;
        const char *text = image_text(c->image, "etc/resolv.conf");
        struct servers s = { .machine = c->machine };

        for (size_t i = 0; i < c->image->n_files; i++)
                if (streq(c->image->files[i].path, "etc/resolv.conf"))
                        link = c->image->files + i;
        any_word(text, count_server, &s);
        if (s.remote > 0 || (s.local > 0 && has_local_resolver(c->image)))
                return;
        if (s.behind > 0)
                finding_add(l, FINDING_ROUTE_ON_DISK, "the image asks %s, behind %s, for the address of %s (%s)",
                            s.first_behind, s.tunnel, host, what);
        else if (s.local > 0 ||
            (link && link->link && strstr(link->link, "stub-resolv.conf") && !has_local_resolver(c->image)))
                finding_add(l, FINDING_RESOLVER_ON_DISK, "the image asks %s for the address of %s (%s)",
                            s.local > 0 ? s.first_local : "systemd-resolved", host, what);
        else if (is_static_without_dns(c->machine->command_line))
                finding_add(l, FINDING_RESOLVER, "the address is fixed (ip=), and nothing says who knows the address "
                            "of %s (%s)", host, what);
        else if (link && !link->link && link->size > 0 && s.remote == 0)
                finding_add(l, FINDING_RESOLVER, "the image's /etc/resolv.conf has no nameserver line, who knows the "
                            "address of %s (%s)?", host, what);
}

static void judge_name(const struct case_file *c, const char *host, const char *what, struct findings *l) {
        struct host_search known = { .host = host };
        struct sources s = { .image = c->image };

        if (is_address(host))
                snprintf(known.address, sizeof(known.address), "%s", host);
        if (*known.address || any_word(image_text(c->image, "etc/hosts"), match_host, &known)) {
                judge_way(c, known.address, host, what, l);
                return;
        }
        any_word(image_text(c->image, "etc/nsswitch.conf"), match_source, &s);
        if (s.any && !s.asks)
                finding_add(l, FINDING_RESOLVER, "the image's /etc/nsswitch.conf asks no server for the address of %s (%s)",
                            host, what);
        else
                judge_servers(c, host, what, l);
}

/* ---- identity ---- */

/* Of SCHEME://HOST... False: there is none, or a long one. */
static bool host_of(const char *url, char host[static 256]) {
        const char *p = strstr(url, "://");
        size_t n;

        p = p ? p + 3 : url;
        n = *p == '[' ? strcspn(p, "]") + 1 : strcspn(p, ":/");
        if (n == 0 || n >= 256)
                return false;
        memcpy(host, p, n);
        host[n] = 0;
        return true;
}

/* Who gives out tokens: an authority, or what the machine has beside it. A proxy asks for an authority's name by itself. */
static void judge_identity(const struct case_file *c, const struct vault_config *v, struct findings *l) {
        const char *from = v->metadata_endpoint ? v->metadata_endpoint : v->authority;
        char host[256];

        if ((v->proxy && !v->metadata_endpoint) || !host_of(from, host))
                return;
        if (startswith(host, "127.") || streq(host, "localhost") || streq(host, "[::1]"))
                finding_add(l, FINDING_IDENTITY, "the vault %s gets its tokens from %s, a service of the system that "
                            "is still locked", v->name, from);
        else
                judge_name(c, host, "tokens", l);
}

/* What one proves to be the node with. */
static void judge_login(const struct case_file *c, const struct vault_config *v, struct findings *l) {
        const char *const files[] = {
                v->token_file, v->secret_id_file, v->jwt_file, v->client_certificate, v->client_key, v->client_secret_file,
                v->proxy_credentials_file,
        };

        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                if (files[i] && !image_text(c->image, files[i]))
                        finding_add(l, FINDING_LOGIN, "the image has no %s, by which one logs in to the vault %s", files[i],
                                    v->name);
}

/* The vault's own name is the proxy's business, where there is one. */
static void judge_way_to_vault(const struct case_file *c, const struct vault_config *v, struct findings *l) {
        char host[256];

        if (!v->proxy)
                judge_name(c, v->host, "vault", l);
        else if (host_of(v->proxy, host))
                judge_name(c, host, "proxy", l);
        if (v->proxy && startswith(v->proxy, "https:"))
                judge_authorities(c, v, v->proxy_ca_file, l);
}

void judge_vault(const struct case_file *c, struct findings *l) {
        judge_config(c, l);
        judge_clock(c, l);
        /* Tunnels split it in two, so as to be the more exact one. */
        for (size_t i = 0; i < c->machine->n_routes; i++) {
                const struct machine_route *way = c->machine->routes + i;

                if (way->is_virtual && way->mask <= 0x80000000)
                        finding_add(l, FINDING_ROUTE_ON_DISK, "the default route leads through %s, which is no network "
                                    "card", way->device);
        }
        for (const struct vault_config *v = c->config ? c->config->vaults : NULL; v; v = v->next) {
                if (streq(v->provider, "pkcs11"))       /* not asked over a network; judge_volumes() has the rest */
                        continue;
                judge_authorities(c, v, v->ca_file, l);
                if (v->authority)
                        judge_authorities(c, v, v->authority_ca_file, l);
                if (v->crl_file)
                        judge_lists(c, v, l);
                judge_way_to_vault(c, v, l);
                judge_login(c, v, l);
                if (!streq(v->provider, "transit"))
                        judge_identity(c, v, l);
        }
}
