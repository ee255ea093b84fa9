/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <fcntl.h>
#include <getopt.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/link.h"

#define FIRST_PASSED_FD 3

static const char help[] =
        "cmkd-vault [OPTION...]\n"
        "Talks to key vaults for cmkd, without privileges. Started by its socket, or by cmkd.\n\n"
        "  --listen PATH      make the socket there\n"
        "  --socket-fd N      use this descriptor: a listening socket, or a connected one\n"
        "  --user NAME        become this user where started by root (default: cmkd-vault, or nobody)\n"
        "  --root DIR         read the configuration below DIR\n"
        "  --check-config     only read the configuration\n"
        "  --debug            log each request\n"
        "  -h, --help\n";

static int parse_fd(const char *s, int *ret) {
        uint64_t v;

        if (parse_u64(s, 1 << 20, &v) < 0 || v <= STDERR_FILENO) {
                fprintf(stderr, "cmkd-vault: --socket-fd takes a number above 2\n");
                return -EINVAL;
        }
        *ret = (int) v;
        return 1;
}

int options_parse(int argc, char *argv[], struct options *ret) {
        enum { LISTEN = 256, SOCKET_FD, USER, ROOT, CHECK, DEBUG };
        static const struct option table[] = {
                { "listen", required_argument, NULL, LISTEN }, { "socket-fd", required_argument, NULL, SOCKET_FD },
                { "user", required_argument, NULL, USER }, { "root", required_argument, NULL, ROOT },
                { "check-config", no_argument, NULL, CHECK }, { "debug", no_argument, NULL, DEBUG },
                { "help", no_argument, NULL, 'h' }, {},
        };
        struct options o = { .root = "", .socket_fd = -EBADF };
        int c;

        while ((c = getopt_long(argc, argv, "h", table, NULL)) >= 0)
                switch (c) {
                case LISTEN:
                        o.listen = optarg;
                        break;
                case SOCKET_FD:
                        if (parse_fd(optarg, &o.socket_fd) < 0)
                                return -EINVAL;
                        break;
                case USER:
                        o.user = optarg;
                        break;
                case ROOT:
                        o.root = optarg;
                        break;
                case CHECK:
                        o.check_config = true;
                        break;
                case DEBUG:
                        o.debug = true;
                        break;
                case 'h':
                        fputs(help, stdout);
                        return 0;
                default:
                        return -EINVAL;
                }
        if (optind < argc) {
                fprintf(stderr, "cmkd-vault: takes no arguments, see --help\n");
                return -EINVAL;
        }
        *ret = o;
        return 1;
}

/* sd_listen_fds(3): LISTEN_PID is us, the descriptor is the first of LISTEN_FDS. What follows it is kept.h's. */
static int passed_socket(void) {
        const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
        uint64_t v, n;

        if (!pid && !fds)
                return -ENOTCONN;
        if (!pid || !fds || parse_u64(pid, INT32_MAX, &v) < 0 || v != (uint64_t) getpid() || parse_u64(fds, 1024, &n) < 0 || n == 0)
                return -ESTALE;
        return FIRST_PASSED_FD;
}

int options_socket(const struct options *o) {
        int fd, type = 0, flags;
        socklen_t size = sizeof(type);

        if (o->listen)
                return link_listen(o->listen, 0600);
        fd = o->socket_fd >= 0 ? o->socket_fd : passed_socket();
        if (fd < 0)
                return fd;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
                return -errno;
        if (type != SOCK_SEQPACKET)
                return -ESTALE;
        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return -errno;
        return fd;
}
