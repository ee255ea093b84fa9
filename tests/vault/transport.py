# SPDX-License-Identifier: Apache-2.0
"""Transport faults: how a reply is sent so that it cannot be received. Each
function returns whether the connection stays usable."""

import socket
import struct
import time

HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Welcome to the network</h1></body></html>"


def _head(status, rows):
    return ("HTTP/1.1 %d Status\r\n%s\r\n\r\n" % (status, "\r\n".join("%s: %s" % r for r in rows))).encode("latin-1")


def hang(conn, reply, rule):
    """Until the peer goes away."""
    conn.sock.settimeout(None)
    try:
        while conn.sock.recv(65536):
            pass
    except OSError:
        pass
    return False


def reset(conn, reply, rule):
    conn.reset()
    return False


def close(conn, reply, rule):
    conn.goodbye()
    return False


def drip(conn, reply, rule):
    pause = rule.opt("delay", 100) / 1000
    for byte in reply.head() + reply.body:
        conn.sock.sendall(bytes([byte]))
        time.sleep(pause)
    return True


def reset_mid_body(conn, reply, rule):
    conn.sock.sendall(reply.head() + reply.body[:len(reply.body) // 2])
    time.sleep(0.05)
    conn.reset()
    return False


def truncated_headers(conn, reply, rule):
    head = reply.head()
    conn.sock.sendall(head[:len(head) // 2])
    conn.goodbye()
    return False


def truncated_body(conn, reply, rule):
    conn.sock.sendall(reply.head() + reply.body[:len(reply.body) // 2])
    conn.goodbye()
    return False


def oversized_body(conn, reply, rule):
    size = rule.opt("bytes", 8 << 20)
    start, end = b'{"kid":"', b'"}'
    rows = [("Content-Type", "application/json"), ("Content-Length", size), ("x-ms-request-id", "oversized")]
    conn.sock.sendall(_head(rule.opt("status", 200), rows) + start)
    left = size - len(start) - len(end)
    while left > 0:
        conn.sock.sendall(b"A" * min(left, 65536))
        left -= 65536
    conn.sock.sendall(end)
    return True


def oversized_headers(conn, reply, rule):
    left = rule.opt("bytes", 1 << 20)
    head = reply.head()[:-2]
    conn.sock.sendall(head)
    while left > 0:
        conn.sock.sendall(b"x-filler: " + b"A" * 4000 + b"\r\n")
        left -= 4012
    conn.sock.sendall(b"\r\n" + reply.body)
    return True


def endless_body(conn, reply, rule):
    rows = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked"), ("x-ms-request-id", "endless")]
    conn.sock.sendall(_head(rule.opt("status", 200), rows))
    while True:     # until the peer goes away: sendall raises then
        conn.sock.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")


def garbage(conn, reply, rule):
    conn.sock.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n\0\xff\xfe\r\n\r\n")
    conn.goodbye()
    return False


def redirect(conn, reply, rule):
    rows = [("Location", rule.opt("url", "https://elsewhere.test/")), ("Content-Length", 0)]
    conn.sock.sendall(_head(status(reply, rule), rows))
    return True


def html(conn, reply, rule):
    conn.sock.sendall(_head(status(reply, rule), [("Content-Type", "text/html"), ("Content-Length", len(HTML))]) + HTML)
    return True


def empty(conn, reply, rule):
    conn.sock.sendall(_head(status(reply, rule), [("Content-Length", 0), ("x-ms-request-id", "empty")]))
    return True


def chunked(conn, reply, rule):
    conn.sock.sendall(reply.head((("Transfer-Encoding", "chunked"),), length=False))
    for at in range(0, len(reply.body), 100):
        piece = reply.body[at:at + 100]
        conn.sock.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
    conn.sock.sendall(b"0\r\n\r\n")
    return True


def bad_length(conn, reply, rule):
    conn.sock.sendall(reply.head((("Content-Length", "-1x"),), length=False) + reply.body)
    conn.goodbye()
    return False


def two_lengths(conn, reply, rule):
    conn.sock.sendall(reply.head((("Content-Length", len(reply.body) // 2),)) + reply.body)
    conn.goodbye()
    return False


def http10(conn, reply, rule):
    conn.sock.sendall(reply.head(length=False, proto="HTTP/1.0") + reply.body)
    conn.goodbye()
    return False


def no_handshake(sock, kind):
    """Instead of TLS."""
    if kind == "tls-reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif kind == "tls-plain":
        sock.sendall(_head(400, [("Content-Length", 0)]))
    else:
        sock.settimeout(None)
        while sock.recv(65536):
            pass


def status(reply, rule):
    """What the log shows: the status that is sent, 0 for none."""
    if rule.kind in ("hang", "reset", "close", "garbage"):
        return 0
    return reply.status if reply is not None else rule.opt("status", 302 if rule.kind == "redirect" else 200)


def send(conn, reply, rule):
    try:
        return globals()[rule.kind.replace("-", "_")](conn, reply, rule)
    except (socket.timeout, OSError):
        return False     # the peer had enough: what such a fault is for
