/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A trail in a directory of its own, written by the real code, for tests of what reads one. Include it after cmocka.h. */

#include "audit/trail.h"

#include <syslog.h>

#define UUID "7411100d-d1ed-43c9-95e3-833d376054ea"
#define DM_UUID "CRYPT-LUKS2-7411100dd1ed43c995e3833d376054ea-data1"
#define USE "bbad6906-f311-4d54-bf2c-d69b2835ccc6"
#define KEY "https://vault.test/keys/k1/62854e943ac0469f8258f52e7985d0d5"

static char dir[64], trail_file[80];
static struct trail *trail;

static inline int set_up(void **state _unused_) {
        struct trail_recovery recovery;

        snprintf(dir, sizeof(dir), "/tmp/test-review.XXXXXX");
        if (!mkdtemp(dir) || trail_open(dir, &trail, &recovery) < 0)
                return -1;
        snprintf(trail_file, sizeof(trail_file), "%s/trail.jsonl", dir);
        return 0;
}

static inline int tear_down(void **state _unused_) {
        char command[96];

        trail = trail_free(trail);
        snprintf(command, sizeof(command), "rm -r %s", dir);
        return system(command);
}

/* fields: "name=value" pairs, NULL last. Each record is a second after the one before. */
static inline void write_record(enum record_source source, const char *event, const char *const *fields) {
        static struct audit_message_record m;
        uint64_t sequence;
        bool kept;

        audit_record_start(&m, event, LOG_INFO, true);
        for (; *fields; fields++) {
                char name[64];
                size_t n = strcspn(*fields, "=");

                snprintf(name, sizeof(name), "%.*s", (int) n, *fields);
                audit_record_add(&m, name, *fields + n + 1);
        }
        m.realtime_usec = (UINT64_C(1700000000) + trail_sequence(trail)) * USEC_PER_SEC;
        assert_int_equal(trail_append(trail, &m, source, NULL, &sequence), 0);
        assert_int_equal(trail_commit(trail, true, &kept), 0);
}

#define DAEMON(event, ...) write_record(RECORD_DAEMON, event, (const char *const[]) { __VA_ARGS__, NULL })
#define KERNEL(event, ...) write_record(RECORD_KERNEL, event, (const char *const[]) { \
        "volume=data1", "dm_uuid=" DM_UUID, "uuid=" UUID, "result=ok", __VA_ARGS__, NULL })
#define CMKD "by=cmkd", "comm=cmkd-disk", "exe=/usr/lib/cmkd/cmkd-disk", "cgroup=/system.slice/cmkd.service", "uid=0"
#define OTHER(program) "by=other", "comm=x", "exe=" program, "cgroup=/user.slice/session-3.scope", "uid=0", "loginuid=1000"

static inline void release(void) {
        DAEMON("release", "volume=data1", "uuid=" UUID, "use=" USE, "key=" KEY, "verb=attach", "verdict=GRANTED", "request_id=r1");
}

/* The story of the demo: attached, used, revoked, cut; then somebody reads what is open. */
static inline void write_story(void) {
        DAEMON("request", "volume=data1", "uuid=" UUID, "use=" USE, "verb=attach", "by=uid=0 loginuid=1000 pid=9 comm=cmkctl");
        DAEMON("verdict", "key=" KEY, "verdict=GRANTED", "counted_as=GRANTED", "volume=data1", "round_trip_usec=2000");
        release();
        KERNEL("key_set", "key=keyring", "use=" USE, CMKD);
        DAEMON("attached", "volume=data1", "uuid=" UUID, "use=" USE, "key=" KEY);
        KERNEL("volume_open", "mode=write", "use=" USE, OTHER("/usr/bin/mount"));
        KERNEL("volume_open", "mode=read", "use=" USE, OTHER("/usr/bin/dd"));
        KERNEL("volume_open", "mode=read", "use=" USE, OTHER("/usr/bin/dd"));
        DAEMON("verdict", "key=" KEY, "verdict=REVOKED", "counted_as=REVOKED", "volume=data1", "round_trip_usec=4000");
        DAEMON("cut", "volume=data1", "uuid=" UUID, "use=" USE, "step=cut");
        DAEMON("removed", "volume=data1", "uuid=" UUID, "use=" USE, "cause=revoked");
}
