/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

#include "cgroup.h"
#include "common/known-programs.h"

#include <search.h>

/* What the rules know of a volume while they read; of a node where uuid is "". */
struct seen {
        uint64_t *compared;                /* of its rules: how often two were */
        char node[80], uuid[37];
        bool is_early;                     /* of the node: the last cmkd-audit was one before its trail was there, as in an initramfs */
        uint64_t told_usec;                /* and since when (boot time) the kernel knows the files of this root file system; 0: always */
        bool released;                     /* a key is out that no mapping has used yet */
        bool drill;                        /* `cmkctl drill` made it, and uses it */
        char maker[16];                    /* pid of who set the key, until the volume is attached; "": nobody */
};

struct rules {
        const char *node;                  /* of the record that is judged */
        char *const *normal;               /* programs and units; NULL at the end, or NULL */
        void *seen;                        /* a tree, of tsearch(3): names are whoever wrote the trail's */
        size_t n_seen;
        uint64_t compared;
        bool is_full, is_full_said;
};

static const struct { const char *id, *what, *cure; enum gravity gravity; } texts[_RULE_MAX] = {
        [RULE_NONE] = { "none", "", "", GRAVITY_NOTE },
        [RULE_KEY_READ] = { "key-read", "The volume key was read out of the kernel",
                "Whoever has it reads the disk without the vault, also after a revocation: find out who, and copy the data "
                "to a newly made volume.", GRAVITY_ALERT },
        [RULE_KEY_INLINE] = { "key-inline", "A volume key was passed in a device-mapper table, not by the keyring",
                "cmkd never does: dmsetup or an old cryptsetup made this mapping by hand. Ask who did, and how they had the key.",
                GRAVITY_ALERT },
        [RULE_KEY_SET] = { "key-set", "A volume key reached the kernel that cmkd did not release",
                "Another keyslot, a recovery key or a copied volume key opened it: see who, and `cmkctl status` for foreign "
                "keyslots.", GRAVITY_ALERT },
        [RULE_KEY_ASKED] = { "key-asked", "A volume key in a keyring was asked for by a program that has nothing to do with it",
                "dm-crypt's keys are in a keyring for a moment while a volume is opened. Find out who looked for them.", GRAVITY_ALERT },
        [RULE_HEADER] = { "header-write", "The disk below an open volume was opened for writing past cmkd",
                "A keyslot may have been added, or the header spoilt: `cmkctl status` names foreign keyslots.", GRAVITY_ALERT },
        [RULE_MAPPING] = { "mapping", "A mapping of a volume was worked on past cmkd",
                "dmsetup or cryptsetup was used on it: ask who did.", GRAVITY_WARNING },
        [RULE_RAW_OPEN] = { "raw-open", "The decrypted device was opened by a program that has no business there",
                "A copy of the plaintext may have been made. If the program is meant to do that, name it or its unit in Baseline= of "
                "cmkd.conf, or with --expect.", GRAVITY_WARNING },
        [RULE_TABLE_READ] = { "table-read", "The table of a volume was asked for, as dmsetup table --showkeys does",
                "cmkd keeps the key in the kernel's keyring and out of the table: nothing was learned from it, but somebody was "
                "looking for the key. A key that was in the table is a finding of its own.", GRAVITY_WARNING },
        [RULE_SECOND_MAPPING] = { "second-mapping", "A second mapping of an open volume was made",
                "Remove it (dmsetup remove): a cut of the volume does not end before.", GRAVITY_ALERT },
        [RULE_IDENTITY] = { "identity", "The node's identity was within reach of another than cmkd: it connected to the metadata service",
                "With a token from there the vault's keys can be used until it runs out; `cmkctl audit reconcile` finds that in the vault's "
                "log. If it is an agent that is meant to do so, name it or its unit in AllowMetadata= or Baseline= of cmkd.conf.",
                GRAVITY_WARNING },
        [RULE_RESUMED_ELSEWHERE] = { "resumed-elsewhere", "A volume that was held was given a key past cmkd",
                "It was cut. Ask who had the key.", GRAVITY_ALERT },
        [RULE_GUARD] = { "guard", "Somebody worked against the recording",
                "Treat what was recorded after this as incomplete, and ask who did it.", GRAVITY_ALERT },
        [RULE_CLOCK] = { "clock-back", "The wall clock was set back", "Times of records may lie; their order and the boot clock do "
                "not, and leases end by both clocks.", GRAVITY_WARNING },
        [RULE_BLIND] = { "blind", "The kernel's events did not arrive", "Uses of keys in that time are not recorded.",
                GRAVITY_ALERT },
        [RULE_UNSEEN] = { "unseen", "The kernel's own audit has a key of dm-crypt that the probes did not see",
                "They were switched off or gone at that time: look for what was done to them just before. The record says who made the "
                "mapping.", GRAVITY_ALERT },
        [RULE_LOST] = { "lost", "Events are missing from the trail", "The records say how many, of which kind, and why.",
                GRAVITY_WARNING },
        [RULE_TRAIL_REFUSED] = { "trail-refused", "The trail's directory is on a volume, and nothing was kept there",
                "Records are in /run only, and gone with the next boot; by default no volume is opened. Mount another file system on "
                "the directory.", GRAVITY_ALERT },
        [RULE_UNSEALED] = { "unsealed", "The trail is not sealed as configured",
                "Until the cause in the record is gone, somebody with root can rewrite what is recorded. Then restart cmkd-audit.",
                GRAVITY_ALERT },
        [RULE_SEAL_LOST] = { "seal-lost", "The key of the trail's seal was lost", "A crash of the machine does that. If there was "
                "none at that time, the end of the epoch before may have been cut off: compare with the journal, the vault's log "
                "and the list of epochs.", GRAVITY_WARNING },
        [RULE_SEQUENCE_GAP] = { "sequence-gap", "Records of a node are missing from the collected journals",
                "The node's trail has them: the journal leaves some out where many come at once, and may lose others on their way. What the "
                "trail lacks too was removed.", GRAVITY_WARNING },
        [RULE_TOO_MANY] = { "too-many", "More volumes than anybody has: what precedes a use of those from here on is not known",
                "A node does not make so many: look at who wrote this. What cmkd released for them looks as if it had not.", GRAVITY_WARNING },
        [RULE_RECOVERY] = { "recovery", "A volume was opened without the vault",
                "By a recovery key, or by another keyslot. `cmkctl attach NAME` proves it against the vault again.", GRAVITY_ALERT },
        [RULE_FOREIGN_KEYSLOT] = { "foreign-keyslot", "The volume's header has what nobody enrolled, or was changed by others",
                "A keyslot of theirs opens the volume without the customer's key: remove it, or find out who needs it.", GRAVITY_ALERT },
        [RULE_RECOVERY_KEY] = { "recovery-key", "A recovery key was made, removed or tried",
                "Whoever holds one opens the volume without the vault.", GRAVITY_WARNING },
        [RULE_HEADER_ACCEPTED] = { "header-accepted", "What somebody changed in a volume's header was enrolled",
                "what says what it was: a keyslot of theirs opens the volume without the customer's key from then on.", GRAVITY_WARNING },
        [RULE_HEADER_RESTORED] = { "header-restored", "A volume's header was put back from a file",
                "What opened the volume when that file was made opens it again, also what was taken out since. why says whether it is older "
                "than the node had seen.", GRAVITY_WARNING },
        [RULE_PAUSED] = { "paused", "What the vault says was not acted on for a time",
                "An operator paused it; the record says who, and until when.", GRAVITY_WARNING },
        [RULE_LINGERING] = { "lingering", "A volume was cut or detached, and not everything of it could be cleared away",
                "`cmkctl status NAME` says what is left; it is tried again.", GRAVITY_ALERT },
        [RULE_REPORTED] = { "reported", "The vault's no was reported and nothing was done, as configured",
                "OnRevoked=report is the setting to migrate with; it leaves the volume open.", GRAVITY_WARNING },
        [RULE_BREAKER] = { "breaker", "The breaker acted because cmkd did not renew in time",
                "The journal of cmkd.service says why it was late.", GRAVITY_WARNING },
        [RULE_DRILL_FAILED] = { "drill-failed", "A drill of a cut did not pass",
                "The record says which claim did not hold; `cmkctl drill` shows more.", GRAVITY_ALERT },
        [RULE_LOGIN_ALARM] = { "login-alarm", "A wrapped secret id was used up, or wrapped by somebody else, when this node came for it",
                "Somebody else may be able to log in as this node: destroy the secret id in the vault, and look for its uses in the vault's log.",
                GRAVITY_ALERT },
        [RULE_VAULT_SEALED] = { "vault-sealed", "The vault was sealed, or its namespace locked, by its owner",
                "No key in it can be used until that is undone; volumes stay open for as long as the policy allows.", GRAVITY_WARNING },
        [RULE_LOGIN_REPLACED] = { "login-replaced", "Another secret id was delivered to this node and taken into use",
                "Whoever sets the node up should know of it.", GRAVITY_NOTE },
        [RULE_REFUSED] = { "refused", "A disk, key or request was refused", "The record says why.", GRAVITY_NOTE },
        [RULE_DISK_REMOVED] = { "disk-removed", "A disk was pulled while its volume was open", "", GRAVITY_NOTE },
        [RULE_CLOSED_ELSEWHERE] = { "closed-elsewhere", "A volume was closed past cmkd", "", GRAVITY_NOTE },
        [RULE_KEY_EXPIRED] = { "key-expired", "A key is past its expiry date",
                "Its owner should rotate it, or set another date.", GRAVITY_WARNING },
        [RULE_KEY_EXPIRES_SOON] = { "key-expires-soon", "A version of a key that volumes need expires soon",
                "`cmkctl keys usage` says which volumes; rotate them before it does.", GRAVITY_NOTE },
        [RULE_KEY_UNSAFE] = { "key-unsafe", "A key may be destroyed for good, or taken out of its vault",
                "Its owner allowed that. Data is lost with a key that cannot be recovered.", GRAVITY_WARNING },
        [RULE_MODULE] = { "module", "A kernel module was loaded that is not the kernel's own, or one of device-mapper removed",
                "A module can do anything, unseen. If it is a driver of yours, there is nothing to do.", GRAVITY_NOTE },
};

const char *rule_id(enum rule r) {
        return texts[r].id;
}

const char *rule_what(enum rule r) {
        return texts[r].what;
}

const char *rule_cure(enum rule r) {
        return texts[r].cure;
}

enum gravity rule_gravity(enum rule r) {
        return texts[r].gravity;
}

const char *gravity_to_string(enum gravity g) {
        return g == GRAVITY_ALERT ? "alert" : g == GRAVITY_WARNING ? "warning" : "note";
}

bool rule_is_unauthorised(enum rule r) {
        return r >= RULE_KEY_READ && r <= RULE_RESUMED_ELSEWHERE;
}

/* Its own volume only, which has nothing of anybody's on it. */
static const char *const drill_names[] = { "cmkctl" };

/* Who sets the clock, and who writes to the disks below volumes, in the course of their work. */
static const char *const clock_names[] = { "systemd-timesyncd", "chronyd", "ntpd", "ntpdate" };
static const char *const disk_names[] = { "systemd", "systemd-udevd", "lvm", "mdadm", "multipathd", "dmeventd" };

static bool is_in(const char *exe, const char *const *names, size_t n) {
        const char *directory, *name;

        for (size_t i = 0; (directory = known_directory(i)); i++)
                for (size_t k = 0; (name = startswith(exe, directory)) && k < n; k++)
                        if (streq(name, names[k]))
                                return true;
        return false;
}

/* By its path alone. cmkctl is known to the kernel, for drills, and has no business with any other volume. */
static bool is_known(const char *exe, enum known_may may) {
        return (known_path_may(exe) & may) && !is_in(exe, drill_names, ELEMENTSOF(drill_names));
}

/* What the node's configuration or the command line says is normal there. */
static bool is_expected(const struct rules *r, const struct record *record) {
        const char *exe = strempty(record_field(record, "exe")), *cgroup = strempty(record_field(record, "cgroup"));

        for (char *const *word = r->normal; word && *word; word++)
                if (**word == '/' ? streq(*word, exe) : cgroup_is_unit(cgroup, *word))
                        return true;
        return false;
}

int rules_new(char *const *normal, struct rules **ret) {
        struct rules *r = calloc(1, sizeof(*r));

        if (!r)
                return -ENOMEM;
        r->normal = normal;
        *ret = r;
        return 0;
}

struct rules *rules_free(struct rules *r) {
        if (r)
                tdestroy(r->seen, free);
        free(r);
        return NULL;
}

static int compare(const void *a, const void *b) {
        const struct seen *x = a, *y = b;
        int c = strcmp(x->uuid, y->uuid);

        ++*x->compared;
        return c != 0 ? c : strcmp(x->node, y->node);
}

/* uuid: of a volume, or "" for what is known of the node. */
static void fill(struct rules *r, const char *uuid, struct seen *ret) {
        *ret = (struct seen) { .compared = &r->compared };
        snprintf(ret->node, sizeof(ret->node), "%s", r->node);
        snprintf(ret->uuid, sizeof(ret->uuid), "%s", uuid);
}

static struct seen *find(struct rules *r, const char *uuid) {
        struct seen key, **found;

        if (!uuid || (*uuid && !uuid_is_valid(uuid)))
                return NULL;
        fill(r, uuid, &key);
        found = tfind(&key, &r->seen, compare);
        return found ? *found : NULL;
}

/* Returns 0, *ret: NULL if it is no uuid, or none more can be kept in mind; or -ENOMEM. */
static int find_or_add(struct rules *r, const char *uuid, struct seen **ret) {
        struct seen *s = find(r, uuid), **added;

        *ret = s;
        if (s || (*uuid && !uuid_is_valid(uuid)))
                return 0;
        if (r->n_seen >= RULES_SEEN_MAX) {
                r->is_full = true;
                return 0;
        }
        s = malloc(sizeof(*s));
        if (!s)
                return -ENOMEM;
        fill(r, uuid, s);
        added = tsearch(s, &r->seen, compare);
        if (!added) {
                free(s);
                return -ENOMEM;
        }
        r->n_seen++;
        *ret = s;
        return 0;
}

uint64_t rules_compared(const struct rules *r) { return r->compared; }

static bool has(const struct record *r, const char *name, const char *value) {
        return streq_ptr(record_field(r, name), value);
}

static const struct { const char *event; enum rule rule; } of_daemon[] = {
        { "second_mapping", RULE_SECOND_MAPPING }, { "foreign_mapping", RULE_SECOND_MAPPING },
        { "resumed_elsewhere", RULE_RESUMED_ELSEWHERE }, { "guard_unpin", RULE_GUARD }, { "guard_release", RULE_GUARD },
        { "blind", RULE_BLIND }, { "unseen", RULE_UNSEEN }, { "seal_failed", RULE_UNSEALED }, { "trail_refused", RULE_TRAIL_REFUSED },
        { "gap", RULE_LOST }, { "lost", RULE_LOST }, { "early_not_joined", RULE_LOST },
        { "sequence_gap", RULE_SEQUENCE_GAP }, { "recovery", RULE_RECOVERY },
        { "foreign_keyslot", RULE_FOREIGN_KEYSLOT }, { "header_changed", RULE_FOREIGN_KEYSLOT },
        { "header_accepted", RULE_HEADER_ACCEPTED }, { "recovery_key_added", RULE_RECOVERY_KEY },
        { "recovery_key_removed", RULE_RECOVERY_KEY }, { "recovery_key_rotated", RULE_RECOVERY_KEY }, { "recovery_key_escrowed", RULE_RECOVERY_KEY }, { "paused", RULE_PAUSED }, { "lingering", RULE_LINGERING },
        { "reported", RULE_REPORTED }, { "breaker", RULE_BREAKER }, { "refused", RULE_REFUSED },
        { "disk_removed", RULE_DISK_REMOVED }, { "closed_elsewhere", RULE_CLOSED_ELSEWHERE },
        { "key_expired", RULE_KEY_EXPIRED }, { "key_expires_soon", RULE_KEY_EXPIRES_SOON }, { "header_restored", RULE_HEADER_RESTORED }, { "key_unsafe", RULE_KEY_UNSAFE },
        { "login_alarm", RULE_LOGIN_ALARM }, { "login_replaced", RULE_LOGIN_REPLACED },
        { "vault_sealed", RULE_VAULT_SEALED },
};

static int note_start(struct rules *r, const struct record *record) {
        struct seen *node;
        int k = find_or_add(r, "", &node);

        if (k < 0 || !node)
                return k;
        node->told_usec = node->is_early ? record->boottime_usec : 0;
        node->is_early = record_field(record, "place");
        return 0;
}

static int judge_daemon(struct rules *r, const struct record *record, enum rule *ret) {
        const char *uuid = record_field(record, "uuid");
        struct seen *s;
        int k;

        for (size_t i = 0; i < ELEMENTSOF(of_daemon); i++)
                if (streq(record->event, of_daemon[i].event))
                        *ret = of_daemon[i].rule;
        /* A mapping that was there when cmkd came: opened with the vault, unless it says otherwise */
        if (streq(record->event, "adopted") && (has(record, "condition", "recovery") || has(record, "state", "recovery")))
                *ret = RULE_RECOVERY;
        if (streq(record->event, "gap") && has(record, "reason", "key_lost"))
                *ret = RULE_SEAL_LOST;
        /* What waits in the ring was to be left unread; skipped is what a kill leaves */
        if (streq(record->event, "probes") && record_field(record, "problem"))
                *ret = RULE_GUARD;
        if (streq(record->event, "drill_ended") && !has(record, "result", "passed"))
                *ret = RULE_DRILL_FAILED;
        if (streq(record->event, "audit_start"))
                return note_start(r, record);
        if (!uuid || !*uuid)
                return 0;
        if (record_field(record, "drill")) {
                k = find_or_add(r, uuid, &s);
                if (k < 0)
                        return k;
                if (s)
                        s->drill = true;
        }
        if (streq(record->event, "release") && has(record, "verdict", "GRANTED") && !has(record, "verb", "format")) {
                k = find_or_add(r, uuid, &s);
                if (k < 0 || !s)
                        return k;
                s->released = true;
                s->maker[0] = 0;
                return 0;
        }
        s = find(r, uuid);
        if (s && (streq(record->event, "attached") || streq(record->event, "resumed") || streq(record->event, "adopted") ||
                  streq(record->event, "release_unused")))
                *s->maker = s->released = 0;
        return 0;
}

/* Whoever set the released key makes the rest of the mapping too. */
static bool is_makers(struct seen *s, const struct record *record) {
        return s && (s->released || (*s->maker && has(record, "pid", s->maker)));
}

static enum rule judge_key(struct seen *s, const struct record *record) {
        if (!has(record, "result", "ok"))
                return RULE_NONE;
        if (has(record, "key", "inline"))
                return RULE_KEY_INLINE;
        if (s && s->released) {
                s->released = false;
                snprintf(s->maker, sizeof(s->maker), "%s", strempty(record_field(record, "pid")));
                return RULE_NONE;
        }
        return has(record, "by", "cmkd") ? RULE_NONE : RULE_KEY_SET;
}

/* The uuid that device-mapper has for it: only LUKS2 mappings are volumes, or may be. */
static bool is_of_volume(const struct record *record) {
        return startswith(strempty(record_field(record, "dm_uuid")), "CRYPT-LUKS2-") != NULL;
}

/* Agents of the cloud's ask there all day. */
static enum rule judge_metadata(const struct rules *r, const struct record *record) {
        if (has(record, "pid", "1") || has(record, "by", "cmkd") || has(record, "allowed", "yes"))
                return RULE_NONE;
        return is_expected(r, record) ? RULE_NONE : RULE_IDENTITY;
}

/* Between an initramfs and the first cmkd-audit behind it the kernel knows the initramfs' files. */
static bool is_told(struct rules *r, const struct record *record) {
        const struct seen *node = find(r, "");

        return !node || record->boottime_usec >= node->told_usec;
}

/* The kernel knows a program by its file, a reader of records by its path: one that has the path and was not known is another
 * file in a mount namespace of its own, or a container's. One that is not known either way has a finding by what it opened. */
static enum rule judge_unknown(struct rules *r, const struct record *record) {
        const char *exe = strempty(record_field(record, "exe"));
        bool is_open = streq(record->event, "guard_open"), is_known_path = is_known(exe, is_open ? KNOWN_OPEN : KNOWN_TABLE);

        if (!is_told(r, record) || (!has(record, "by", "cmkd") && (!is_known_path || is_expected(r, record))))
                return RULE_NONE;
        return is_open ? RULE_RAW_OPEN : RULE_TABLE_READ;
}

/* PID 1 stops our units by a signal, as it does every one. "by" is a path and a control group's name, which root can give to what he likes:
 * of our own programs' files the kernel sends none of these, but for the unmount, of which it says so itself. */
static enum rule judge_guard(struct rules *r, const struct record *record) {
        if (has(record, "pid", "1") || (has(record, "by", "cmkd") && !is_told(r, record)) ||
            (streq(record->event, "guard_umount") && has(record, "own", "yes")))
                return RULE_NONE;
        if ((streq(record->event, "guard_open") || streq(record->event, "guard_table")) && !has(record, "refused", "yes"))
                return judge_unknown(r, record);
        return RULE_GUARD;
}

static enum rule judge_kernel(struct rules *r, const struct record *record) {
        static const char *const changes[] = { "dm_load", "dm_clear", "dm_suspend", "dm_resume", "dm_rename", "dm_message" };
        struct seen *s = find(r, record_field(record, "uuid"));
        const char *exe = strempty(record_field(record, "exe"));

        if (streq(record->event, "key_read"))
                return RULE_KEY_READ;
        if (streq(record->event, "key_set") || streq(record->event, "key_replaced"))
                return judge_key(s, record);
        if (streq(record->event, "guard_metadata"))
                return judge_metadata(r, record);
        if (startswith(record->event, "guard_"))
                return judge_guard(r, record);
        if (streq(record->event, "key_asked"))
                return RULE_KEY_ASKED;
        if (streq(record->event, "header_open"))
                return is_in(strempty(record_field(record, "exe")), disk_names, ELEMENTSOF(disk_names)) ? RULE_NONE : RULE_HEADER;
        if (streq(record->event, "clock_back"))
                return is_in(strempty(record_field(record, "exe")), clock_names, ELEMENTSOF(clock_names)) ? RULE_NONE : RULE_CLOCK;
        if (streq(record->event, "module_free") || (streq(record->event, "module_load") && has(record, "foreign", "yes")))
                return RULE_MODULE;
        if (has(record, "by", "cmkd") || !has(record, "result", "ok") || !is_of_volume(record))
                return RULE_NONE;
        if (streq(record->event, "volume_open")) {
                if (s && s->drill && is_in(exe, drill_names, ELEMENTSOF(drill_names)))
                        return RULE_NONE;
                return is_known(exe, KNOWN_OPEN) || is_expected(r, record) ? RULE_NONE : RULE_RAW_OPEN;
        }
        /* The kernel cannot tell --showkeys from a plain look at the table, and dmsetup has no other reason for one */
        if (streq(record->event, "dm_table_read"))
                return is_known(exe, KNOWN_TABLE) || is_makers(s, record) || is_expected(r, record) ? RULE_NONE : RULE_TABLE_READ;
        for (size_t i = 0; i < ELEMENTSOF(changes); i++)
                if (streq(record->event, changes[i]))
                        return is_makers(s, record) ? RULE_NONE : RULE_MAPPING;
        return RULE_NONE;
}

int rules_judge(struct rules *r, const char *node, const struct record *record, enum rule *ret) {
        enum rule rule = RULE_NONE;
        int k = 0;

        r->node = node;
        if (record->source == RECORD_DAEMON)
                k = judge_daemon(r, record, &rule);
        else
                rule = judge_kernel(r, record);
        if (k < 0)
                return k;
        if (rule == RULE_NONE && r->is_full && !r->is_full_said) {
                r->is_full_said = true;
                rule = RULE_TOO_MANY;
        }
        *ret = rule;
        return 0;
}
