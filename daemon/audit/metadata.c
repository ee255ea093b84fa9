/* SPDX-License-Identifier: Apache-2.0 */
#include "metadata.h"

#include <bpf/bpf.h>
#include <inttypes.h>
#include <syslog.h>

#define MERGED_NSEC (60 * NSEC_PER_SEC)
#define BATCH 64u                          /* cells in one look; the others wait for the next */

struct unit { char name[CMKD_UNIT_SIZE]; };

struct cell { struct cmkd_asker key; struct cmkd_asked value; };

/* What sets an Azure machine up and looks after it. What it runs for others (extensions) has groups of its own. */
static const char *const known[] = {
        "cloud-init.service", "cloud-init-local.service", "cloud-init-main.service", "cloud-init-network.service",
        "cloud-init-hotplugd.service", "cloud-config.service", "cloud-final.service", "walinuxagent.service", "waagent.service",
        "azuremonitoragent.service", "azuremonitor-agentlauncher.service", "azuremonitor-coreagent.service",
};

static bool is_wanted(const char *name, char *const *words) {
        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (streq(name, known[i]))
                        return true;
        for (char *const *word = words; word && *word; word++)
                if (streq(name, *word))
                        return true;
        return false;
}

static int allow(int units_fd, const char *name) {
        struct unit key = {};
        uint32_t one = 1;

        if (strlen(name) >= sizeof(key.name))
                return -ENAMETOOLONG;
        memcpy(key.name, name, strlen(name));
        return bpf_map_update_elem(units_fd, &key, &one, BPF_ANY) < 0 ? -errno : 0;
}

/* Of the configuration before. */
static void drop_others(int units_fd, char *const *words) {
        struct unit key, next;
        int r = bpf_map_get_next_key(units_fd, NULL, &next);

        while (r >= 0) {
                key = next;
                r = bpf_map_get_next_key(units_fd, &key, &next);
                if (!is_wanted(key.name, words))
                        (void) bpf_map_delete_elem(units_fd, &key);
        }
}

int metadata_allow(int units_fd, char *const *words) {
        int r = 0, k;

        for (size_t i = 0; i < ELEMENTSOF(known); i++) {
                k = allow(units_fd, known[i]);
                r = r < 0 ? r : k;
        }
        for (char *const *word = words; word && *word; word++) {
                k = **word == '/' ? 0 : allow(units_fd, *word);
                r = r < 0 ? r : k;
        }
        drop_others(units_fd, words);
        return r;
}

/* count: of those that no record stands for yet. */
static int say(const struct cell *c, uint64_t count, struct writer *writer, struct audit_message_record *m) {
        int r;

        audit_record_start(m, "guard_metadata_more", LOG_INFO, false);
        audit_record_addf(m, "count", "%" PRIu64, count);
        audit_record_addf(m, "span_usec", "%" PRIu64, (uint64_t) ((c->value.last_ns - c->value.first_ns) / NSEC_PER_USEC));
        if (c->key.tgid != 0)
                audit_record_addf(m, "pid", "%" PRIu32, c->key.tgid);
        audit_record_addf(m, "cgroup_id", "%" PRIu64, (uint64_t) c->key.cgroup_id);
        audit_record_addf(m, "port", "%" PRIu32, c->key.port);
        if (c->key.how & (CMKD_HOW_REFUSED|CMKD_HOW_WOULD))
                audit_record_add(m, "refused", c->key.how & CMKD_HOW_REFUSED ? "yes" : "would");
        audit_record_add(m, "allowed", c->key.how & CMKD_HOW_ALLOWED ? "yes" : NULL);
        r = writer_say(writer, m);
        return r < 0 ? r : writer_commit(writer, false);
}

/* Returns false if the trail did not take it. */
static bool finish(int metadata_fd, const struct cell *c, struct writer *writer, struct audit_message_record *m) {
        struct cmkd_asked last = c->value;

        if (c->value.more > 0 && say(c, c->value.more, writer, m) < 0)
                return false;
        /* What came since it was read */
        if (bpf_map_lookup_and_delete_elem(metadata_fd, &c->key, &last) >= 0 && last.more > c->value.more)
                (void) say(c, last.more - c->value.more, writer, m);
        return true;
}

static bool is_old(const struct cell *c) {
        uint64_t now = now_boottime_usec() * NSEC_PER_USEC;

        return now > c->value.first_ns && now - c->value.first_ns >= MERGED_NSEC;
}

static bool has_more(const struct cell *c) {
        return c->value.more > 0;
}

/* ret_would: whether one came after since_ns that Mode=enforce would have refused. */
static size_t gather(int metadata_fd, bool (*is_due)(const struct cell *), uint64_t since_ns, struct cell ret[static BATCH],
                     bool *ret_would) {
        struct cell c;
        size_t n = 0;

        *ret_would = false;
        for (int r = bpf_map_get_next_key(metadata_fd, NULL, &c.key); r >= 0;
             r = bpf_map_get_next_key(metadata_fd, &c.key, &c.key)) {
                if (bpf_map_lookup_elem(metadata_fd, &c.key, &c.value) < 0)
                        continue;
                *ret_would |= (c.key.how & CMKD_HOW_WOULD) && c.value.last_ns > since_ns;
                if (n < BATCH && is_due(&c))
                        ret[n++] = c;
        }
        return n;
}

bool metadata_tell(int metadata_fd, uint64_t since_ns, struct writer *writer, struct audit_message_record *record) {
        struct cell cells[BATCH];
        bool would;
        size_t n = gather(metadata_fd, is_old, since_ns, cells, &would);

        while (n-- > 0)
                (void) finish(metadata_fd, cells + n, writer, record);
        return would;
}

/* Those that stay are told by the next cmkd-audit, if the machine is there then. */
static void say_late(int metadata_fd, struct writer *writer, struct audit_message_record *m) {
        uint64_t count = 0;
        struct cell c;

        for (int r = bpf_map_get_next_key(metadata_fd, NULL, &c.key); r >= 0;
             r = bpf_map_get_next_key(metadata_fd, &c.key, &c.key))
                if (bpf_map_lookup_elem(metadata_fd, &c.key, &c.value) >= 0)
                        count += c.value.more;
        if (count == 0)
                return;
        audit_record_start(m, "lost", LOG_WARNING, false);
        audit_record_add(m, "reason", "the end left no time for connections to the metadata service");
        audit_record_addf(m, "count", "%" PRIu64, count);
        (void) writer_say(writer, m);
}

void metadata_end(int metadata_fd, uint64_t until_usec, struct writer *writer, struct audit_message_record *record) {
        struct cell cells[BATCH];
        size_t n = BATCH;
        bool would;

        while (n == BATCH && now_boottime_usec() < until_usec) {
                n = gather(metadata_fd, has_more, UINT64_MAX, cells, &would);
                for (size_t i = 0; i < n; i++) {
                        if (now_boottime_usec() >= until_usec) {
                                n = BATCH;
                                break;
                        }
                        if (!finish(metadata_fd, cells + i, writer, record))
                                return;
                }
        }
        if (n == BATCH)
                say_late(metadata_fd, writer, record);
}
