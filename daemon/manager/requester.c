/* SPDX-License-Identifier: Apache-2.0 */
#include "operation.h"

/* A small file of the process; it may have ended by now, and then nobody knows any more. */
static void read_proc(pid_t pid, const char *file, char *buf, size_t size) {
        _cleanup_(freep) char *text = NULL;
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, file);
        if (read_small_file(path, 64, &text, NULL) < 0)
                return;
        text[strcspn(text, "\n")] = 0;
        snprintf(buf, size, "%s", text);
}

void requester_describe(uid_t uid, pid_t pid, struct requester *ret) {
        char comm[32] = "?", login[16] = "?";

        read_proc(pid, "comm", comm, sizeof(comm));
        read_proc(pid, "loginuid", login, sizeof(login));
        snprintf(ret->text, sizeof(ret->text), "uid=%d loginuid=%s pid=%d comm=%s", (int) uid,
                 streq(login, "4294967295") ? "unset" : login, (int) pid, comm);
}
