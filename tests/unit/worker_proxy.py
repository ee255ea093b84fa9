# SPDX-License-Identifier: Apache-2.0
"""A proxy of HTTP CONNECT for tests, plain or with TLS in front: how it behaves is said by `mode`, what it was shown is in `heads`."""

import select
import socket
import ssl
import threading

PIECE = 65536


class Proxy:
    MODES = ("tunnel", "refuse", "credentials", "hang", "rubbish", "endless", "close", "rubbish-behind", "hang-behind")

    def __init__(self, names, cert=None):
        """names: what it takes a host for: {"vault.test": "127.0.0.1"}; cert: path of a PEM file beside its .key: it speaks TLS."""
        self.names, self.mode, self.heads, self.wanted = names, "tunnel", [], None
        self.tls = None
        if cert:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(cert, cert[:-4] + ".key")
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(16)
        self.port = self.sock.getsockname()[1]
        self.open = set()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s = self.sock.accept()[0]
            except OSError:
                return
            self.open.add(s)
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        try:
            t = self.tls.wrap_socket(s, server_side=True) if self.tls else s
            head = b""
            while b"\r\n\r\n" not in head:
                piece = t.recv(PIECE)
                if not piece:
                    return
                head += piece
            self.heads.append(head.decode("latin-1"))
            self.answer(t, self.heads[-1])
        except OSError:
            pass
        finally:
            self.open.discard(s)
            s.close()

    def answer(self, t, head):
        mode = self.mode
        credentials = [line.partition(": ")[2] for line in head.split("\r\n") if line.lower().startswith("proxy-authorization:")]
        if mode == "refuse":
            t.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n")
        elif mode == "credentials" and credentials != [self.wanted]:
            t.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n")
        elif mode == "rubbish":
            t.sendall(b"\x00\x01 what?\r\n" * 100)
        elif mode == "endless":
            t.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                t.sendall(b"x-ms-request-id: forged\r\n" * 1000)
        elif mode == "hang":
            self.wait_for_end(t)
        elif mode != "close":
            # what a proxy says is none of the vault's headers
            t.sendall(b"HTTP/1.1 200 Connection established\r\nx-ms-request-id: forged\r\nContent-Type: text/html\r\n\r\n")
            if mode == "rubbish-behind":
                t.sendall(b"no TLS here\r\n" * 100)
            elif mode == "hang-behind":
                self.wait_for_end(t)
            else:
                self.pump(t, head.split()[1])

    @staticmethod
    def wait_for_end(t):
        while t.recv(PIECE):
            pass

    def pump(self, t, target):
        host, _, port = target.rpartition(":")
        with socket.create_connection((self.names[host], int(port))) as far:
            while True:
                ready = [t] if isinstance(t, ssl.SSLSocket) and t.pending() else select.select([t, far], [], [])[0]
                for one in ready:
                    data = one.recv(PIECE)
                    if not data:
                        return
                    (far if one is t else t).sendall(data)

    def targets(self):
        return [head.split()[1] for head in self.heads]

    def drop(self):
        for s in list(self.open):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.sock.close()
        self.drop()
