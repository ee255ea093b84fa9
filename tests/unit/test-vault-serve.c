/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/serve.c daemon/vault/job.c daemon/vault/kept.c daemon/vault/watchdog.c

/* When a worker that held a secret ends, though somebody always has a request under way: it serves in a process of its own, and what the
 * vaults say is a model. A request for the key "release" has released a secret; for "hold" it takes until the test lets go of one; for
 * "stuck" it never ends. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/link.h"
#include "vault/job.h"
#include "vault/serve.h"
#include "vault/vault.h"

#define LATEST_USEC (300 * USEC_PER_MSEC)
#define PATIENCE_MS 20000
#define ROUNDS_MAX 100u                /* of ROUND_MS each */
#define ROUND_MS 50

static int held[2];                    /* a byte lets go of one that is held */
static int begun[2];                   /* has a byte for each that was */
static int peer = -1;
static pid_t worker;
static uint32_t last_id;
static struct wire_frame frame;

/* ---- the vaults ---- */

void vault_run(struct vaults *v _unused_, const struct vault_call *call, int pipe_fd _unused_, struct vault_reply *ret, bool *ret_released) {
        char byte;

        ret->verdict = VERDICT_GRANTED;
        if (streq(call->request->key.name, "release"))
                *ret_released = true;
        else if (streq(call->request->key.name, "hold")) {
                assert_int_equal(write(begun[1], "", 1), 1);
                assert_int_equal(read(held[0], &byte, 1), 1);
        } else if (streq(call->request->key.name, "stuck"))
                for (;;)
                        pause();
}

void vault_reply_set(struct vault_reply *y, enum verdict v, const char *code _unused_, const char *format _unused_, ...) {
        y->verdict = v;
}

bool vaults_are_over(const struct vaults *v _unused_) {
        return false;
}

bool vaults_have_module(const struct vaults *v _unused_) {
        return false;
}

/* ---- the worker, and who asks it ---- */

static int set_up(void **state _unused_) {
        struct serve_options o = { .allowed_uid = geteuid(), .latest_usec = LATEST_USEC };
        int fds[2];

        assert_int_equal(pipe(held), 0);
        assert_int_equal(pipe(begun), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC|SOCK_NONBLOCK, 0, fds), 0);
        worker = fork();
        if (worker == 0) {
                close(fds[0]);
                close(held[1]);
                o.socket_fd = fds[1];
                _exit(serve_block_signals() < 0 || serve(NULL, &o) < 0);
        }
        close(fds[1]);
        close(held[0]);
        close(begun[1]);
        peer = fds[0];
        return 0;
}

static int tear_down(void **state _unused_) {
        if (worker > 0) {
                kill(worker, SIGKILL);
                (void) waitpid(worker, NULL, 0);
        }
        close(peer);
        close(held[1]);
        close(begun[0]);
        return 0;
}

/* The request's id; 0: there is no worker any more. */
static uint32_t ask(const char *key, uint32_t timeout_ms) {
        struct vault_request q = { .op = VAULT_OP_GET_KEY, .vault = "v", .timeout_ms = timeout_ms };
        char uri[64];

        snprintf(uri, sizeof(uri), "https://v.test/keys/%s", key);
        assert_int_equal(key_uri_parse(uri, &q.key, NULL), 0);
        random_uuid(q.client_request_id);
        assert_int_equal(vault_request_encode(&q, ++last_id, &frame), 0);
        return link_send(peer, &frame, -EBADF) >= 0 ? last_id : 0;
}

static bool readable(int timeout_ms) {
        struct pollfd p = { .fd = peer, .events = POLLIN };

        return poll(&p, 1, timeout_ms) == 1;
}

/* The next answer's id; 0: the worker has ended. */
static uint32_t answer(void) {
        struct wire_cursor c;
        int r;

        assert_true(readable(PATIENCE_MS));
        do
                r = link_receive(peer, &frame, &c, NULL);
        while (r == -ECONNRESET);          /* it did not read all that was sent: that is said first */
        assert_true(r >= 0);
        return r > 0 ? c.id : 0;
}

static void exchange(const char *key) {
        uint32_t id = ask(key, 10000);

        assert_int_equal(answer(), id);
}

static void let_go(void) {
        assert_int_equal(write(held[1], "", 1), 1);
}

/* It has said its last word, and not by a crash. */
static void must_have_ended(void) {
        int status;

        assert_int_equal(waitpid(worker, &status, 0), worker);
        worker = 0;
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- */

/* The next one is sent before the one before is answered. */
static void requests_without_end_keep_no_worker_that_had_a_secret(void **state _unused_) {
        uint64_t since;
        unsigned n;

        exchange("release");
        since = now_boottime_usec();
        assert_true(ask("hold", 10000));
        for (n = 0; n < ROUNDS_MAX && ask("hold", 10000) > 0; n++) {
                (void) readable(ROUND_MS);
                let_go();
                if (answer() == 0)
                        break;
        }
        assert_true(n < ROUNDS_MAX);
        must_have_ended();
        assert_true(now_boottime_usec() >= since + LATEST_USEC);
}

/* Each that it took has its answer; what came later has none, so that it is asked for again. */
static void what_was_taken_is_answered_first(void **state _unused_) {
        uint32_t a, b, first;

        exchange("release");
        a = ask("hold", 10000);
        b = ask("hold", 10000);
        assert_false(readable((int) (2 * LATEST_USEC / USEC_PER_MSEC)));
        assert_true(ask("release", 10000));
        assert_false(readable(ROUND_MS));
        let_go();
        let_go();
        first = answer();
        assert_int_equal(first + answer(), a + b);
        assert_int_equal(answer(), 0);
        must_have_ended();
}

/* Whoever asked for the others asks the next worker. */
static void what_waits_for_a_place_is_not_begun(void **state _unused_) {
        uint64_t since = now_boottime_usec();
        char bytes[2 * JOBS_RUNNING_MAX];

        exchange("release");
        for (unsigned i = 0; i < JOBS_RUNNING_MAX + 2; i++)
                assert_true(ask("hold", 10000));
        assert_false(readable((int) (2 * LATEST_USEC / USEC_PER_MSEC)));
        for (unsigned i = 0; i < JOBS_RUNNING_MAX; i++) {
                let_go();
                assert_true(answer());
        }
        assert_int_equal(answer(), 0);
        must_have_ended();
        assert_int_equal(read(begun[0], bytes, sizeof(bytes)), JOBS_RUNNING_MAX);
        assert_true(now_boottime_usec() < since + 9 * USEC_PER_SEC);      /* their deadlines were not waited for */
}

static void one_that_never_ends_is_left_behind_at_its_deadline(void **state _unused_) {
        uint64_t since = now_boottime_usec();

        exchange("release");
        assert_true(ask("stuck", 1000));
        assert_int_equal(answer(), 0);
        must_have_ended();
        assert_true(now_boottime_usec() >= since + USEC_PER_SEC);
        assert_true(now_boottime_usec() < since + 8 * USEC_PER_SEC);
}

static void without_a_secret_nothing_is_cut_short(void **state _unused_) {
        uint32_t a = ask("hold", 10000);

        assert_false(readable((int) (3 * LATEST_USEC / USEC_PER_MSEC)));
        exchange("nothing");
        let_go();
        assert_int_equal(answer(), a);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(requests_without_end_keep_no_worker_that_had_a_secret, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_was_taken_is_answered_first, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_waits_for_a_place_is_not_begun, set_up, tear_down),
                cmocka_unit_test_setup_teardown(one_that_never_ends_is_left_behind_at_its_deadline, set_up, tear_down),
                cmocka_unit_test_setup_teardown(without_a_secret_nothing_is_cut_short, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
