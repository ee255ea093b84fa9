/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/worker-link.c
// libs: libsystemd

/* Questions to the worker: one answer each, whatever goes wrong, and of releases no more at a time than it has room for. The link below
 * is a model. */

#include "manager/rpc.h"
#include "manager/worker-link.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define CALLS_MAX 400u
#define AT_A_TIME 96u

static struct { rpc_callback callback; void *user; bool open; } calls[CALLS_MAX];
static unsigned n_calls, n_open, most_open, refuse_from = CALLS_MAX;
static sd_event *event;
static struct worker_link *link_under_test;
static unsigned answers[CALLS_MAX], order[CALLS_MAX], n_answers;
static enum verdict last;

int rpc_new(sd_event *e _unused_, const char *path _unused_, const char *name _unused_, struct rpc **ret) {
        *ret = (struct rpc *) calls;
        return 0;
}

struct rpc *rpc_free(struct rpc *r _unused_) { return NULL; }
void rpc_keep_connected(struct rpc *r _unused_) {}
bool rpc_is_connected(const struct rpc *r _unused_) { return true; }
uint32_t rpc_next_id(struct rpc *r _unused_) { return n_calls + 1; }

int rpc_call(struct rpc *r _unused_, uint32_t id _unused_, const struct wire_frame *f _unused_, int fd _unused_, uint64_t timeout_usec _unused_,
             rpc_callback callback, void *user) {
        if (n_calls >= refuse_from)
                return -ECONNREFUSED;
        calls[n_calls].callback = callback;
        calls[n_calls].user = user;
        calls[n_calls++].open = true;
        n_open++;
        most_open = MAX_OF(most_open, n_open);
        return 0;
}

/* What the n-th call ended with. */
static void end_call(unsigned n, int error) {
        assert_true(calls[n].open);
        calls[n].open = false;
        n_open--;
        calls[n].callback(error, NULL, calls[n].user);
}

static void on_answer(const struct vault_reply *y, void *user) {
        unsigned n = (unsigned) (uintptr_t) user;

        answers[n]++;
        order[n_answers++] = n;
        last = y->verdict;
}

static void ask(unsigned n, int fd) {
        struct vault_request q = { .op = fd >= 0 ? VAULT_OP_UNWRAP : VAULT_OP_GET_KEY, .timeout_ms = 1000 };

        assert_int_equal(key_uri_parse("https://a.test/keys/k", &q.key, NULL), 0);
        strcpy(q.vault, "a");
        assert_int_equal(worker_ask(link_under_test, &q, fd, on_answer, (void *) (uintptr_t) n), 0);
}

static int start(void **state _unused_) {
        memset(calls, 0, sizeof(calls));
        memset(answers, 0, sizeof(answers));
        n_calls = n_open = most_open = n_answers = 0;
        refuse_from = CALLS_MAX;
        return sd_event_new(&event) < 0 || worker_link_new(event, &link_under_test) < 0;
}

static int stop(void **state _unused_) {
        link_under_test = worker_link_free(link_under_test);
        event = sd_event_unref(event);
        return 0;
}

/* All get their turn, in order, and polls do not wait behind them. */
static void test_many_releases(void **state _unused_) {
        int fd = open("/dev/null", O_RDWR|O_CLOEXEC);
        unsigned n;

        assert_true(fd >= 0);
        for (n = 0; n < 300; n++)
                ask(n, fd);
        assert_int_equal(n_calls, AT_A_TIME);
        ask(300, -1);
        assert_int_equal(n_calls, AT_A_TIME + 1);
        end_call(AT_A_TIME, -ETIMEDOUT);
        assert_int_equal(answers[300], 1);
        assert_int_equal(n_calls, AT_A_TIME + 1);                /* it was no release */
        for (n = 0; n < AT_A_TIME; n++) {
                end_call(n, -ETIMEDOUT);
                assert_int_equal(n_calls, AT_A_TIME + 2 + n);
        }
        for (n = AT_A_TIME + 1; n < n_calls; n++)
                end_call(n, -ETIMEDOUT);
        assert_int_equal(n_calls, 301);
        assert_int_equal(most_open, AT_A_TIME + 1);
        for (n = 0; n < 301; n++)
                assert_int_equal(answers[n], 1);
        for (n = 1; n < 301; n++)
                assert_int_equal(order[n], n - 1);
        assert_int_equal(last, VERDICT_UNREACHABLE);
        close(fd);
}

/* Whoever does not wait any more gets no turn, and the link can end with some that do. */
static void test_cancelled(void **state _unused_) {
        int fd = open("/dev/null", O_RDWR|O_CLOEXEC);

        assert_true(fd >= 0);
        for (unsigned n = 0; n < AT_A_TIME + 3; n++)
                ask(n, fd);
        worker_cancel(link_under_test, (void *) (uintptr_t) AT_A_TIME);
        worker_cancel(link_under_test, (void *) (uintptr_t) 5);
        end_call(5, -ETIMEDOUT);
        assert_int_equal(answers[5], 0);
        assert_int_equal(n_calls, AT_A_TIME + 1);
        end_call(AT_A_TIME, -ETIMEDOUT);
        assert_int_equal(answers[AT_A_TIME], 0);
        assert_int_equal(answers[AT_A_TIME + 1], 1);
        close(fd);
}

/* One that was lost with its worker is asked once more, in its place. */
static void test_retried(void **state _unused_) {
        int fd = open("/dev/null", O_RDWR|O_CLOEXEC);

        assert_true(fd >= 0);
        for (unsigned n = 0; n < AT_A_TIME + 1; n++)
                ask(n, fd);
        end_call(0, -ECONNRESET);
        assert_int_equal(answers[0], 0);
        assert_int_equal(n_calls, AT_A_TIME + 1);                /* again the same */
        end_call(AT_A_TIME, -ECONNRESET);
        assert_int_equal(answers[0], 1);
        assert_int_equal(n_calls, AT_A_TIME + 2);                /* the next */
        close(fd);
}

/* What cannot be asked is answered from the loop, and takes no turn from the others for ever. */
static void test_refused(void **state _unused_) {
        int fd = open("/dev/null", O_RDWR|O_CLOEXEC);

        assert_true(fd >= 0);
        refuse_from = 0;
        for (unsigned n = 0; n < AT_A_TIME + 2; n++)
                ask(n, fd);
        assert_int_equal(n_answers, 0);
        while (n_answers < AT_A_TIME + 2)
                assert_true(sd_event_run(event, 1000000) > 0);
        for (unsigned n = 0; n < AT_A_TIME + 2; n++)
                assert_int_equal(answers[n], 1);
        close(fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_many_releases, start, stop), cmocka_unit_test_setup_teardown(test_cancelled, start, stop),
                cmocka_unit_test_setup_teardown(test_retried, start, stop), cmocka_unit_test_setup_teardown(test_refused, start, stop),
        };

        return cmocka_run_group_tests_name("worker-link", tests, NULL, NULL);
}
