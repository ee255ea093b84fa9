/* SPDX-License-Identifier: Apache-2.0 */
#include "leftovers.h"

#include <dirent.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <unistd.h>

#include "common/image-volumes.h"
#include "machine-disk.h"

#define STATE "/var/lib/cmkd/"
#define DISKS "/dev/disk/by-uuid/"
#define KEYSLOTS_MAX 32u

/* ---- a header ---- */

static struct json_object *get(const struct json_object *o, const char *name, enum json_type type) {
        struct json_object *value = NULL;

        return json_object_object_get_ex(o, name, &value) && json_object_is_type(value, type) ? value : NULL;
}

static const char *get_text(const struct json_object *o, const char *name) {
        struct json_object *value = NULL;

        return json_object_object_get_ex(o, name, &value) ? strempty(json_object_get_string(value)) : "";
}

/* What a token is to the list: its keys and generations, this one is on it (1), another generation of one is (0), none (-1). */
static int rank(const struct trust_entry *v, const struct json_object *token) {
        const struct trust_key *k;
        struct key_uri key;
        uint64_t generation;

        k = key_uri_parse(get_text(token, "key"), &key, NULL) >= 0 ? trust_find_key(v, &key) : NULL;
        if (!k)
                return -1;
        return parse_u64(get_text(token, "generation"), INT64_MAX, &generation) >= 0 && generation == k->generation;
}

static void judge_token(const struct json_object *token, const char *number, const struct json_object *keyslots, const struct trust_entry *v,
                        bool *named, struct findings *l) {
        struct json_object *list = get(token, "keyslots", json_type_array);
        bool ours = streq(get_text(token, "type"), "cmkd");

        for (size_t i = 0; list && i < json_object_array_length(list); i++) {
                const char *slot = strempty(json_object_get_string(json_object_array_get_idx(list, i)));

                if (!get(keyslots, slot, json_type_object))
                        finding_add(l, FINDING_TOKEN_ALONE, "the header of volume %s has a token %s (%s) whose keyslot %s is not there", v->name,
                                    number, get_text(token, "type"), slot);
                else if (strtoul(slot, NULL, 10) < KEYSLOTS_MAX)
                        named[strtoul(slot, NULL, 10)] = true;
        }
        if (!ours)
                return;
        switch (rank(v, token)) {
        case -1:
                finding_add(l, FINDING_LEFT_OVER, "the header of volume %s has key %s, which is not on this node's list", v->name,
                            get_text(token, "key"));
                break;
        case 0:
                finding_add(l, FINDING_LEFT_OVER, "the header of volume %s has another generation (%s) of a key than this node's list, %s",
                            v->name, get_text(token, "generation"), get_text(token, "key"));
        }
}

/* What is being encrypted, reencrypted or decrypted: a requirement of the header's. */
static bool is_under_way(const struct json_object *metadata) {
        struct json_object *list = get(get(get(metadata, "config", json_type_object), "requirements", json_type_object), "mandatory", json_type_array);

        for (size_t i = 0; list && i < json_object_array_length(list); i++)
                if (strstr(strempty(json_object_get_string(json_object_array_get_idx(list, i))), "reencrypt"))
                        return true;
        return false;
}

static void judge_keyslots(const struct json_object *keyslots, const struct trust_entry *v, const bool *named, struct findings *l) {
        char numbers[128] = "";

        json_object_object_foreach((struct json_object *) keyslots, number, slot) {
                size_t n = strlen(numbers);

                if (strtoul(number, NULL, 10) < KEYSLOTS_MAX && !named[strtoul(number, NULL, 10)] && streq(get_text(slot, "type"), "luks2"))
                        snprintf(numbers + n, sizeof(numbers) - n, "%s%.2s", n > 0 ? ", " : "", number);
        }
        if (*numbers)
                finding_add(l, FINDING_OLD_KEYSLOT, "the header of volume %s has keyslots that no token names: %s", v->name, numbers);
}

void judge_header(const struct json_object *metadata, const struct trust_entry *v, const char *device, struct findings *l) {
        struct json_object *tokens = get(metadata, "tokens", json_type_object), *keyslots = get(metadata, "keyslots", json_type_object);
        bool named[KEYSLOTS_MAX] = {};

        if (!tokens || !keyslots)
                return;
        if (v && is_under_way(metadata) && v->unencrypted == 0)
                finding_add(l, FINDING_REENCRYPTION, "the header of volume %s says that it is being reencrypted", v->name);
        json_object_object_foreach(tokens, number, token) {
                if (v)
                        judge_token(token, number, keyslots, v, named, l);
                else if (streq(get_text(token, "type"), "cmkd"))
                        finding_add(l, FINDING_NOT_LISTED, "%s has the header of a volume %s, which is not on this node's list", device,
                                    get_text(token, "name"));
        }
        if (v && !is_under_way(metadata))
                judge_keyslots(keyslots, v, named, l);
}

/* ---- what there is ---- */

static bool is_luks2(const char *device) {
        _cleanup_(closep) int fd = open(device, O_RDONLY|O_CLOEXEC|O_NOCTTY|O_NONBLOCK);
        uint8_t head[8];

        return fd >= 0 && pread(fd, head, sizeof(head), 0) == sizeof(head) && memcmp(head, "LUKS\xba\xbe\0\2", sizeof(head)) == 0;
}

static void read_disk(const char *uuid, const struct trust_entry *v, struct findings *l) {
        struct json_object *metadata = NULL;
        char device[sizeof(DISKS) + 37];
        int r;

        snprintf(device, sizeof(device), DISKS "%s", uuid);
        if (access(device, F_OK) < 0 || (!v && !is_luks2(device)))
                return;
        r = disk_read_metadata(device, &metadata);
        if (r >= 0)
                judge_header(metadata, v, device, l);
        else if (v)
                finding_add(l, FINDING_HEADER_UNREAD, "the header of volume %s (%s) was not read: %s", v->name, device,
                            r == -EBADMSG ? "cryptsetup takes none for one" : strerror(-r));
        json_object_put(metadata);
}

static int read_listed(const char *root, const char *uuid, struct trust_entry *ret) {
        _cleanup_(freep) char *text = NULL;
        char path[PATH_MAX];
        size_t size;
        int r;

        snprintf(path, sizeof(path), "%s" STATE "trust/%s.conf", root, uuid);
        r = read_small_file(path, TRUST_FILE_MAX, &text, &size);
        return r < 0 ? r : trust_parse(uuid, text, size, ret, NULL);
}

struct search {
        const char *root;
        struct findings *findings;
};

static void each(const struct search *s, const char *directory, const char *suffix, void (*call)(const struct search *s, const char *uuid)) {
        _cleanup_(closedirp) DIR *d = NULL;
        char path[PATH_MAX], uuid[37];
        struct dirent *e;

        snprintf(path, sizeof(path), "%s%s", s->root, directory);
        d = opendir(path);
        while (d && (e = readdir(d))) {
                snprintf(uuid, sizeof(uuid), "%.36s", e->d_name);
                if (strlen(e->d_name) == 36 + strlen(suffix) && streq(e->d_name + 36, suffix) && uuid_is_valid(uuid))
                        call(s, uuid);
        }
}

static void on_listed(const struct search *s, const char *uuid) {
        struct trust_entry v;

        if (read_listed(s->root, uuid, &v) < 0)
                return;
        if (v.unencrypted > 0 && !v.rekeying)
                finding_add(s->findings, FINDING_ENCRYPTION, "of volume %s %llu bytes are not encrypted yet", v.name,
                            (unsigned long long) v.unencrypted);
        if (v.rekeying)
                finding_add(s->findings, FINDING_OLD_KEY, "of volume %s %llu bytes are under its old volume key yet", v.name,
                            (unsigned long long) v.unencrypted);
        if (trust_origin(&v) == ORIGIN_IMAGE)
                finding_add(s->findings, FINDING_IMAGE_KEY, "volume %s has the volume key of the image that it was copied with", v.name);
        if (!*s->root && geteuid() == 0)
                read_disk(uuid, &v, s->findings);
}

static void on_pending(const struct search *s, const char *uuid) {
        struct trust_entry v;

        if (read_listed(s->root, uuid, &v) == -ENOENT)
                finding_add(s->findings, FINDING_PENDING, STATE "personalize/%s.conf is of a volume that was to get a header of its own", uuid);
}

static void find_image_volumes(const char *root, struct findings *l) {
        struct image_volume v[IMAGE_VOLUMES_MAX];
        unsigned line;
        int n = image_volumes_read(root, v, &line);

        if (n < 0)
                finding_add(l, FINDING_IMAGE, IMAGE_VOLUMES_FILE " cannot be read%s: which volumes are an image's is not known",
                            line > 0 ? " for what a line of it says" : "");
        for (int i = 0; i < n; i++)
                finding_add(l, FINDING_IMAGE, IMAGE_VOLUMES_FILE " says that volume %s is an image's, UUID %s", v[i].name, v[i].uuid);
}

static void on_disk(const struct search *s, const char *uuid) {
        struct trust_entry v;

        if (read_listed(s->root, uuid, &v) == -ENOENT && !*s->root && geteuid() == 0)
                read_disk(uuid, NULL, s->findings);
}

static bool is_here(const struct search *s, const char *uuid) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s" DISKS "%s", s->root, uuid);
        return access(path, F_OK) >= 0;
}

static void on_staged(const struct search *s, const char *uuid) {
        struct trust_entry v = {};
        bool listed = read_listed(s->root, uuid, &v) >= 0;

        if (listed && v.unencrypted > 0 && !v.rekeying && is_here(s, uuid))
                return;
        finding_add(s->findings, FINDING_STAGED, STATE "encrypt/%s.header is of an encryption%s%s that did not begin or did not end", uuid,
                    listed ? " as volume " : "", v.name);
}

static void on_begun(const struct search *s, const char *uuid) {
        if (!is_here(s, uuid))
                finding_add(s->findings, FINDING_BEGUN, STATE "encrypt/%s.begun: the disk that it is of has had its beginning moved, and has no "
                            "header yet", uuid);
}

static void on_kept(const struct search *s, const char *uuid) {
        struct trust_entry v;

        if (is_here(s, uuid) || read_listed(s->root, uuid, &v) >= 0)
                finding_add(s->findings, FINDING_KEPT, STATE "backups/%s.luks1 is the header that was converted", uuid);
        else
                finding_add(s->findings, FINDING_CONVERSION, STATE "backups/%s.luks1 is the header of a disk that is not here, or has none now",
                            uuid);
}

void find_leftovers(const char *root, struct findings *l) {
        const struct search s = { .root = root, .findings = l };

        each(&s, STATE "trust", ".conf", on_listed);
        each(&s, DISKS, "", on_disk);
        each(&s, STATE "personalize", ".conf", on_pending);
        find_image_volumes(root, l);
        each(&s, STATE "encrypt", ".header", on_staged);
        each(&s, STATE "encrypt", ".begun", on_begun);
        each(&s, STATE "backups", ".luks1", on_kept);
}
