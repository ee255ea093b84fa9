/* SPDX-License-Identifier: Apache-2.0 */
#include "describe.h"

#include <inttypes.h>
#include <limits.h>
#include <linux/dm-ioctl.h>
#include <syslog.h>

static const struct { const char *name; int priority; } kinds[_CMKD_EVENT_MAX] = {
        [CMKD_KEY_SET] = { "key_set", LOG_NOTICE },
        [CMKD_KEY_SET_MESSAGE] = { "key_replaced", LOG_NOTICE },
        [CMKD_KEY_WIPED] = { "key_wiped", LOG_NOTICE },
        [CMKD_KEY_FREED] = { "key_freed", LOG_NOTICE },
        [CMKD_KEY_FETCHED] = { "key_fetched", LOG_INFO },
        [CMKD_KEY_READ] = { "key_read", LOG_ALERT },
        [CMKD_DM_LOAD] = { "dm_load", LOG_INFO },
        [CMKD_DM_STATUS] = { "dm_table_read", LOG_INFO },
        [CMKD_DM_CLEAR] = { "dm_clear", LOG_INFO },
        [CMKD_DM_CREATE] = { "dm_create", LOG_INFO },
        [CMKD_DM_REMOVE] = { "dm_remove", LOG_INFO },
        [CMKD_DM_SUSPEND] = { "dm_suspend", LOG_INFO },
        [CMKD_DM_RENAME] = { "dm_rename", LOG_INFO },
        [CMKD_DM_MESSAGE] = { "dm_message", LOG_INFO },
        [CMKD_VOLUME_OPEN] = { "volume_open", LOG_INFO },
        [CMKD_GUARD_UMOUNT] = { "guard_umount", LOG_ALERT },
        [CMKD_GUARD_SIGNAL] = { "guard_signal", LOG_WARNING },
        [CMKD_GUARD_PTRACE] = { "guard_ptrace", LOG_ALERT },
        [CMKD_GUARD_SYSCTL] = { "guard_sysctl", LOG_ALERT },
        [CMKD_GUARD_CONNECT] = { "guard_connect", LOG_WARNING },
        [CMKD_GUARD_PIN] = { "guard_pin", LOG_ALERT },
        [CMKD_GUARD_BPF] = { "guard_bpf", LOG_ALERT },
        [CMKD_GUARD_MOUNT] = { "guard_mount", LOG_ALERT },
        [CMKD_GUARD_OPEN] = { "guard_open", LOG_WARNING },
        [CMKD_GUARD_TABLE] = { "guard_table", LOG_WARNING },
        [CMKD_MODULE_LOAD] = { "module_load", LOG_NOTICE },
        [CMKD_MODULE_FREE] = { "module_free", LOG_NOTICE },
        [CMKD_CLOCK_BACK] = { "clock_back", LOG_WARNING },
        [CMKD_KEY_ASKED] = { "key_asked", LOG_ALERT },
        [CMKD_HEADER_OPEN] = { "header_open", LOG_WARNING },
        [CMKD_GUARD_METADATA] = { "guard_metadata", LOG_WARNING },
};

static const struct { uint32_t flag; const char *name; } dm_flags[] = {
        { DM_READONLY_FLAG, "readonly" }, { DM_SUSPEND_FLAG, "suspend" }, { DM_STATUS_TABLE_FLAG, "table" },
        { DM_ACTIVE_PRESENT_FLAG, "active" }, { DM_INACTIVE_PRESENT_FLAG, "inactive" },
        { DM_SKIP_LOCKFS_FLAG, "skip_lockfs" }, { DM_NOFLUSH_FLAG, "noflush" }, { DM_SECURE_DATA_FLAG, "secure" },
        { DM_DEFERRED_REMOVE, "deferred" },
};

const char *describe_kind(unsigned kind) {
        return kind < _CMKD_EVENT_MAX ? kinds[kind].name : NULL;
}

bool describe_is_heartbeat(const struct cmkd_event *e) {
        return e->kind == CMKD_DM_STATUS && e->result == -ENXIO &&
               strncmp(e->name, CMKD_HEARTBEAT, sizeof(e->name)) == 0;
}

static void add_number(struct audit_message_record *m, const char *name, uint64_t v) {
        audit_record_addf(m, name, "%" PRIu64, v);
}

static void add_result(struct audit_message_record *m, int result) {
        const char *name = result == 0 ? "ok" : result > INT_MIN ? strerrorname_np(-result) : NULL;

        if (name)
                audit_record_add(m, "result", name);
        else
                audit_record_addf(m, "result", "%d", result);
}

static void add_flags(struct audit_message_record *m, uint32_t flags) {
        char text[160] = "";

        for (size_t i = 0; i < ELEMENTSOF(dm_flags); i++)
                if (flags & dm_flags[i].flag) {
                        size_t n = strlen(text);

                        snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? " " : "", dm_flags[i].name);
                }
        audit_record_add(m, "flags", text);
}

/* cryptsetup:UUID-dN: the volume's, also where the mapping is not known yet. */
static void add_uuid_of_key(struct audit_message_record *m, const char *description) {
        const char *p = startswith(description, "cryptsetup:");
        char uuid[37];

        for (size_t i = 0; i < m->n_fields; i++)
                if (streq(m->fields[i].name, "uuid"))
                        return;
        if (!p || strlen(p) < sizeof(uuid))
                return;
        memcpy(uuid, p, sizeof(uuid) - 1);
        uuid[36] = 0;
        if (uuid_is_valid(uuid))
                audit_record_add(m, "uuid", uuid);
}

/* CRYPT-LUKS2-32 HEX DIGITS-NAME: libcryptsetup leaves out the dashes. */
static void add_luks_uuid(struct audit_message_record *m, const char *dm_uuid) {
        const char *p = startswith(dm_uuid, "CRYPT-LUKS2-");

        if (p && strspn(p, "0123456789abcdef") == 32)
                audit_record_addf(m, "uuid", "%.8s-%.4s-%.4s-%.4s-%.12s", p, p + 8, p + 12, p + 16, p + 20);
}

static void add_mapping(struct audit_message_record *m, const struct cmkd_event *e) {
        audit_record_add(m, "volume", e->name);
        audit_record_add(m, "dm_uuid", e->uuid);
        add_luks_uuid(m, e->uuid);
        if (e->dev_major != 0)
                audit_record_addf(m, "dev", "%u:%u", e->dev_major, e->dev_minor);
        if (e->other_pid == 0)
                audit_record_add(m, "target", e->target);
        if (e->kind >= CMKD_DM_LOAD && e->kind <= CMKD_DM_MESSAGE)
                add_flags(m, e->flags);
}

static void add_key(struct audit_message_record *m, const struct cmkd_event *e) {
        if (e->how & CMKD_HOW_KEYRING)
                audit_record_add(m, "key", "keyring");
        else if (e->how & CMKD_HOW_INLINE)
                audit_record_add(m, "key", "inline");
        if (e->key_size > 0)
                add_number(m, "key_size", e->key_size);
        if (e->key_serial != 0)
                audit_record_addf(m, "key_serial", "%d", e->key_serial);
        audit_record_add(m, "key_description", e->text);
        if (e->kind == CMKD_KEY_FETCHED)
                add_uuid_of_key(m, e->text);
}

static const char *need_to_string(int need) {
        switch (need) {
        case CMKD_NEED_READ:
                return "read";
        case CMKD_NEED_SEARCH:
                return "search";
        case CMKD_NEED_LINK:
                return "link";
        case CMKD_NEED_SETATTR:
                return "setattr";
        default:
                return NULL;
        }
}

static void add_guard(struct audit_message_record *m, const struct cmkd_event *e) {
        switch (e->kind) {
        case CMKD_GUARD_CONNECT:
                audit_record_add(m, "socket", e->text);
                break;
        case CMKD_GUARD_PIN:
                audit_record_add(m, "pin", e->text);
                break;
        case CMKD_GUARD_BPF:
                audit_record_add(m, e->number != 0 ? "program" : "map", e->text);
                if (e->number == 0)
                        audit_record_add(m, "mode", e->how & CMKD_HOW_WRITE ? "write" : "read");
                break;
        case CMKD_GUARD_MOUNT:
                audit_record_add(m, "point", e->text);
                break;
        case CMKD_GUARD_UMOUNT:
                audit_record_add(m, "own", e->how & CMKD_HOW_OURS ? "yes" : NULL);
                break;
        case CMKD_GUARD_METADATA:
                audit_record_add(m, "address", e->text);
                audit_record_addf(m, "port", "%d", e->number);
                audit_record_add(m, "allowed", e->how & CMKD_HOW_ALLOWED ? "yes" : NULL);
                break;
        case CMKD_GUARD_OPEN:
        case CMKD_HEADER_OPEN:
                audit_record_add(m, "mode", e->how & CMKD_HOW_WRITE ? "write" : "read");
                break;
        case CMKD_MODULE_LOAD:
        case CMKD_MODULE_FREE:
                audit_record_add(m, "module", e->text);
                audit_record_add(m, "foreign", e->how & CMKD_HOW_FOREIGN ? "yes" : NULL);
                break;
        case CMKD_CLOCK_BACK:
                audit_record_addf(m, "seconds", "%d", e->number);
                break;
        }
}

static void add_particulars(struct audit_message_record *m, const struct cmkd_event *e) {
        switch (e->kind) {
        case CMKD_KEY_SET ... CMKD_KEY_READ:
                add_key(m, e);
                break;
        case CMKD_DM_RENAME:
                audit_record_add(m, e->how & CMKD_HOW_UUID ? "new_uuid" : "new_name", e->text);
                break;
        case CMKD_DM_MESSAGE:
                audit_record_add(m, "message", e->text);
                break;
        case CMKD_VOLUME_OPEN:
                audit_record_add(m, "mode", e->how & CMKD_HOW_WRITE ? "write" : "read");
                break;
        case CMKD_KEY_ASKED:
                add_key(m, e);
                add_uuid_of_key(m, e->text);
                audit_record_add(m, "need", need_to_string(e->number));
                break;
        case CMKD_GUARD_SIGNAL:
                audit_record_addf(m, "signal", "%d", e->number);
                break;
        default:
                add_guard(m, e);
        }
        if (e->other_pid > 0)
                audit_record_addf(m, "to", "%s[%" PRIu32 "]", e->target, e->other_pid);
        if (e->how & (CMKD_HOW_REFUSED|CMKD_HOW_WOULD))
                audit_record_add(m, "refused", e->how & CMKD_HOW_REFUSED ? "yes" : "would");
}

static void add_who(struct audit_message_record *m, const struct cmkd_event *e, const struct who_names *names) {
        add_number(m, "pid", e->tgid);
        if (e->pid != e->tgid)
                add_number(m, "tid", e->pid);
        add_number(m, "ppid", e->ppid);
        audit_record_add(m, "parent", e->parent_comm);
        add_number(m, "uid", e->uid);
        if (e->loginuid != UINT32_MAX)
                add_number(m, "loginuid", e->loginuid);
        if (e->sessionid != UINT32_MAX)
                add_number(m, "session", e->sessionid);
        audit_record_add(m, "comm", e->comm);
        audit_record_add(m, "exe", names->exe);
        if (names->exe[0])
                audit_record_add(m, "exe_from", names->exe_from_proc ? "proc" : "kernel");
        audit_record_add(m, "cgroup", names->cgroup);
        add_number(m, "cgroup_id", e->cgroup_id);
        add_number(m, "pid_ns", e->pid_ns);
        add_number(m, "mnt_ns", e->mnt_ns);
        add_number(m, "user_ns", e->user_ns);
        audit_record_add(m, "by", names->ours ? "cmkd" : "other");
}

int describe_event(const struct cmkd_event *e, size_t size, const struct who_names *names, const struct instant *now,
                   const char *ring, struct audit_message_record *ret) {
        const char *name;
        uint64_t boottime;

        if (size < CMKD_EVENT_SIZE_FIRST || e->version != CMKD_EVENT_VERSION)
                return -EBADMSG;
        name = describe_kind(e->kind);
        if (!name)
                return -EBADMSG;
        if (e->kind == CMKD_DM_SUSPEND && (e->how & CMKD_HOW_RESUME))
                name = "dm_resume";
        audit_record_start(ret, name, e->how & CMKD_HOW_ALLOWED ? LOG_INFO : (uint8_t) kinds[e->kind].priority, false);
        boottime = e->boottime_ns / NSEC_PER_USEC;
        ret->boottime_usec = boottime;
        /* Negative when the wall clock was moved meanwhile: then now is the better word */
        ret->realtime_usec = now->boottime_usec >= boottime && now->realtime_usec > now->boottime_usec - boottime ?
                             now->realtime_usec - (now->boottime_usec - boottime) : now->realtime_usec;
        add_mapping(ret, e);
        add_result(ret, e->result);
        add_particulars(ret, e);
        add_who(ret, e, names);
        audit_record_add(ret, "ring", ring);
        return 0;
}
