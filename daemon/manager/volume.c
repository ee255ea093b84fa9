/* SPDX-License-Identifier: Apache-2.0 */
#include "volume.h"

#include "common/log.h"
#include "manager.h"
#include "teardown.h"
#include "unit-return.h"

#define BIT(s) (1u << (s))

static const struct {
        const char *name;
        unsigned next;       /* states that may follow, besides CLOSED */
        enum lease_state lease;
} states[_VOLUME_STATE_MAX] = {
        [VOLUME_CLOSED]    = { "closed", BIT(VOLUME_ATTACHING) | BIT(VOLUME_ATTACHED) | BIT(VOLUME_HELD) | BIT(VOLUME_CUT) | BIT(VOLUME_RECOVERY), LEASE_CLOSED },
        [VOLUME_ATTACHING] = { "attaching", BIT(VOLUME_ATTACHED) | BIT(VOLUME_HELD) | BIT(VOLUME_CUT) | BIT(VOLUME_RECOVERY), LEASE_CLOSED },
        [VOLUME_ATTACHED]  = { "attached", BIT(VOLUME_HOLDING) | BIT(VOLUME_DETACHING) | BIT(VOLUME_NOTICE) | BIT(VOLUME_CUTTING), LEASE_OPEN },
        [VOLUME_HOLDING]   = { "holding", BIT(VOLUME_HELD) | BIT(VOLUME_ATTACHED) | BIT(VOLUME_CUTTING), LEASE_HOLDING },
        [VOLUME_HELD]      = { "held", BIT(VOLUME_RESUMING) | BIT(VOLUME_CUTTING), LEASE_HELD },
        [VOLUME_RESUMING]  = { "resuming", BIT(VOLUME_ATTACHED) | BIT(VOLUME_HELD) | BIT(VOLUME_CUTTING), LEASE_HELD },
        [VOLUME_DETACHING] = { "detaching", BIT(VOLUME_ATTACHED) | BIT(VOLUME_RECOVERY) | BIT(VOLUME_CUTTING) | BIT(VOLUME_LINGERING), LEASE_OPEN },
        [VOLUME_NOTICE]    = { "notice", BIT(VOLUME_CUTTING) | BIT(VOLUME_ATTACHED), LEASE_NOTICE },
        [VOLUME_CUTTING]   = { "cutting", BIT(VOLUME_LINGERING) | BIT(VOLUME_CUT), LEASE_CUTTING },
        [VOLUME_LINGERING] = { "lingering", BIT(VOLUME_CUTTING) | BIT(VOLUME_CUT), LEASE_LINGERING },
        [VOLUME_CUT]       = { "cut", BIT(VOLUME_ATTACHING) | BIT(VOLUME_RECOVERY), LEASE_CLOSED },
        [VOLUME_RECOVERY]  = { "recovery", BIT(VOLUME_ATTACHED) | BIT(VOLUME_DETACHING) | BIT(VOLUME_NOTICE) | BIT(VOLUME_CUTTING), LEASE_RECOVERY },
};

struct volume *volume_new(struct manager *m, const char *uuid, const char *name, enum role role) {
        struct volume *v = calloc(1, sizeof(*v));

        if (!v)
                return NULL;
        v->manager = m;
        v->role = role;
        snprintf(v->uuid, sizeof(v->uuid), "%s", uuid);
        snprintf(v->name, sizeof(v->name), "%s", name);
        snprintf(v->mapping, sizeof(v->mapping), "%s", name);
        return v;
}

struct volume *volume_free(struct volume *v) {
        if (!v)
                return NULL;
        if (v->detaching)
                *v->detaching = NULL;
        teardown_free(v->teardown);
        unit_return_free(v->unit_return);
        sd_event_source_disable_unref(v->timer);
        sd_event_source_disable_unref(v->look_timer);
        sd_event_source_disable_unref(v->released_timer);
        sd_event_source_disable_unref(v->pause_timer);
        sd_event_source_disable_unref(v->header_timer);
        free(v);
        return NULL;
}

const char *volume_state_to_string(enum volume_state s) {
        return (unsigned) s < _VOLUME_STATE_MAX ? states[s].name : "?";
}

const char *volume_key_text(const struct volume *v) {
        return v->opener < v->header.n_wraps ? v->header.wraps[v->opener].key : "";
}

bool volume_is_open(const struct volume *v) {
        return v->unseen || (v->state != VOLUME_CLOSED && v->state != VOLUME_ATTACHING && v->state != VOLUME_CUT);
}

bool volume_is_attaching(const struct volume *v) {
        return v->state == VOLUME_ATTACHING && !v->released && !v->unseen;
}

bool volume_is_in_transit(const struct volume *v) {
        const unsigned transit = BIT(VOLUME_ATTACHING) | BIT(VOLUME_HOLDING) | BIT(VOLUME_RESUMING) |
                                 BIT(VOLUME_DETACHING) | BIT(VOLUME_NOTICE) | BIT(VOLUME_CUTTING);

        return (BIT(v->state) & transit) != 0;
}

int volume_set_state(struct volume *v, enum volume_state to) {
        enum lease_state lease = states[to].lease;

        if (v->state == to)
                return 0;
        if (to != VOLUME_CLOSED && !(states[v->state].next & BIT(to))) {
                log_error("%s: a move from %s to %s makes no sense", v->name, volume_state_to_string(v->state),
                          volume_state_to_string(to));
                return -EINVAL;
        }
        log_debug("%s: %s -> %s", v->name, volume_state_to_string(v->state), volume_state_to_string(to));
        if (to == VOLUME_CLOSED || to == VOLUME_ATTACHED || to == VOLUME_RECOVERY) {
                v->cause = CAUSE_NONE;
                v->n_fellows = 0;
        }
        if (to == VOLUME_CLOSED || to == VOLUME_CUT) {
                v->use_flags = 0;
                v->look = (struct volume_look) {};
        }
        v->unseen &= to == VOLUME_ATTACHING;
        /* From here on only what we make, or are told of, is its mapping. */
        if (to == VOLUME_ATTACHING && !v->unseen)
                snprintf(v->mapping, sizeof(v->mapping), "%s", v->name);
        v->released = v->overdue = false;
        v->released_timer = sd_event_source_disable_unref(v->released_timer);
        /* Nothing has a hold on it while it is opened without us, also while it is closed in an orderly way. */
        if (v->state == VOLUME_RECOVERY && to == VOLUME_DETACHING)
                lease = LEASE_RECOVERY;
        v->state = to;
        if (v->lease.state != lease || v->lease.cause != v->cause)
                lease_volume_enter(&v->lease, lease, v->cause, instant_now());
        manager_volume_changed(v->manager, v);
        return 0;
}

static int refuse(int error, const char *why, const char **ret_why) {
        *ret_why = why;
        return error;
}

static int refuse_busy(const struct volume *v, const char *why, const char **ret_why) {
        return refuse(-EBUSY, v->unseen ? "it is mapped, and nobody could look at it yet, which is tried again; see \"systemctl "
                      "status cmkd-disk.socket\" and the disk" : why, ret_why);
}

int volume_may_attach(const struct volume *v, const char **ret_why) {
        switch (v->state) {
        case VOLUME_CLOSED:
        case VOLUME_CUT:
                return 0;
        case VOLUME_ATTACHED:
                return refuse(-EALREADY, "it is attached already", ret_why);
        case VOLUME_HELD:
                return refuse(-EBUSY, "it is held; \"cmkctl resume\" brings it back", ret_why);
        case VOLUME_RECOVERY:
                return refuse(-EBUSY, "it was opened without cmkd; \"cmkctl attach\" with its name puts it under its lease", ret_why);
        case VOLUME_LINGERING:
                return refuse(-EBUSY, "what is left of its last use is still being removed; see \"cmkctl status\"", ret_why);
        default:
                if (v->released)
                        return refuse(-EBUSY, "its key was given out a moment ago, and its mapping is waited for", ret_why);
                return refuse_busy(v, "another operation on it is under way", ret_why);
        }
}

int volume_may_release(const struct volume *v, const char **ret_why) {
        return volume_may_attach(v, ret_why) < 0 ? -EBUSY : 0;
}

int volume_may_detach(const struct volume *v, const char **ret_why) {
        switch (v->state) {
        case VOLUME_RECOVERY:
                if (v->owner)
                        return refuse(-EBUSY, "another operation on it is under way", ret_why);
                return 0;
        case VOLUME_ATTACHED:
                return 0;
        case VOLUME_CLOSED:
        case VOLUME_CUT:
                return refuse(-EALREADY, "it is not attached", ret_why);
        case VOLUME_HELD:
                return refuse(-EBUSY, "it is held: resume it first, or cut it", ret_why);
        case VOLUME_LINGERING:
                return refuse(-EBUSY, "it was closed, and what is left is being removed; see \"cmkctl status\"", ret_why);
        default:
                return refuse_busy(v, "another operation on it is under way", ret_why);
        }
}

int volume_may_cut(const struct volume *v, const char **ret_why) {
        switch (v->state) {
        case VOLUME_CLOSED:
        case VOLUME_CUT:
                return refuse(-EALREADY, "it is not attached", ret_why);
        case VOLUME_ATTACHING:
                return refuse_busy(v, "it is being attached", ret_why);
        case VOLUME_NOTICE:
                return refuse(-EBUSY, "its cut is announced already", ret_why);
        case VOLUME_CUTTING:
                return refuse(-EBUSY, "it is being cut already", ret_why);
        case VOLUME_RECOVERY:
                if (v->owner)
                        return refuse(-EBUSY, "the vault is being asked for it", ret_why);
                return 0;
        default:
                return 0;
        }
}

/* In whatever state but attached or held */
static int refuse_unattached(const struct volume *v, const char **ret_why) {
        switch (v->state) {
        case VOLUME_RECOVERY:
                return refuse(-EBUSY, "it was opened without cmkd (recovery): detach or cut it", ret_why);
        case VOLUME_CLOSED:
        case VOLUME_CUT:
        case VOLUME_LINGERING:
                return refuse(-ENOTCONN, "it is not attached", ret_why);
        default:
                return refuse_busy(v, "another operation on it is under way", ret_why);
        }
}

int volume_may_hold(const struct volume *v, const char **ret_why) {
        switch (v->state) {
        case VOLUME_ATTACHED:
                return 0;
        case VOLUME_HELD:
                return refuse(-EALREADY, "it is held already", ret_why);
        default:
                return refuse_unattached(v, ret_why);
        }
}

int volume_may_resume(const struct volume *v, const char **ret_why) {
        switch (v->state) {
        case VOLUME_HELD:
                return 0;
        case VOLUME_ATTACHED:
                return refuse(-EALREADY, "it is not held", ret_why);
        default:
                return refuse_unattached(v, ret_why);
        }
}

int volume_may_pause(const struct volume *v, const char **ret_why) {
        switch (v->state) {
        case VOLUME_CLOSED:
        case VOLUME_CUT:
        case VOLUME_LINGERING:
                return refuse(-ENOTCONN, "it is not attached", ret_why);
        case VOLUME_ATTACHING:
                return refuse_busy(v, "it is being attached", ret_why);
        case VOLUME_CUTTING:
                return refuse(-EBUSY, "it is being cut already", ret_why);
        case VOLUME_NOTICE:
                if (!lease_cause_is_undone(v->cause))
                        return refuse(-EBUSY, "its cut is announced, and not for what the vault says", ret_why);
                return 0;
        case VOLUME_RECOVERY:
                return 0;
        default:
                if (!volume_has_key(v))
                        return refuse(-ENOKEY, "there is no key to ask for it, and the breaker's deadline stands", ret_why);
                return 0;
        }
}

void volume_dm_uuid(const struct volume *v, char ret[static 128]) {
        char hex[33];
        size_t n = 0;

        for (const char *p = v->uuid; *p && n < 32; p++)
                if (*p != '-')
                        hex[n++] = *p;
        hex[n] = 0;
        snprintf(ret, 128, "CRYPT-LUKS2-%s-%s", hex, v->mapping);
}

void volume_disk_request(const struct volume *v, enum disk_op op, struct disk_request *ret) {
        *ret = (struct disk_request) {
                .op = (uint8_t) op, .role = (uint8_t) v->role, .dev_major = v->dev_major, .dev_minor = v->dev_minor, .sectors = v->sectors,
        };
        memcpy(ret->device, v->device, sizeof(ret->device));
        memcpy(ret->name, v->name, sizeof(ret->name));
        memcpy(ret->mapping, v->mapping, sizeof(ret->mapping));
        memcpy(ret->uuid, v->uuid, sizeof(ret->uuid));
        memcpy(ret->opener, volume_key_text(v), strlen(volume_key_text(v)));
        memcpy(ret->header_digest, v->header.header_digest, sizeof(ret->header_digest));
}
