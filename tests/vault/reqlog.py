# SPDX-License-Identifier: Apache-2.0
"""Request log and counters. One JSON line a request in DIR/requests.jsonl: never a
token, a plaintext or a wrapped value (bodies and Authorization are not recorded).
Fields: seq, time (arrival), ms, where (vault, metadata), conn, peer, method, path,
op, key, version, identity, client_request_id, request_id, status (0: none was
sent), fault, error. A line is written before its reply is sent, so whoever has the
reply finds it here. Lines with op=connect are TLS handshakes that failed; a line
with defect=true is a fault of this server's own."""

import collections
import json
import os
import threading


class RequestLog:
    def __init__(self, directory):
        self.lock = threading.Lock()
        self.file = open(os.path.join(directory, "requests.jsonl"), "a", buffering=1, encoding="utf-8")
        self.recent = collections.deque(maxlen=20000)
        self.ops = collections.Counter()
        self.codes = collections.Counter()
        self.seq = 0

    def add(self, entry):
        with self.lock:
            self.seq += 1
            entry = dict(seq=self.seq, **entry)
            self.recent.append(entry)
            self.ops[entry["op"]] += 1
            self.codes["%s:%s" % (entry["op"], entry["status"])] += 1
            self.file.write(json.dumps(entry) + "\n")

    def stats(self, reset=False):
        with self.lock:
            out = {"requests": self.seq, "by_op": dict(self.ops), "by_op_status": dict(self.codes)}
            if reset:
                self.ops.clear()
                self.codes.clear()
            return out

    def tail(self, since=0, op=None, count=None):
        with self.lock:
            rows = [e for e in self.recent if e["seq"] > since and op in (None, e["op"])]
        return rows[-count:] if count else rows
