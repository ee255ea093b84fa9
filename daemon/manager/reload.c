/* SPDX-License-Identifier: Apache-2.0 */

/* SIGHUP and `cmkctl config reload`: all of the new configuration, or all of the old one. */

#include <stdarg.h>
#include <syslog.h>

#include "bus.h"
#include "common/config-azure.h"
#include "common/log.h"
#include "key.h"
#include "manager.h"
#include "trust-places.h"

static int _printf_(3, 4) refuse(int error, char **ret_why, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        if (vasprintf(ret_why, format, ap) < 0)
                *ret_why = NULL;
        va_end(ap);
        return error;
}

/* What is polled must stay allowed: else a typing mistake would be the end of a volume at lease and grace. */
static int check_volume(const struct config *c, const struct volume *v, char **ret_why) {
        _cleanup_(freep) char *why = NULL;
        const char *reason;
        struct policy p;
        int r;

        r = policy_make(c, v->role, v->name, NULL, &p, &why);
        if (r < 0)
                return refuse(r, ret_why, "%s: %s", v->name, why ? why : strerror(-r));
        for (unsigned i = 0; i < v->n_wraps; i++) {
                const struct key *k = v->wraps[i]->key;

                if (k && !config_find_vault_for(c, &k->uri, k->algorithm, &reason))
                        return refuse(-EPERM, ret_why, "%s is %s under key %s: %s", v->name,
                                      volume_state_to_string(v->state), k->uri_text, reason);
        }
        return 0;
}

static int load(struct manager *m, struct config **ret_config, struct trust_list **ret_trust, char **ret_why) {
        _cleanup_(config_freep) struct config *c = NULL;
        struct volume *v;
        int r;

        r = config_load("", &c, ret_why);
        if (r < 0)
                return r;
        if (c->fips != m->config->fips)
                return refuse(-EPERM, ret_why, "Fips= holds from the start of cmkd on: restart it");
        LIST_FOREACH(v, &m->volumes, volumes) {
                r = check_volume(c, v, ret_why);
                if (r < 0)
                        return r;
        }
        r = trust_places_load(c, ret_trust, &m->trust_early);
        if (r < 0)
                return refuse(r, ret_why, "The list of volumes cannot be read: %s", strerror(-r));
        *ret_config = TAKE_PTR(c);
        return 0;
}

static void record(struct manager *m, const char *event, uint8_t priority, const char *by, const char *why) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        audit_record_start(r, event, priority, false);
        audit_record_add(r, "by", by);
        audit_record_add(r, "why", why);
        manager_record(m, r);
}

int manager_reload(struct manager *m, const char *by, char **ret_why) {
        struct trust_list *trust;
        struct config *c;
        struct volume *v;
        struct key *k;
        int r;

        r = load(m, &c, &trust, ret_why);
        if (r < 0) {
                log_error("The configuration is refused, the old one stays: %s", *ret_why ? *ret_why : strerror(-r));
                record(m, "config_refused", LOG_WARNING, by, *ret_why);
                return r;
        }
        config_free(m->config);
        trust_free(m->trust);
        m->config = c;
        log_hide_names(c->audit.privacy == PRIVACY_STRICT);
        worker_link_configured(m->worker, c->read_usec);
        m->trust = trust;
        LIST_FOREACH(v, &m->volumes, volumes)
                manager_volume_policy(m, v);
        LIST_FOREACH(k, &m->keys, keys) {
                const struct vault_config *vault = config_find_vault_for(c, &k->uri, k->algorithm, NULL);

                if (vault)
                        snprintf(k->vault, sizeof(k->vault), "%s", vault->name);
                key_policy_changed(k);
        }
        bus_restart_worker(m->bus);
        log_notice("The configuration was read again");
        record(m, "config_reloaded", LOG_NOTICE, by, "");
        return 0;
}
