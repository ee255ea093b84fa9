/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/algorithm.h"
#include "common/link.h"

#define PATIENCE_SEC 5         /* beyond what the vault may take */

int worker_open(const char *root, struct worker *ret) {
        char path[PATH_MAX];
        int fd;

        snprintf(path, sizeof(path), "%s%s", root, VAULT_SOCKET);
        fd = link_connect(path, false);
        if (fd == -EACCES || fd == -EPERM)
                return fail(EXIT_CODE_FAILED, "only root may ask the worker (%s)", path);
        if (fd < 0)
                return fail(EXIT_CODE_FAILED, "the worker cannot be reached: %s: %s; is cmkd-vault.socket active?", path, strerror(-fd));
        *ret = (struct worker) { .fd = fd };
        return EXIT_CODE_DONE;
}

void worker_close(struct worker *w) {
        w->fd = safe_close(w->fd);
}

static int exchange(struct worker *w, const struct wire_frame *question, struct vault_reply *ret, struct vault_list *ret_list) {
        _cleanup_(freep) struct wire_frame *f = calloc(1, sizeof(*f));
        struct wire_cursor c;
        int r;

        if (!f)
                return -ENOMEM;
        r = link_send(w->fd, question, -EBADF);
        if (r >= 0)
                r = link_receive(w->fd, f, &c, NULL);
        if (r <= 0)
                return r == -EAGAIN ? -ETIMEDOUT : r == 0 ? -EPIPE : r;
        if (c.id != w->id)
                return -EBADMSG;
        return ret_list ? vault_list_decode(&c, ret, ret_list) : vault_reply_decode(&c, ret);
}

int worker_ask(struct worker *w, const struct vault_config *v, struct vault_request *q, struct vault_reply *ret, struct vault_list *ret_list) {
        _cleanup_(freep) struct wire_frame *f = calloc(1, sizeof(*f));
        struct timeval patience = { .tv_sec = (time_t) (v->timeout_usec / USEC_PER_SEC) + PATIENCE_SEC };
        int r;

        if (!f)
                return -ENOMEM;
        snprintf(q->vault, sizeof(q->vault), "%s", v->name);
        if (!*q->algorithm)
                snprintf(q->algorithm, sizeof(q->algorithm), "%s", v->rsa_algorithm ? v->rsa_algorithm : ALGORITHM_RSA);
        random_uuid(q->client_request_id);
        q->timeout_ms = (uint32_t) (v->timeout_usec / USEC_PER_MSEC);
        r = vault_request_encode(q, ++w->id, f);
        if (r < 0)
                return r;
        if (setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
                return -errno;
        return exchange(w, f, ret, ret_list);
}

int worker_complain(const struct vault_config *v, int r, const struct vault_reply *y) {
        char status[32] = "no answer";

        if (r < 0)
                return fail(EXIT_CODE_FAILED, "vault %s: the worker gave no answer: %s", v->name, strerror(-r));
        if (y->http_status > 0)
                snprintf(status, sizeof(status), "HTTP %u", y->http_status);
        return fail(verdict_exit_code(y->verdict), "vault %s: %s (%s, %s): %s", v->name, verdict_to_string(y->verdict), status,
                    *y->code ? y->code : "no code", *y->text ? y->text : "nothing said");
}
