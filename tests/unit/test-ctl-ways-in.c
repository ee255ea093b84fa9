/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/bus.c daemon/ctl/bus-json.c daemon/ctl/volume.c daemon/ctl/names.c daemon/ctl/enroll.c daemon/ctl/takeover.c daemon/ctl/header.c daemon/ctl/excess.c daemon/ctl/worker.c
// sources: daemon/ctl/recovery-key.c daemon/ctl/qr.c daemon/ctl/encrypt.c daemon/ctl/node-state.c daemon/ctl/trust-list.c daemon/ctl/options.c daemon/ctl/print.c daemon/ctl/patience.c daemon/ctl/wait.c daemon/ctl/volumes.c daemon/ctl/calls.c daemon/ctl/attach-udev.c daemon/ctl/udev.c daemon/ctl/crypttab.c
// libs: libsystemd json-c

/* The verbs that change what opens a volume: enroll of another's volume, recovery-key, personalize. */

#include "ctl-capture.h"
#include "ctl/bus.h"
#include "ctl/print.h"

#include "common/image-volumes.h"

#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>          /* behind all that declares fail(): it has a macro of that name */

#include "ctl-bus-daemon.h"  /* asserts */

/* Its file is in the directory that the test is in. */
#undef IMAGE_VOLUMES_FILE
#define IMAGE_VOLUMES_FILE "personalize"
#define image_volumes_read(root, volumes, line) read_here(volumes, line)

static int read_here(struct image_volume ret[static IMAGE_VOLUMES_MAX], unsigned *ret_line) {
        _cleanup_(freep) char *text = NULL;
        int r = read_small_file(IMAGE_VOLUMES_FILE, 4096, &text, NULL);

        return r < 0 ? r : image_volumes_parse(text, ret, ret_line);
}

#undef fail
#include "../../daemon/ctl/personalize.c"

/* In place of the C library's: what the disk of standard output says. */
static int sync_error;
static unsigned synced;

int fsync(int fd _unused_) {
        synced++;
        errno = sync_error;
        return sync_error ? -1 : 0;
}

#define DIGEST "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void a_volume_is_taken_over(void **state _unused_) {
        struct captured *c;

        c = RUN(verb_enroll, "data", "--from-ade", "--name", "data", "--key", "https://v/keys/a", "--yes");
        assert_int_equal(c->code, EXIT_CODE_USAGE);
        assert_non_null(strstr(c->err, "--passphrase-file"));
        tear_down(NULL);
        assert_int_equal(RUN(verb_enroll, "data", "--name", "data", "--key", "https://v/keys/a")->code, EXIT_CODE_USAGE);
        tear_down(NULL);
        assert_int_equal(RUN(verb_enroll, "data", "--remove-old-keyslots")->code, EXIT_CODE_USAGE);
        tear_down(NULL);
        assert_int_equal(RUN(verb_enroll, "data", "--remove-old-keyslots", "--yes", "--remove", "https://v/keys/a")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_enroll, "data", "--remove-old-keyslots", "--yes", "--key", "https://v/keys/a")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_enroll, "data", "--remove-old-keyslots", "--yes", "--store", "vault")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_enroll, "data", "--remove-old-keyslots", "--yes", "--expect-public-key", DIGEST)->code, EXIT_CODE_USAGE);
        assert_int_equal(server, 0);
        assert_string_equal(RUN(verb_enroll, "data", "--remove-old-keyslots", "--yes")->out, "data: its old keyslots are removed\n");
        tear_down(NULL);
        assert_string_equal(RUN(verb_enroll, "other", "--remove-old-keyslots", "--yes")->out, "other: it has no old keyslots\n");
}

static void a_recovery_key_is_on_its_disk_before_the_old_one_goes(void **state _unused_) {
        struct captured *c;

        sync_error = 0;
        synced = 0;
        c = RUN(verb_recovery_key_rotate, "data");
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_string_equal(c->out, RECOVERY_TEXT "\n");
        assert_int_equal(synced, 1);
        tear_down(NULL);
        sync_error = EINVAL;                   /* a terminal or a pipe */
        assert_int_equal(RUN(verb_recovery_key_rotate, "data")->code, EXIT_CODE_DONE);
        tear_down(NULL);
        sync_error = EIO;
        c = RUN(verb_recovery_key_rotate, "data");
        sync_error = 0;
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->err, "cannot be written: Input/output error"));
        assert_non_null(strstr(c->err, "the old key stays"));
}

static void a_daemon_that_goes_amid_a_rotation_is_said(void **state _unused_) {
        struct captured *c = RUN(verb_recovery_key_rotate, "gone", "--json");

        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_null(strstr(c->err, "in time"));
        assert_non_null(strstr(c->err, "went away"));
        assert_non_null(strstr(c->err, "which of the two keys"));
        assert_non_null(strstr(c->out, RECOVERY_TEXT));
        assert_true(json_was_printed());               /* main() adds no second document */
}

static void ctrl_c_ends_the_waiting(void **state _unused_) {
        struct captured *c;

        encrypting = true;
        connections = 0;
        c = RUN(verb_personalize, "data", "--yes", "--wait", "5");
        assert_int_equal(c->code, EXIT_CODE_BUSY);
        assert_int_equal(connections, 1);
        assert_non_null(strstr(c->out, "in the daemon"));
        encrypting = false;
}

#define UUID(n) #n "1111111-2222-4333-8444-555555555555 "

static void write_list(const char *text) {
        assert_int_equal(write_file_atomic(IMAGE_VOLUMES_FILE, text, strlen(text), 0600), 0);
}

static void ctrl_c_ends_the_list(void **state _unused_) {
        struct captured *c;

        write_list(UUID(1) "data\n" UUID(2) "busy\n");
        encrypting = true;
        connections = 0;
        c = RUN(verb_personalize, "--yes", "--json");
        encrypting = false;
        assert_int_equal(c->code, EXIT_CODE_BUSY);
        assert_int_equal(connections, 1);
        assert_int_equal(access(IMAGE_VOLUMES_FILE, F_OK), 0);
}

static void an_image_is_prepared(void **state _unused_) {
        struct captured *c = RUN(verb_personalize, "--prepare", "data", "--json");
        _cleanup_(json_object_putp) struct json_object *o = json_tokener_parse(c->out);
        struct json_object *names;

        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_true(json_object_object_get_ex(o, "volumes", &names));
        assert_string_equal(json_object_get_string(json_object_array_get_idx(names, 0)), "data");
        assert_string_equal(json_text(o, "file"), IMAGE_VOLUMES_FILE);
}

/* A list with each of them, and the code with which the unit starts again. */
static void what_another_try_may_cure_counts(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *list = NULL;
        struct captured *c;

        write_list(UUID(2) "policy\n" UUID(3) "busy\n" UUID(1) "root\n");
        c = RUN(verb_personalize, "--yes", "--json");
        assert_int_equal(c->code, EXIT_CODE_BUSY);
        list = json_tokener_parse(c->out);
        assert_true(json_object_is_type(list, json_type_array));
        assert_int_equal(json_object_array_length(list), 3);
        assert_string_equal(json_text(json_object_array_get_idx(list, 0), "volume"), "policy");
        assert_int_equal(json_number(json_object_array_get_idx(list, 0), "exit_code"), EXIT_CODE_POLICY);
        assert_string_equal(json_text(json_object_array_get_idx(list, 1), "error"), "busy is mounted at /srv: unmount it first");
        assert_string_equal(json_text(json_object_array_get_idx(list, 2), "waits"), "reboot now");
        tear_down(NULL);
        write_list(UUID(2) "revoked\n");
        assert_int_equal(RUN(verb_personalize, "--yes")->code, EXIT_CODE_REVOKED);
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(a_volume_is_taken_over), TEST(a_recovery_key_is_on_its_disk_before_the_old_one_goes),
                TEST(a_daemon_that_goes_amid_a_rotation_is_said), TEST(an_image_is_prepared), TEST(what_another_try_may_cure_counts),
                TEST(ctrl_c_ends_the_waiting), TEST(ctrl_c_ends_the_list),
        };
        char dir[] = "/tmp/cmkd-test-ways-in.XXXXXX";
        int failed;

        if (!mkdtemp(dir) || chdir(dir) < 0)
                return 1;
        failed = cmocka_run_group_tests_name("ctl-ways-in", tests, NULL, NULL);
        (void) unlink(IMAGE_VOLUMES_FILE);
        return chdir("/") < 0 || rmdir(dir) < 0 ? 1 : failed;
}
