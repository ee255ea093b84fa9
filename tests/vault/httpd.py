# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 with keep-alive, a thread a connection, TLS if the listener has
contexts. Small and of its own so that faults.py's transport faults can do to a
reply what no server library would let them. Limits: 64 KiB of headers, 1 MiB of
body, 60 s for a handshake (an emulated client beside others takes long), 300 s idle."""

import email.utils
import http.client
import socket
import ssl
import struct
import threading
import time
import urllib.parse
import uuid

import transport
from errors import encode

MAX_HEAD, MAX_BODY = 64 << 10, 1 << 20


class Request:
    def __init__(self, method, target, headers, body, peer):
        self.method, self.target, self.headers, self.body, self.peer = method, target, headers, body, peer
        split = urllib.parse.urlsplit(target)
        self.path = urllib.parse.unquote(split.path)
        self.query = dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))


class Reply:
    def __init__(self, status, doc=None, ctype="application/json; charset=utf-8"):
        self.status, self.doc, self.ctype, self.headers = status, doc, ctype, []
        self.body = b"" if doc is None else encode(doc)

    def strip_vendor(self):
        self.headers = [h for h in self.headers if not h[0].lower().startswith("x-ms-")]

    def head(self, extra=(), length=True, proto="HTTP/1.1"):
        rows = ["%s %d %s" % (proto, self.status, http.client.responses.get(self.status, "Status"))]
        if length:
            rows.append("Content-Length: %d" % len(self.body))
        if self.body:
            rows.append("Content-Type: " + self.ctype)
        rows.append("Date: " + email.utils.formatdate(usegmt=True))
        rows += ["%s: %s" % h for h in self.headers]
        rows += ["%s: %s" % h for h in extra]
        return "\r\n".join(rows).encode("latin-1") + b"\r\n\r\n"


class Gone(Exception):
    """The peer closed, or spoke no HTTP."""


class Connection:
    def __init__(self, listener, sock, peer, number):
        self.listener, self.sock, self.peer, self.number = listener, sock, peer, number
        self.buf = b""
        self.served = 0

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise Gone()
        self.buf += data

    def read_request(self):
        while b"\r\n\r\n" not in self.buf:
            if len(self.buf) > MAX_HEAD:
                raise Gone()
            self._more()
        head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        try:
            method, target, proto = lines[0].split(" ")
        except ValueError:
            raise Gone()
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        self.keep = proto == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        if headers.get("expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            size = int(headers.get("content-length", "0"))
        except ValueError:
            raise Gone()
        if not 0 <= size <= MAX_BODY or "transfer-encoding" in headers:
            raise Gone()
        while len(self.buf) < size:
            self._more()
        body, self.buf = self.buf[:size], self.buf[size:]
        return Request(method, target, headers, body, self.peer)

    def serve(self):
        """Requests until the peer or a fault ends the connection."""
        self.sock.settimeout(300)
        while True:
            req = self.read_request()
            self.served += 1
            entry = {"time": time.time(), "where": self.listener.app.where, "conn": self.number, "peer": self.peer,
                     "method": req.method, "path": req.target, "op": "none", "identity": None,
                     "client_request_id": req.headers.get("x-ms-client-request-id", "")[:128] or None,
                     "request_id": str(uuid.uuid4()), "status": 0, "fault": None}
            try:
                reply, rule = self.listener.app.handle(req, entry)
            except Exception as e:          # a defect of this server: say so, to the client and in the log
                entry.update(error="%s: %s" % (type(e).__name__, e), defect=True)
                reply, rule = Reply(500, {"error": {"code": "TestVaultDefect", "message": entry["error"]}}), None
            if not self._send(reply, rule, entry) or not self.keep:
                return

    def _send(self, reply, rule, entry):
        """Log, then send: whoever has the reply finds it in the log. True if the connection stays."""
        faulty = rule is not None and rule.group == "transport" and rule.kind != "slow"
        entry["status"] = transport.status(reply, rule) if faulty else reply.status
        entry["ms"] = round((time.time() - entry["time"]) * 1000, 2)
        self.listener.log.add(entry)
        if faulty:
            return transport.send(self, reply, rule)
        self.sock.sendall(reply.head(() if self.keep else (("Connection", "close"),)) + reply.body)
        return True

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def goodbye(self):
        """Close so that the peer sees an orderly end (TLS close_notify)."""
        if isinstance(self.sock, ssl.SSLSocket):
            try:
                self.sock.settimeout(0.3)
                self.sock.unwrap()
            except (OSError, ValueError):
                pass


class Listener:
    """One listening port. contexts: {'': right SSLContext, fault: wrong one} or None."""

    def __init__(self, address, app, log, faults, contexts=None):
        self.app, self.log, self.faults, self.contexts = app, log, faults, contexts
        self.open = {}
        self.lock = threading.Lock()
        self.number = 0
        self.sock = None
        self.address = address
        self.up()

    def up(self):
        if self.sock is None:
            self.sock = socket.create_server(self.address, backlog=128)
            self.address = self.sock.getsockname()[:2]
            threading.Thread(target=self._accept, args=(self.sock,), daemon=True).start()
        return time.time()

    def down(self):
        """Refuse new connections and drop the open ones. up() takes the same port."""
        sock, self.sock = self.sock, None
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self.drop()
        return time.time()

    def drop(self):
        with self.lock:
            for sock in self.open.values():
                try:
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
                except OSError:
                    pass
        return time.time()

    def _accept(self, listening):
        while True:
            try:
                sock, peer = listening.accept()
            except OSError:
                if self.sock is not listening:
                    return
                time.sleep(0.05)
                continue
            threading.Thread(target=self._run, args=(listening, sock, peer[0]), daemon=True).start()

    def _enter(self, listening, sock):
        """The connection's number, from now on it can be dropped; None when the listener is down already."""
        with self.lock:
            if self.sock is not listening:
                return None
            self.number += 1
            self.open[self.number] = sock
            return self.number

    def _handshake(self, sock, kind, number):
        """The socket to speak HTTP on; None if a fault ended it."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.contexts is None:
            return sock
        if kind and kind.startswith("tls-"):
            return transport.no_handshake(sock, kind)
        sock.settimeout(60)
        with self.lock:
            # wrapping takes the descriptor over
            self.open[number] = secure = self.contexts[kind or ""].wrap_socket(sock, server_side=True,
                                                                               do_handshake_on_connect=False)
        secure.do_handshake()
        return secure

    def _run(self, listening, sock, peer):
        number = self._enter(listening, sock)
        if number is None:
            sock.close()
            return
        conn, error, defect = None, None, False
        rule = self.faults.take("connect") if self.contexts else None
        fault = rule.kind if rule else None
        started = time.time()
        try:
            secure = self._handshake(sock, fault, number)
            if secure is not None:
                sock = secure
                conn = Connection(self, sock, peer, number)
                conn.serve()
                conn.goodbye()
        except Gone:
            pass
        except Exception as e:
            error = "%s: %s" % (type(e).__name__, e)
            defect = not isinstance(e, (OSError, ValueError))     # this server's own: the self tests look for it
        finally:
            with self.lock:
                last = self.open.pop(number)
            last.close()
        if defect or self.contexts is not None and (conn is None or not conn.served) and (error or fault):
            entry = {"time": started, "where": self.app.where, "conn": number, "peer": peer, "op": "connect",
                     "status": 0, "fault": fault, "error": error}
            self.log.add(dict(entry, defect=True) if defect else entry)
