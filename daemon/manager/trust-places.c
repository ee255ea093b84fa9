/* SPDX-License-Identifier: Apache-2.0 */
#include "trust-places.h"

#include <unistd.h>

#include "common/log.h"
#include "common/place.h"
#include "drill.h"
#include "trust-signed.h"

bool trust_places_ready(void) {
        return place_ready(TRUST_DIRECTORY, "/etc/fstab");
}

/* The volume of a drill is never one that is listed, neither by its UUID nor by its name, and of no other name. */
static int add_drill(struct trust_list *l) {
        _cleanup_(trust_freep) struct trust_list *found = NULL;
        struct trust_entry *bigger;
        int r;

        r = trust_load(DRILL_DIRECTORY, &found);
        for (size_t i = 0; r >= 0 && i < found->n_entries; i++) {
                struct trust_entry *e = found->entries + i;

                if (!streq(e->name, DRILL_NAME) || trust_find_uuid(l, e->uuid) || trust_find_name(l, e->name)) {
                        r = trust_note_bad(l, DRILL_DIRECTORY, e->uuid, "it is not the volume of a drill");
                        continue;
                }
                bigger = reallocarray(l->entries, l->n_entries + 1, sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                l->entries = bigger;
                e->drill = true;
                l->entries[l->n_entries++] = *e;
        }
        return r;
}

/* One that is on the list already was settled, but for its file. */
static int add_pending(struct trust_list *l) {
        _cleanup_(trust_freep) struct trust_list *found = NULL;
        struct trust_entry *bigger;
        int r;

        r = trust_load(TRUST_PENDING_DIRECTORY, &found);
        for (size_t i = 0; r >= 0 && i < found->n_entries; i++) {
                struct trust_entry *e = found->entries + i;

                if (trust_find_uuid(l, e->uuid)) {
                        (void) trust_remove(TRUST_PENDING_DIRECTORY, e->uuid);
                        continue;
                }
                if (!*e->image) {
                        r = trust_note_bad(l, TRUST_PENDING_DIRECTORY, e->uuid, "it does not say from which image it is");
                        continue;
                }
                bigger = reallocarray(l->entries, l->n_entries + 1, sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                l->entries = bigger;
                e->pending = true;
                l->entries[l->n_entries++] = *e;
        }
        return r;
}

int trust_places_load(const struct config *c, struct trust_list **ret, bool *ret_early) {
        _cleanup_(trust_freep) struct trust_list *l = NULL;
        bool early = !trust_places_ready();
        struct node_identity node;
        int r;

        node_identity_get(&node);
        r = trust_load(early ? TRUST_EARLY_DIRECTORY : TRUST_DIRECTORY, &l);
        if (r >= 0)
                r = trust_load_signed(TRUST_SIGNED_DIRECTORY, c->owner_keys, &node, l);
        if (r >= 0)
                r = add_drill(l);
        if (r >= 0 && !early)
                r = add_pending(l);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        *ret_early = early;
        return 0;
}

static void copied(const char *uuid, int r) {
        if (r < 0 && r != -ENOENT)
                log_warning("The copy of %s in " TRUST_EARLY_DIRECTORY ": %s; it is needed only if /var is on a volume", uuid,
                            strerror(-r));
}

/* The copy follows, whatever it said before. */
static void copy_entry(const struct trust_entry *e) {
        copied(e->uuid, trust_copy(TRUST_EARLY_DIRECTORY, e));
}

/* Its file there is bad, and so not what the list has: what the copy says may be all that is known of it. */
static bool has_file(const char *uuid) {
        char path[sizeof(TRUST_DIRECTORY) + 64];

        snprintf(path, sizeof(path), TRUST_DIRECTORY "/%s.conf", uuid);
        return access(path, F_OK) >= 0;
}

void trust_places_follow(void) {
        _cleanup_(trust_freep) struct trust_list *l = NULL, *copy = NULL;
        const struct trust_entry *e;

        if (trust_load(TRUST_DIRECTORY, &l) < 0 || trust_load(TRUST_EARLY_DIRECTORY, &copy) < 0 || l->n_entries == 0)
                return;
        for (size_t i = 0; i < copy->n_entries; i++) {
                e = copy->entries + i;
                if (!trust_find_uuid(l, e->uuid) && !has_file(e->uuid)) {
                        log_warning("Volume %s is on the copy of the node's list in " TRUST_EARLY_DIRECTORY " only, and not trusted: it is taken off "
                                    "that, and kept as %s" TRUST_ASIDE " there", e->name, e->uuid);
                        copied(e->uuid, trust_set_aside(TRUST_EARLY_DIRECTORY, e->uuid));
                }
        }
        for (size_t i = 0; i < l->n_entries; i++) {
                e = trust_find_uuid(copy, l->entries[i].uuid);
                if (!e || !trust_is_same(e, l->entries + i))
                        copy_entry(l->entries + i);
        }
}

int trust_places_add(const struct trust_entry *e) {
        int r = trust_add(TRUST_DIRECTORY, e);

        if (r >= 0)
                copy_entry(e);
        return r;
}

int trust_places_update(const struct trust_entry *e) {
        int r = trust_update(TRUST_DIRECTORY, e);

        if (r >= 0)
                copy_entry(e);
        return r;
}

int trust_places_put_back(const struct trust_entry *e) {
        int r = trust_put_back(TRUST_DIRECTORY, e);

        if (r >= 0)
                copy_entry(e);
        return r;
}

/* The copy goes first: what is on neither list is trusted at no time. */
int trust_places_remove(const char *uuid) {
        copied(uuid, trust_remove(TRUST_EARLY_DIRECTORY, uuid));
        return trust_remove(TRUST_DIRECTORY, uuid);
}

int trust_places_pend(const struct trust_entry *e) {
        int r = trust_remove(TRUST_PENDING_DIRECTORY, e->uuid);

        return r < 0 && r != -ENOENT ? r : trust_add(TRUST_PENDING_DIRECTORY, e);
}

/* By an earlier call that was interrupted. */
static bool is_listed(const struct trust_entry *e) {
        _cleanup_(trust_freep) struct trust_list *l = NULL;
        const struct trust_entry *there = trust_load(TRUST_DIRECTORY, &l) >= 0 ? trust_find_uuid(l, e->uuid) : NULL;

        return there && trust_is_same(there, e);
}

/* One name at a time: between the two the pending one is all there is. */
int trust_places_settle(const struct trust_entry *e) {
        int r = trust_places_remove(e->image);

        if (r < 0 && r != -ENOENT)
                return r;
        if (is_listed(e))
                copy_entry(e);
        else {
                r = trust_places_add(e);
                if (r < 0)
                        return r;
        }
        return trust_remove(TRUST_PENDING_DIRECTORY, e->uuid);
}
