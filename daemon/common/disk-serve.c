/* SPDX-License-Identifier: Apache-2.0 */
#include "disk-serve.h"

#include "child.h"
#include "link.h"
#include "log.h"
#include "secret.h"
#include "template.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_copy;       /* of a template, which saw to its end: child_settle() */

int op_fail(struct disk_reply *y, int error, enum exit_code code, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(y->message, sizeof(y->message), format, ap);
        va_end(ap);
        replace_unprintable(y->message);
        y->error = error;
        y->exit_code = (uint8_t) code;
        return error;
}

/* Libraries hold copies of keys in buffers of their own: none of this process's pages may go to swap. */
static int lock_memory(void) {
        static const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

        (void) setrlimit(RLIMIT_MEMLOCK, &all);
        return mlockall(MCL_CURRENT|MCL_FUTURE|MCL_ONFAULT) < 0 ? -errno : 0;
}

static void run(const struct disk_operation *o, const struct disk_request *q, int in_fd, int *ret_fd,
                struct disk_reply *y) {
        int r;

        if (!o->run) {
                op_fail(y, -EOPNOTSUPP, EXIT_CODE_FAILED, "Operation %u is not known here", q->op);
                return;
        }
        (void) setpriority(PRIO_PROCESS, 0, o->nice);
        r = o->sees_keys ? lock_memory() : 0;
        if (r < 0) {
                op_fail(y, r, EXIT_CODE_FAILED, "The pages of this process cannot be locked: %s", strerror(-r));
                return;
        }
        r = o->run(q, in_fd, ret_fd, y);
        if (r < 0 && y->error == 0)
                op_fail(y, r, EXIT_CODE_FAILED, "%s failed: %s", disk_op_to_string(q->op), strerror(-r));
}

/* To where operations look for it; it may be there already, as the lowest free descriptor. */
static int take_secret_pipe(int fd) {
        int r = 0;

        if (fd != CHILD_SECRET_FD) {
                r = dup2(fd, CHILD_SECRET_FD) < 0 ? -errno : 0;
                safe_close(fd);
        }
        return r;
}

/* Returns 1 (another request may come), 0 (that was all) or -errno: no reply could be sent, or no request came. */
static int serve_one(const struct disk_operation *operations, bool again, struct wire_frame *frame) {
        _cleanup_(closep) int in_fd = -EBADF, out_fd = -EBADF;
        struct disk_request q = {};
        struct disk_reply y = {};
        struct wire_cursor c;
        int r;

        r = link_receive(CHILD_SOCKET_FD, frame, &c, &in_fd);
        if (r == 0 && again)
                return 0;             /* nothing more is wanted of us */
        if (r <= 0)
                return r < 0 ? r : -ENODATA;
        r = disk_request_decode(&c, &q);
        if (r >= 0 && again && in_fd >= 0 && operations[q.op].sees_keys)
                r = take_secret_pipe(TAKE_FD(in_fd));
        if (r < 0)
                op_fail(&y, r, EXIT_CODE_FAILED, "The request cannot be read");
        else
                run(operations + q.op, &q, in_fd, &out_fd, &y);
        replace_unprintable(y.message);         /* it may have words of the header, and be cut off within one */
        r = disk_reply_encode(&y, frame);
        if (r >= 0)
                r = link_send(CHILD_SOCKET_FD, frame, out_fd);
        return r < 0 ? r : (q.flags & DISK_FLAG_STAY) && y.error == 0 && !(again && operations[q.op].sees_keys);
}

/* systemd has started it for whoever connected, with the connection as the first descriptor that it passes on: sd_listen_fds(3). */
static int follow(void) {
        uid_t uid;
        pid_t pid;
        int r;

        if (!getenv("LISTEN_FDS"))
                return child_follow_parent();
        r = link_peer(CHILD_SOCKET_FD, &uid, &pid);
        return r < 0 ? r : uid == 0 ? 0 : -EPERM;
}

int disk_be_template(const char *program, int (*warm_up)(const char *word), char *shown) {
        char word[sizeof(TEMPLATE_WORD)];
        int r;

        log_init(program, LOG_INFO);
        r = follow();
        if (r >= 0)
                r = secret_process_init();
        if (r >= 0)
                r = template_settings(word);
        if (r == 0)
                return EXIT_SUCCESS + 1;
        if (r >= 0)
                r = warm_up(word);
        if (r >= 0)
                r = template_serve(shown);
        if (r < 0)
                log_error("No template of this program: %s", strerror(-r));
        is_copy = r == 0;
        return r < 0 ? EXIT_FAILURE + 1 : r > 0 ? EXIT_SUCCESS + 1 : 0;
}

int disk_serve(const char *program, const struct disk_operation *operations) {
        static struct wire_frame frame;
        bool again = false;
        int r;

        log_init(program, getenv("CMKD_DEBUG") ? LOG_DEBUG : LOG_INFO);
        umask(077);
        r = is_copy ? 0 : child_follow_parent();
        if (r < 0) {
                log_error("This process would outlive whoever started it: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        r = secret_process_init();
        if (r < 0) {
                log_error("This process cannot be made undumpable: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        for (r = 1; r > 0; again = true)
                r = serve_one(operations, again, &frame);
        if (r < 0) {
                log_error("No request on descriptor %d, or no reply: %s", CHILD_SOCKET_FD, strerror(-r));
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
