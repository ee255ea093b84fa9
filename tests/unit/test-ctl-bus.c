/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/bus.c daemon/ctl/bus-json.c daemon/ctl/volume.c daemon/ctl/volumes.c daemon/ctl/enroll.c daemon/ctl/calls.c daemon/ctl/names.c daemon/ctl/trust.c daemon/ctl/trust-list.c daemon/ctl/status.c daemon/ctl/status-uses.c daemon/ctl/status-watch.c daemon/ctl/node-state.c daemon/ctl/scratch.c daemon/ctl/trail-state.c daemon/ctl/boot-chain.c daemon/ctl/rotate.c daemon/ctl/rekey.c
// sources: daemon/ctl/options.c daemon/ctl/print.c daemon/ctl/patience.c daemon/ctl/wait.c daemon/ctl/pause.c daemon/ctl/when.c daemon/ctl/header.c daemon/ctl/takeover.c daemon/ctl/keys-usage.c daemon/ctl/keys-pinned.c
// sources: daemon/ctl/attach-udev.c daemon/ctl/udev.c daemon/ctl/crypttab.c daemon/ctl/cut.c daemon/ctl/excess.c daemon/ctl/worker.c
// libs: libsystemd json-c
#include "ctl-capture.h"
#include "ctl/boot-chain.h"
#include "ctl/bus.h"
#include "ctl/print.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>          /* behind all that declares fail(): it has a macro of that name */

#include "ctl-bus-daemon.h"  /* asserts */

static void refusals_become_exit_codes(void **state _unused_) {
        struct captured *c;

        c = RUN(verb_attach, "busy");
        assert_int_equal(c->code, EXIT_CODE_BUSY);
        assert_string_equal(c->err, "cmkctl: busy is mounted at /srv: unmount it first\n");
        assert_string_equal(c->out, "");
        tear_down(NULL);
        assert_int_equal(RUN(verb_detach, "policy")->code, EXIT_CODE_POLICY);
        tear_down(NULL);
        assert_int_equal(RUN(verb_hold, "revoked")->code, EXIT_CODE_REVOKED);
        tear_down(NULL);
        assert_int_equal(RUN(verb_cut, "busy", "--yes")->code, EXIT_CODE_BUSY);
        tear_down(NULL);
        assert_int_equal(RUN(verb_trust_remove, "policy", "--yes")->code, EXIT_CODE_POLICY);
}

static void a_daemon_that_goes_is_said(void **state _unused_) {
        struct captured *c = RUN(verb_detach, "gone");

        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->err, "went away"));
}

static void one_failure_is_an_object(void **state _unused_) {
        struct captured *c = RUN(verb_hold, "revoked", "--json");
        struct json_object *o = json_tokener_parse(c->out);

        assert_int_equal(c->code, EXIT_CODE_REVOKED);
        assert_string_equal(json_text(o, "volume"), "revoked");
        assert_string_equal(json_text(o, "error"), "the key is disabled");
        assert_int_equal(json_number(o, "exit_code"), EXIT_CODE_REVOKED);
        json_object_put(o);
        tear_down(NULL);
        c = RUN(verb_hold, "data", "--json");          /* its answer has another shape */
        o = json_tokener_parse(c->out);
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(json_text(o, "error"), "not understood"));
        json_object_put(o);
        tear_down(NULL);
        c = RUN(verb_attach, "--all", "data");
        assert_int_equal(c->code, EXIT_CODE_USAGE);
        assert_non_null(strstr(c->err, "exclude each other"));
        c = RUN(verb_pause, "--end", "--until", "5min");
        assert_int_equal(c->code, EXIT_CODE_USAGE);
        assert_non_null(strstr(c->err, "exclude each other"));
}

static void another_shape_is_not_believed(void **state _unused_) {
        struct captured *c = RUN(verb_hold, "data");

        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->err, "not understood"));
}

static void attach_and_detach_say_what_was_done(void **state _unused_) {
        assert_string_equal(RUN(verb_attach, "data")->out, "data is open as /dev/mapper/data\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_attach, "data", "--read-only")->out,
                            "data is open as /dev/mapper/data[read-only=1]\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_attach, "again")->out, "again is open already as /dev/mapper/again\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_detach, "data")->out, "data is closed\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_detach, "again", "--json")->out,
                            "{\n  \"volume\": \"again\",\n  \"changed\": false\n}\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_resume, "data")->out, "data is open\n");
}

static void keys_are_enrolled_one_by_one(void **state _unused_) {
        struct captured *c;

        assert_string_equal(RUN(verb_enroll, "data", "--key", "https://v/keys/a", "--key=https://v/keys/known")->out,
                            "data: key https://v/keys/a opens it too now\n"
                            "data has key https://v/keys/known already; nothing was changed\n");
        tear_down(NULL);
        assert_int_equal(RUN(verb_enroll, "data", "--key", "https://v/keys/unsafe", "--accept-unsafe-vault", "a test")->code, 0);
        tear_down(NULL);
        assert_string_equal(RUN(verb_enroll, "data", "--remove", "https://v/keys/out", "--yes")->out,
                            "data: key https://v/keys/out is taken out\n");
        tear_down(NULL);
        assert_non_null(strstr(RUN(verb_enroll, "data", "--key", "https://v/keys/known", "--json")->out, "\"changed\": false"));
        tear_down(NULL);
        assert_int_equal(RUN(verb_enroll, "busy", "--key", "https://v/keys/a")->code, EXIT_CODE_BUSY);
        tear_down(NULL);
        /* no typing error reaches the daemon */
        assert_int_equal(RUN(verb_enroll, "data")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_enroll, "data", "--key", "https://v/keys/a", "--key", "v/keys/b")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_enroll, "data", "--remove", "https://v/keys/a", "--key", "https://v/keys/b")->code,
                         EXIT_CODE_USAGE);
        c = RUN(verb_enroll, "data", "--remove", "https://v/keys/out");
        assert_int_equal(c->code, EXIT_CODE_USAGE);
        assert_non_null(strstr(c->err, "its owner cannot revoke it"));
}

static void a_key_is_rotated(void **state _unused_) {
        struct captured *c;

        assert_string_equal(RUN(verb_rotate, "data")->out, "data: its key is https://v/keys/a/2 now\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_rotate, "again")->out, "again: its key is https://v/keys/a/2 already; nothing was changed\n");
        tear_down(NULL);
        assert_non_null(strstr(RUN(verb_rotate, "data", "--key", "https://v/keys/b", "--key-version", "7", "--finish", "--yes")->out,
                               "https://v/keys/b[version=7][finish=1] now"));
        tear_down(NULL);
        assert_non_null(strstr(RUN(verb_rotate, "root")->out, "root: https://v/keys/a/1 still opens it, for an initramfs"));
        tear_down(NULL);
        c = RUN(verb_rotate, "root", "--json");
        assert_non_null(strstr(c->out, "\"kept\": \"https://v/keys/a/1\""));
        tear_down(NULL);
        assert_int_equal(RUN(verb_rotate, "busy")->code, EXIT_CODE_BUSY);
        tear_down(NULL);
        c = RUN(verb_rotate, "data", "--finish");
        assert_int_equal(c->code, EXIT_CODE_USAGE);
        assert_non_null(strstr(c->err, "does not open it any more"));
        assert_int_equal(RUN(verb_rotate, "data", "--key", "https://v/keys/a", "--key", "https://v/keys/b")->code, EXIT_CODE_USAGE);
}

static void headers(void **state _unused_) {
        char path[] = "/tmp/test-ctl-bus.XXXXXX", text[8] = "";
        struct captured *c;
        int fd;

        fd = mkstemp(path);
        assert_return_code(fd, errno);
        c = RUN(verb_rotate, "data", "--header-backup", path);      /* it is there already: nothing else is done */
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->err, "is there already"));
        assert_string_equal(c->out, "");
        tear_down(NULL);
        assert_int_equal(RUN(verb_header_restore, "data", path)->code, EXIT_CODE_USAGE);      /* nobody to ask */
        tear_down(NULL);
        assert_non_null(strstr(RUN(verb_header_restore, "data", path, "--yes", "--allow-older", "--wipe")->out, "data[older][wipe] has the header of"));
        tear_down(NULL);
        assert_non_null(strstr(RUN(verb_header_restore, "same", path, "--yes")->out, "already; nothing was changed"));
        tear_down(NULL);
        (void) unlink(path);
        close(fd);
        assert_int_equal(RUN(verb_header_restore, "data", path, "--yes")->code, EXIT_CODE_FAILED);
        tear_down(NULL);
        c = RUN(verb_enroll, "refused", "--key", "https://v/keys/a", "--header-backup", path);
        assert_int_equal(c->code, EXIT_CODE_POLICY);
        assert_int_equal(access(path, F_OK), -1);
        tear_down(NULL);
        c = RUN(verb_rotate, "data", "--header-backup", path);
        assert_non_null(strstr(c->out, "its key is"));
        assert_non_null(strstr(c->err, "destroy it"));
        fd = open(path, O_RDONLY|O_CLOEXEC);
        assert_int_equal(read(fd, text, sizeof(text)), 4);
        assert_string_equal(text, "data");
        close(fd);
        (void) unlink(path);
}

static void what_needs_a_key(void **state _unused_) {
        struct captured *c;

        c = RUN(verb_keys_usage, "https://v/keys/a/1");
        assert_non_null(strstr(c->out, "2027-01-15 08:00:00Z"));
        assert_non_null(strstr(c->out, "1 of this node's volumes needs https://v/keys/a/1\n1 may need it: its disk is not here"));
        tear_down(NULL);
        assert_string_equal(RUN(verb_keys_usage, "https://v/keys/unused")->out, "no volume that is here needs https://v/keys/unused\n");
        tear_down(NULL);
        assert_non_null(strstr(RUN(verb_keys_usage, "--json")->out, "\"newest\": \"https://v/keys/a/2\""));
        tear_down(NULL);
        assert_int_equal(RUN(verb_keys_usage, "no key")->code, EXIT_CODE_USAGE);
}

static void what_is_pinned(void **state _unused_) {
        assert_string_equal(RUN(verb_keys_pinned, "https://v/keys/a")->out, "VOLUME  PINNED                PUBLIC KEY       KEY\n"
                            "data    2027-01-15 08:00:00Z  sha256:ab12      https://v/keys/a/1\n"
                            "away    2027-01-15 08:00:00Z  none: symmetric  https://v/keys/b\n");
        tear_down(NULL);
        assert_non_null(strstr(RUN(verb_keys_pinned, "--json")->out, "\"spki_sha256\": \"ab12\""));
}

#define DIGEST "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void what_is_expected_of_a_key(void **state _unused_) {
        struct captured *c;

        assert_non_null(strstr(RUN(verb_rotate, "data", "--expect-public-key", DIGEST)->out, "[expect-public-key=" DIGEST "] now"));
        tear_down(NULL);
        assert_non_null(strstr(RUN(verb_enroll, "data", "--key", "https://v/keys/a", "--expect-public-key", DIGEST)->err,
                               "[expect-public-key=" DIGEST "]"));
        tear_down(NULL);
        c = RUN(verb_rotate, "data", "--expect-public-key", DIGEST "0");
        assert_int_equal(c->code, EXIT_CODE_USAGE);
        assert_non_null(strstr(c->err, "64 hexadecimal digits"));
        tear_down(NULL);
        assert_int_equal(RUN(verb_enroll, "data", "--key", "https://v/k", "--key", "https://v/l", "--expect-public-key", DIGEST)->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_enroll, "data", "--remove", "https://v/keys/out", "--expect-public-key", DIGEST, "--yes")->code, EXIT_CODE_USAGE);
}

static void what_others_changed_is_enrolled(void **state _unused_) {
        struct captured *c;

        assert_int_equal(RUN(verb_header_accept, "data")->code, EXIT_CODE_USAGE);        /* nobody to ask */
        tear_down(NULL);
        assert_string_equal(RUN(verb_header_accept, "data", "--dry-run")->out, "data: not enrolled: keyslot 2[look]\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_header_accept, "data", "--yes")->out, "data: enrolled from now on: keyslot 2\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_header_accept, "same", "--yes")->out, "same has the header that was enrolled; nothing was changed\n");
        tear_down(NULL);
        c = RUN(verb_header_accept, "data", "--dry-run", "--json");
        assert_non_null(strstr(c->out, "\"changed\": false"));
        assert_non_null(strstr(c->out, "\"what\": \"keyslot 2[look]\""));
}

static void a_key_takes_the_place_of_another(void **state _unused_) {
        struct captured *c;

        assert_string_equal(RUN(verb_rekey, "data", "--key", "https://v/keys/a", "--from", "https://v/keys/out", "--yes")->out,
                            "data: its key is https://v/keys/a now\n");
        tear_down(NULL);
        c = RUN(verb_rekey, "data", "--key", "https://v/keys/a", "--from", "https://v/keys/out", "--yes", "--json");
        assert_non_null(strstr(c->out, "\"removed\": \"https://v/keys/out\""));
        tear_down(NULL);
        /* the only other one that the list has is the one that goes */
        c = RUN(verb_rekey, "data", "--key", "https://v/keys/a");
        assert_int_equal(c->code, EXIT_CODE_USAGE);
        assert_non_null(strstr(c->err, "https://a/keys/b does not open data any more"));
        tear_down(NULL);
        /* interrupted after the old one had gone */
        assert_string_equal(RUN(verb_rekey, "data", "--key", "https://a/keys/b")->out, "data: its key is https://a/keys/b now\n");
        tear_down(NULL);
        assert_int_equal(RUN(verb_rekey, "nobody", "--key", "https://v/keys/a", "--yes")->code, EXIT_CODE_POLICY);
        tear_down(NULL);
        assert_int_equal(RUN(verb_rekey, "data", "--key", "https://v/keys/a/2", "--from", "https://v/keys/a/1", "--yes")->code,
                         EXIT_CODE_USAGE);
        tear_down(NULL);
        assert_int_equal(RUN(verb_rekey, "/dev/sda", "--key", "https://v/keys/a", "--yes")->code, EXIT_CODE_USAGE);
}

static void several_are_in_flight_at_once(void **state _unused_) {
        struct captured *c = RUN(verb_attach, "late", "data", "again");

        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_string_equal(c->out, "data is open as /dev/mapper/data\nlate is open as /dev/mapper/late\n"
                                    "again is open already as /dev/mapper/again\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_detach, "data", "again")->out, "data is closed\nagain is closed already\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_attach, "--all")->out, "data is open as /dev/mapper/data\naway is open as /dev/mapper/away\n");
}

static void one_that_fails_stops_no_other(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        struct captured *c = RUN(verb_attach, "data", "revoked", "busy", "again");

        assert_int_equal(c->code, EXIT_CODE_REVOKED);          /* the first in this order */
        assert_string_equal(c->out, "data is open as /dev/mapper/data\nagain is open already as /dev/mapper/again\n");
        assert_string_equal(c->err, "cmkctl: revoked: the key is disabled\n"
                                    "cmkctl: busy is mounted at /srv: unmount it first\n");
        tear_down(NULL);
        c = RUN(verb_attach, "data", "busy", "revoked", "--json");
        assert_int_equal(c->code, EXIT_CODE_BUSY);
        o = json_tokener_parse(c->out);
        assert_int_equal(json_object_array_length(o), 3);
        assert_string_equal(json_text(json_object_array_get_idx(o, 0), "node"), "/dev/mapper/data");
        assert_string_equal(json_text(json_object_array_get_idx(o, 2), "error"), "the key is disabled");
        assert_string_equal(json_text(json_object_array_get_idx(o, 1), "error"), "busy is mounted at /srv: unmount it first");
        assert_int_equal(json_number(json_object_array_get_idx(o, 2), "exit_code"), EXIT_CODE_REVOKED);
        tear_down(NULL);
        c = RUN(verb_detach, "data", "gone", "again");
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_string_equal(c->out, "data is closed\n");
        assert_non_null(strstr(c->err, "gone: cmkd went away"));
        assert_non_null(strstr(c->err, "again: cmkd went away"));
}

static void the_plan_is_only_shown(void **state _unused_) {
        struct captured *c = RUN(verb_cut, "data", "--dry-run");

        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "data: cut. Nothing was done"));
        assert_non_null(strstr(c->out, "    7.5 s     stop     units\n              unit db.service\n"));
        assert_non_null(strstr(c->out, "   10.0 s     notice   SIGTERM\n              process x?[2J (1), db.service -- spared: process 1\n"));
        assert_non_null(strstr(c->out, "              process x?[2J (20), db.service\n              and 2 more: see --json\n"));
        assert_null(strstr(c->out, "(21)"));
        assert_non_null(strstr(c->out, "Of 500 of the kind process, 22 are listed.\n"));
        assert_null(strstr(c->out, "kind mount"));
        assert_non_null(strstr(c->out, "note: a note\n"));
        tear_down(NULL);
        assert_string_equal(RUN(verb_cut, "data", "--yes")->out,
                            "STEP  BUDGET   RESULT\nshut  300 ms   done\ncut   2000 ms  done\n");
}

static void the_plan_as_json(void **state _unused_) {
        struct captured *c = RUN(verb_cut, "data", "--dry-run", "--json");
        _cleanup_(json_object_putp) struct json_object *o = json_tokener_parse(c->out);
        struct json_object *list, *x;

        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_string_equal(json_text(o, "volume"), "data");
        assert_string_equal(json_text(o, "action"), "cut");
        assert_true(json_object_object_get_ex(o, "steps", &list));
        assert_int_equal(json_object_array_length(list), 3);
        assert_int_equal(json_number(json_object_array_get_idx(list, 2), "by_usec"), 15750000);
        assert_true(json_object_object_get_ex(o, "takes", &list));
        assert_int_equal(json_object_array_length(list), 23);
        x = json_object_array_get_idx(list, 1);
        assert_string_equal(json_text(x, "kind"), "process");
        assert_string_equal(json_text(x, "unit"), "db.service");
        assert_string_equal(json_text(x, "spared"), "process 1");
        assert_int_equal(json_number(x, "pid"), 1);
        assert_true(json_object_object_get_ex(o, "totals", &x));
        assert_int_equal(json_number(x, "process"), 500);
}

static void a_pause_says_until_when(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        uint64_t now = instant_now().realtime_usec, until;
        struct captured *c;

        c = RUN(verb_pause, "data", "--until", "2h", "--yes");
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "data is paused until 2"));
        tear_down(NULL);
        o = json_tokener_parse(RUN(verb_pause, "--until", "+30min", "--yes", "--json")->out);
        assert_int_equal(json_object_array_length(o), 2);
        assert_string_equal(json_text(json_object_array_get_idx(o, 1), "volume"), "two");
        until = json_number(json_object_array_get_idx(o, 0), "paused_until_usec");
        assert_in_range(until, now + 1800 * USEC_PER_SEC, now + 1900 * USEC_PER_SEC);
        tear_down(NULL);
        c = RUN(verb_pause, "policy", "--until", "25h", "--yes");
        assert_int_equal(c->code, EXIT_CODE_POLICY);
        assert_string_equal(c->out, "");
}

static void a_pause_is_ended(void **state _unused_) {
        assert_string_equal(RUN(verb_pause, "data", "--end")->out, "data is not paused any more\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_pause, "--end")->out, "one is not paused any more\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_pause, "again", "--end")->out, "again is not paused\n");
        tear_down(NULL);
        /* json-c 0.16 and 0.18 lay out an empty list differently */
        const char *none = RUN(verb_pause, "again", "--end", "--json")->out;

        assert_true(streq(none, "[]\n") || streq(none, "[\n]\n"));
        tear_down(NULL);
        assert_non_null(strstr(RUN(verb_pause, "data", "--end", "--json")->out, "\"paused_until_usec\": null"));
}

static void a_pause_is_asked_about_first(void **state _unused_) {
        struct captured *c = RUN(verb_pause, "data", "--until", "2h");

        assert_int_equal(c->code, EXIT_CODE_USAGE);
        assert_non_null(strstr(c->err, "--yes"));
        c = RUN(verb_pause, "data", "--until", "2020-01-01", "--yes");
        assert_int_equal(c->code, EXIT_CODE_USAGE);
        assert_non_null(strstr(c->err, "in the past"));
        assert_int_equal(RUN(verb_pause, "data", "--until", "0s", "--yes")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_pause, "data", "--until", "30", "--yes")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_pause, "data", "--until", "soon", "--yes")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_pause, "data", "--yes")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_pause, "data", "--until", "2h", "--end", "--yes")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_pause, "a/b", "--until", "2h", "--yes")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_pause, "", "--until", "2h", "--yes")->code, EXIT_CODE_USAGE);
        assert_int_equal(server, 0);
}

static void nothing_is_asked_of_the_daemon_for_a_typing_error(void **state _unused_) {
        assert_int_equal(RUN(verb_detach, "a/b")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_attach, "-")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_attach, "data", "a/b")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_attach, "data", "--all")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN_BARE(verb_attach)->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_attach, "data", "again", "--udev")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_attach, "../x")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_attach, "a\nb")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_attach, "/etc/passwd")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_attach, "/dev/null")->code, EXIT_CODE_FAILED);
        assert_int_equal(RUN(verb_cut, "data")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_trust_remove, "a b", "--yes")->code, EXIT_CODE_USAGE);
        assert_int_equal(server, 0);
}

static void bad_keys_are_named(void **state _unused_) {
        static const struct { const char *key, *why; } cases[] = {
                { "http://a/keys/b", "the scheme must be https://" }, { "https://a/secrets/b", "the path is not" },
                { "https://a:0/keys/b", "port" }, { "https://u@a/keys/b", "host" }, { "https://a/keys/b/c/d", "more than" },
                { "https://a/keys/b?x", "name" }, { "", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct captured *c = RUN(verb_format, "/dev/null", "--yes", "--name", "x", "--key", cases[i].key);

                assert_int_equal(c->code, EXIT_CODE_USAGE);
                assert_non_null(strstr(c->err, cases[i].why));
        }
        assert_int_equal(RUN(verb_format, "/dev/null", "--yes", "--name", "x")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_format, "/dev/null", "--yes", "--name", "x", "--vault", "a")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_format, "/dev/null", "--yes", "--name", "x", "--vault", "a/keys", "--key-name",
                             "b")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_format, "/dev/null", "--yes", "--key", "https://a/keys/b")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_format, "/dev/null", "--yes", "--name", "x", "--role", "root", "--key",
                             "https://a/keys/b")->code, EXIT_CODE_USAGE);
        assert_int_equal(server, 0);
}

/* Any block device does: it is only looked at. */
static void find_block_device(char *buf, size_t size) {
        glob_t g = {};
        struct stat st;

        *buf = 0;
        (void) glob("/dev/*", 0, NULL, &g);
        for (size_t i = 0; i < g.gl_pathc && !*buf; i++)
                if (stat(g.gl_pathv[i], &st) == 0 && S_ISBLK(st.st_mode))
                        snprintf(buf, size, "%s", g.gl_pathv[i]);
        globfree(&g);
}

static void format_passes_on_what_was_asked(void **state _unused_) {
        char device[64];
        struct captured *c;

        find_block_device(device, sizeof(device));
        if (!*device)
                skip();
        assert_int_equal(RUN(verb_format, device, "--name", "x", "--key", "https://a/keys/b")->code, EXIT_CODE_USAGE);
        assert_int_equal(server, 0);
        c = RUN(verb_format, device, "--yes", "--name", "x", "--vault", "a:8443", "--key-name", "b", "--key-version", "c1");
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "UUID x data https://a:8443/keys/b/c1 \n"));
        tear_down(NULL);
        c = RUN(verb_format, device, "-y", "-n", "again", "-r", "scratch", "-k", "https://a/keys/b", "--wipe",
                "--accept-unsafe-vault", "a test", "--json");
        assert_non_null(strstr(c->out, "again scratch https://a/keys/b [wipe=1][accept-unsafe-vault=a test]\""));
        assert_non_null(strstr(c->out, "\"changed\": false"));
}

static void status_shows_what_there_is(void **state _unused_) {
        struct captured *c;
        char line[256];

        c = RUN_BARE(verb_status);
        snprintf(line, sizeof(line), "\nboot: %s\n", boot_chain_text(boot_chain_secure(""), boot_chain_unified("")));
        assert_non_null(strstr(c->out, line));
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "audit AuditState"));
        assert_non_null(strstr(c->out, "init_on_free=1"));
        assert_non_null(strstr(c->out, "data  open?[2J, paused until 2027-01-15 "));
        assert_non_null(strstr(c->out, "1min 15s"));
        assert_non_null(strstr(c->out, "\nswap     closed  -                    /dev/vdc  swap\n"));
        assert_null(strchr(c->out, '\033'));
        tear_down(NULL);
        c = RUN(verb_status, "data");
        assert_non_null(strstr(c->out, "policy       OnRevoked=cut (default)\n"));
        assert_non_null(strstr(c->out, "finding      a foreign keyslot\n"));
        assert_non_null(strstr(c->out, "paused       until 2027-01-15 "));
        assert_null(strstr(c->out, "proof"));
        assert_null(strstr(c->out, "tmp"));
        tear_down(NULL);
        c = RUN(verb_status, "tmp");
        assert_non_null(strstr(c->out, "tmp\n  state        open\n"));
        assert_non_null(strstr(c->out, "  key          made 2027-01-15 "));
        assert_null(strstr(c->out, "policy"));
        tear_down(NULL);
        c = RUN(verb_status, "nobody");
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->err, "no volume nobody"));
        tear_down(NULL);
        c = RUN(verb_status, "away");
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->err, "away is on this node's list, and closed"));
}

/* Each look is one line; none before something changed. */
static void status_is_watched(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *first = NULL;
        struct captured *c;
        char *end;

        watched = true;
        c = RUN(verb_status, "--watch", "--json");
        watched = false;
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->err, "cmkd went away"));
        end = strchr(c->out, '\n');
        assert_non_null(end);
        *end = 0;
        first = json_tokener_parse(c->out);
        assert_true(json_object_is_type(first, json_type_object));
        assert_int_equal(end[1], 0);
}

static void status_as_json(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        struct json_object *list, *v, *policy;

        o = json_tokener_parse(RUN(verb_status, "--json", "11111111-2222-4333-8444-555555555555")->out);
        assert_non_null(o);
        assert_true(json_object_object_get_ex(o, "manager", &v));
        assert_string_equal(json_text(v, "boot_chain"), boot_chain_text(boot_chain_secure(""), boot_chain_unified("")));
        assert_true(json_object_object_get_ex(o, "volumes", &list));
        assert_int_equal(json_object_array_length(list), 1);
        v = json_object_array_get_idx(list, 0);
        assert_string_equal(json_text(v, "uuid"), "11111111-2222-4333-8444-555555555555");
        assert_int_equal(json_number(v, "lease_left_sec"), 75);
        assert_true(json_number(v, "paused_until_usec") == UINT64_C(1800000000) * USEC_PER_SEC);
        assert_true(json_number(v, "seconds_since_proof") == UINT64_MAX);
        assert_true(json_object_object_get_ex(v, "seconds_since_proof", NULL));
        assert_true(json_object_object_get_ex(v, "policy", &policy));
        assert_string_equal(json_text(policy, "OnRevoked"), "cut (default)");
}

static void scratch_disks_are_made_and_removed(void **state _unused_) {
        struct captured *c;

        assert_string_equal(RUN(verb_scratch_create, "tmp")->out, "tmp is open as /dev/mapper/tmp\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_scratch_create, "again")->out, "again is already open as /dev/mapper/again\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_scratch_create, "tmp", "--wipe", "--yes")->out, "tmp is open as /dev/mapper/tmp[wipe=1]\n");
        tear_down(NULL);
        c = RUN(verb_scratch_renew, "tmp", "--yes", "--json");
        assert_non_null(strstr(c->out, "\"node\": \"/dev/mapper/tmp\""));
        assert_non_null(strstr(c->out, "\"changed\": true"));
        tear_down(NULL);
        assert_int_equal(RUN(verb_scratch_renew, "busy", "--yes")->code, EXIT_CODE_BUSY);
        tear_down(NULL);
        assert_string_equal(RUN(verb_scratch_remove, "tmp", "-y")->out, "tmp is closed, its key is gone\n");
}

/* Without a terminal whatever destroys is asked for in words. */
static void scratch_disks_are_asked_about_first(void **state _unused_) {
        assert_int_equal(RUN(verb_scratch_create, "tmp", "--wipe")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_scratch_renew, "tmp")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_scratch_remove, "tmp")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_scratch_create, "a/b")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_scratch_create, "tmp", "--wait", "x")->code, EXIT_CODE_USAGE);
        assert_int_equal(server, 0);
}

static void the_list_of_trust(void **state _unused_) {
        assert_string_equal(RUN_BARE(verb_trust_list)->out,
                            "NAME  ROLE  GENERATION  SOURCE  UUID                                  KEY\n"
                            "data  data  3           node    11111111-2222-4333-8444-555555555555  https://a/keys/b\n"
                            "away  data  1           node    33333333-2222-4333-8444-555555555555  https://a/keys/b\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_trust_remove, "data", "--yes")->out, "data is off the list\n");
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(refusals_become_exit_codes), TEST(a_daemon_that_goes_is_said), TEST(one_failure_is_an_object), TEST(another_shape_is_not_believed),
                TEST(attach_and_detach_say_what_was_done), TEST(keys_are_enrolled_one_by_one), TEST(a_key_is_rotated), TEST(headers), TEST(what_needs_a_key),
                TEST(what_is_pinned), TEST(what_is_expected_of_a_key),
                TEST(what_others_changed_is_enrolled), TEST(a_key_takes_the_place_of_another), TEST(several_are_in_flight_at_once), TEST(one_that_fails_stops_no_other),
                TEST(the_plan_is_only_shown), TEST(the_plan_as_json),
                TEST(a_pause_says_until_when), TEST(a_pause_is_ended), TEST(a_pause_is_asked_about_first),
                TEST(nothing_is_asked_of_the_daemon_for_a_typing_error), TEST(bad_keys_are_named),
                TEST(format_passes_on_what_was_asked), TEST(status_shows_what_there_is), TEST(status_as_json), TEST(status_is_watched),
                TEST(scratch_disks_are_made_and_removed), TEST(scratch_disks_are_asked_about_first),
                TEST(the_list_of_trust),
        };

        return cmocka_run_group_tests_name("ctl-bus", tests, NULL, NULL);
}
