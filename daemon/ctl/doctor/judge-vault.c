/* SPDX-License-Identifier: Apache-2.0 */
#include "findings.h"

#include <arpa/inet.h>
#include <strings.h>
#include <sys/stat.h>

#include "certificates.h"

#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"
#define DAY 86400

/* ---- configuration ---- */

static bool match_regular(const struct image_file *f, void *user _unused_) {
        return S_ISREG(f->mode);
}

static void judge_config(const struct case_file *c, struct findings *l) {
        static const char *const places[] = { "etc/cmkd/cmkd.conf", "run/cmkd/cmkd.conf", "usr/lib/cmkd/cmkd.conf" };
        const char *own;
        bool any = false;

        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                any |= image_any(c->image, places[i], match_regular, NULL);
        if (!any)
                finding_add(l, FINDING_CONFIG_MISSING, "the image has no cmkd.conf");
        else if (!c->config)
                finding_add(l, FINDING_CONFIG_BAD, "the image's configuration: %s", strempty(c->config_why));
        else if (!c->config->vaults)
                finding_add(l, FINDING_NO_VAULT, "the image's configuration allows no vault");
        own = image_text(c->image, "etc/cmkd/cmkd.conf");
        if (any && c->machine->cmkd_conf && !streq_ptr(own, c->machine->cmkd_conf))
                finding_add(l, FINDING_CONFIG_OTHER, "the image's /etc/cmkd/cmkd.conf is not the one of this node");
}

/* ---- certificates and the clock ---- */

static void judge_authorities(const struct case_file *c, const struct vault_config *v, struct findings *l) {
        const char *path = v->ca_file ? v->ca_file : SYSTEM_CA;
        const char *text = image_text(c->image, path);
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

static bool is_loopback(const char *address) {
        return startswith(address, "127.") || streq(address, "::1");
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

static bool match_host(const char *first _unused_, const char *word, void *host) {
        return strcasecmp(word, host) == 0;
}

struct servers {
        unsigned remote, local;
        char first_local[64];
};

static bool count_server(const char *first, const char *word, void *user) {
        struct servers *s = user;

        if (!streq(first, "nameserver"))
                return false;
        if (!is_loopback(word)) {
                s->remote++;
        } else {
                s->local++;
                snprintf(s->first_local, sizeof(s->first_local), "%s", word);
        }
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

static void judge_name(const struct case_file *c, const char *host, const char *what, struct findings *l) {
        const struct image_file *link = NULL;
        const char *text = image_text(c->image, "etc/resolv.conf");
        struct servers s = {};

        if (is_address(host) || any_word(image_text(c->image, "etc/hosts"), match_host, (void *) host))
                return;
        for (size_t i = 0; i < c->image->n_files; i++)
                if (streq(c->image->files[i].path, "etc/resolv.conf"))
                        link = c->image->files + i;
        any_word(text, count_server, &s);
        if (s.remote > 0 || (s.local > 0 && has_local_resolver(c->image)))
                return;
        if (s.local > 0 ||
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

/* ---- identity ---- */

static void judge_identity(const struct case_file *c, const struct vault_config *v, struct findings *l) {
        char host[256];
        const char *p = strstr(v->metadata_endpoint, "://");
        size_t n;

        p = p ? p + 3 : v->metadata_endpoint;
        n = *p == '[' ? strcspn(p, "]") + 1 : strcspn(p, ":/");
        if (n == 0 || n >= sizeof(host))
                return;
        memcpy(host, p, n);
        host[n] = 0;
        if (is_loopback(host) || streq(host, "localhost") || streq(host, "[::1]"))
                finding_add(l, FINDING_IDENTITY, "the vault %s gets its tokens from %s, a service of the system that "
                            "is still locked", v->name, v->metadata_endpoint);
        else
                judge_name(c, host, "tokens", l);
}

void judge_vault(const struct case_file *c, struct findings *l) {
        judge_config(c, l);
        judge_clock(c, l);
        if (*c->machine->virtual_route)
                finding_add(l, FINDING_ROUTE_ON_DISK, "the default route leads through %s, which is no network card",
                            c->machine->virtual_route);
        for (const struct vault_config *v = c->config ? c->config->vaults : NULL; v; v = v->next) {
                judge_authorities(c, v, l);
                judge_name(c, v->host, "vault", l);
                judge_identity(c, v, l);
        }
}
