/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <inttypes.h>
#include <unistd.h>

static void write_coverage(FILE *f, const struct probes_coverage *c) {
        fprintf(f, "probes=%s\ncovered=", c->n_missing == 0 ? "all" : c->n_missing < c->n ? "some" : "none");
        for (size_t i = 0; i < c->n; i++)
                if (!c->items[i].why[0])
                        fprintf(f, "%s ", c->items[i].program);
        fputs("\nmissing=", f);
        for (size_t i = 0; i < c->n; i++)
                if (c->items[i].why[0])
                        fprintf(f, "%s ", c->items[i].program);
        fputs("\n", f);
        for (size_t i = 0; i < c->n; i++)
                if (c->items[i].why[0])
                        fprintf(f, "missing_%s=%s\n", c->items[i].program, c->items[i].why);
}

static void write_seal(FILE *f, const struct audit_status *s) {
        const struct sealer *sealer = trail_sealer(s->trail);
        bool open = sealer && sealer_is_open(sealer);

        fprintf(f, "sealed=%s\nepoch=%s\nseal_why=%s\n", open ? "yes" : "no", open ? sealer_epoch(sealer) : "",
                strempty(s->seal_why));
}

static void write_guard(FILE *f, const struct audit_status *s) {
        uint64_t now = now_boottime_usec();

        fprintf(f, "guard=%s\nguard_mode=%s\nguard_clean=%" PRIu64 "\nguard_need=%" PRIu64 "\n", s->guard_state, s->guard_mode,
                s->guard_clean_usec / USEC_PER_SEC, s->guard_need_usec / USEC_PER_SEC);
        if (s->guard_until_usec > now)
                fprintf(f, "guard_left=%" PRIu64 "\n", (s->guard_until_usec - now) / USEC_PER_SEC);
        if (s->guard_why)
                fprintf(f, "guard_why=%s\n", s->guard_why);
}

int audit_status_write(const char *path, const struct audit_status *s) {
        _cleanup_(freep) char *text = NULL;
        char hex[CHAIN_HEX_SIZE + 1];
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        chain_to_hex(trail_hash(s->trail), hex);
        fprintf(f, "version=1\npid=%d\ntrail=%s\nseq=%" PRIu64 "\nhash=%s\n", (int) getpid(),
                s->error < 0 ? strerrorname_np(-s->error) : "ok",
                trail_sequence(s->trail), hex);
        if (s->coverage)
                write_coverage(f, s->coverage);
        else
                fputs("probes=none\n", f);
        fprintf(f, "blind=%s\nsubmitted=%" PRIu64 "\nconsumed=%" PRIu64 "\nlost=%" PRIu64 "\nmirror_lost=%" PRIu64 "\n",
                s->blind ? "yes" : "no", s->submitted, s->consumed, s->lost, s->mirror_lost);
        fprintf(f, "witness=%s\nagreed=%" PRIu64 "\n", s->witness ? "yes" : "no", s->agreed);
        fprintf(f, "place=%s\nrefused=%s\n", s->early ? "early" : "trail", strempty(s->refused));
        write_seal(f, s);
        fprintf(f, "privacy=%s\nprivacy_key=%s\n", s->privacy_key ? "strict" : "off", strempty(s->privacy_key));
        if (s->guard_state)
                write_guard(f, s);
        if (fclose(f) != 0)
                return -ENOMEM;
        return write_file_atomic(path, text, size, 0644);
}

int audit_status_write_refused(const char *path, const char *why) {
        char text[512];
        int n = snprintf(text, sizeof(text), "version=1\npid=%d\nprobes=none\nstopped=%s\n", (int) getpid(), why);

        return n < 0 || (size_t) n >= sizeof(text) ? -ENAMETOOLONG : write_file_atomic(path, text, (size_t) n, 0644);
}
