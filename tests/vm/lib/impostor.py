# SPDX-License-Identifier: Apache-2.0
"""A library that makes of a program of cmkd's, preloaded into it, one that asks the metadata service for the node's token: exit status 0
with it, 3 if the connection is refused, 4 otherwise."""

import pathlib
import subprocess
import tempfile

LIBRARY = "/usr/lib/impostor.so"             # where AppArmor lets cmkd-vault have libraries from
SOURCE = r"""
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
__attribute__((constructor)) static void ask(void) {
        static const char request[] = "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net"
                                      " HTTP/1.1\r\nHost: x\r\nMetadata: true\r\nConnection: close\r\n\r\n";
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = inet_addr("169.254.169.254") };
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        static char text[65536];
        size_t n = 0;
        ssize_t k;

        if (connect(fd, (struct sockaddr *) &to, sizeof(to)) < 0)
                _exit(errno == EPERM ? 3 : 4);
        if (write(fd, request, sizeof(request) - 1) < 0)
                _exit(4);
        while (n < sizeof(text) - 1 && (k = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
                n += (size_t) k;
        _exit(strstr(text, "access_token") ? 0 : 4);
}
"""


def prepare(node, port):
    with tempfile.TemporaryDirectory() as directory:
        source, built = pathlib.Path(directory) / "impostor.c", pathlib.Path(directory) / "impostor.so"
        source.write_text(SOURCE)
        subprocess.run(["cc", "-Wall", "-shared", "-fPIC", f"-DPORT={port}", "-o", built, source], check=True)
        node.push(built, LIBRARY)
