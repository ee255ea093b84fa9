/* SPDX-License-Identifier: Apache-2.0 */
#include "instants.h"
#include "operation.h"
#include "stored.h"

/* What to do next, by verdict: the last sentence of every message about the vault. */
static const char *const advice[_VERDICT_MAX] = {
        [VERDICT_REVOKED] = "The key is disabled, deleted or expired; nothing opens this volume until its owner enables it again",
        [VERDICT_DENIED] = "Ask the key's owner whether this node may still use it: get, wrapKey and unwrapKey, in transit "
                            "decrypt, encrypt and read",
        [VERDICT_DENIED_WEAK] = "The vault does not accept this node's token or network address: check identity and the vault's firewall",
        [VERDICT_THROTTLED] = "The vault is being asked too often: raise PollSec= or spread the keys over more vaults",
        [VERDICT_UNREACHABLE] = "Check network, name resolution, the vault's certificate and CAFile=, and \"systemctl status cmkd-vault\"",
        [VERDICT_MISCONFIGURED] = "Check [Vault] in cmkd.conf and the node's identity",
        [VERDICT_BROKEN] = "What answers there is not the vault, or something in between changes its answers",
};

void outcome_vset(struct outcome *o, enum exit_code code, const char *format, va_list ap) {
        o->code = code;
        vsnprintf(o->message, sizeof(o->message), format, ap);
}

void outcome_set(struct outcome *o, enum exit_code code, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        outcome_vset(o, code, format, ap);
        va_end(ap);
}

void outcome_add(struct outcome *o, const char *format, ...) {
        size_t n = strlen(o->message);
        va_list ap;

        va_start(ap, format);
        vsnprintf(o->message + n, sizeof(o->message) - n, format, ap);
        va_end(ap);
}

void outcome_from_vault(struct outcome *o, const char *volume, const char *key, const struct vault_reply *y) {
        char status[32] = "no answer", advice_stored[200];
        const char *next = strempty(advice[y->verdict]);

        if (y->http_status > 0)
                snprintf(status, sizeof(status), "HTTP %u", y->http_status);
        else if (startswith(key, "pkcs11:"))
                strcpy(status, "PKCS#11");
        if (stored_text(y, instant_now().realtime_usec / USEC_PER_SEC, advice_stored, sizeof(advice_stored)))
                next = advice_stored;
        outcome_set(o, verdict_exit_code(y->verdict), "%s: key %s: %s (%s, %s%s%s%s%s). %s", volume, key,
                    verdict_to_string(y->verdict), status, *y->code ? y->code : "no code", *y->text ? ": " : "", y->text,
                    *y->request_id ? ", request " : "", y->request_id, next);
        if (o->code == EXIT_CODE_DONE)
                o->code = EXIT_CODE_FAILED;
}

void outcome_from_disk(struct outcome *o, const struct disk_reply *y) {
        enum exit_code code = y->exit_code != EXIT_CODE_DONE ? (enum exit_code) y->exit_code : EXIT_CODE_FAILED;

        outcome_set(o, code, "%s", *y->message ? y->message : y->error < 0 ? strerror(-y->error) : "its mapping is gone, or was cut");
}
