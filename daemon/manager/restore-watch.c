/* SPDX-License-Identifier: Apache-2.0 */
#include "restore-watch.h"

#include "manager.h"

#include "common/util.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#define KMSG "/dev/kmsg"
#define RECORD_MAX 8192u               /* CONSOLE_EXT_LOG_MAX: read(2) gives no longer one */
#define RECORDS_A_TURN 64
#define FACILITY_KERNEL_MAX 7u         /* facility 0, any level */
#define TOLD "random: crng reseeded due to virtual machine fork"

bool restore_is_told(const char *record, size_t size) {
        const char *end = record + size, *text = memchr(record, ';', size);
        unsigned prefix = 0;
        const char *p;

        for (p = record; p < end && *p >= '0' && *p <= '9' && prefix <= FACILITY_KERNEL_MAX; p++)
                prefix = prefix * 10 + (unsigned) (*p - '0');
        if (p == record || p == end || *p != ',' || prefix > FACILITY_KERNEL_MAX || !text)
                return false;
        text++;
        return (size_t) (end - text) >= strlen(TOLD) && memcmp(text, TOLD, strlen(TOLD)) == 0 &&
               (text + strlen(TOLD) == end || text[strlen(TOLD)] == '\n');
}

static int on_kmsg(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *user) {
        char record[RECORD_MAX];

        for (int i = 0; i < RECORDS_A_TURN; i++) {
                ssize_t n = read(fd, record, sizeof(record));

                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0 && errno != EPIPE && errno != EINTR)     /* EPIPE: some were overwritten, the next read goes on */
                        return -errno;
                if (n > 0 && restore_is_told(record, (size_t) n))
                        manager_restored(user);
        }
        return 0;
}

int restore_watch_new(struct manager *m, sd_event *event) {
        _cleanup_(closep) int fd = open(KMSG, O_RDONLY|O_NONBLOCK|O_CLOEXEC);
        sd_event_source *s;
        int r;

        if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
                return -errno;
        r = sd_event_add_io(event, &s, fd, EPOLLIN, on_kmsg, m);
        if (r < 0)
                return r;
        TAKE_FD(fd);
        (void) sd_event_source_set_io_fd_own(s, true);
        return sd_event_source_set_floating(s, true);
}
