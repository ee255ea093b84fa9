# SPDX-License-Identifier: Apache-2.0
"""The one call of a Kubernetes API server that a vault's kubernetes login makes: TokenReview, over TLS. It knows the service
accounts whose tokens it was told, and nothing else."""

import http.server
import json
import ssl
import threading

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


class TokenReview:
    """key, certificate: PEM files, for localhost. accounts: token -> (namespace, service account). fails: every review is
    a 500."""

    def __init__(self, certificate, key, accounts):
        self.accounts, self.reviewed, self.fails = accounts, [], False
        review = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = review.answer(self.path, body)
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = "https://localhost:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path, body):
        if path != PATH:
            return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}
        if self.fails:
            return 500, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500}
        token = body["spec"]["token"]
        self.reviewed.append(token)
        if token not in self.accounts:
            return 201, {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": {"authenticated": False, "error": "invalid bearer token"}}
        name = "%s:%s" % self.accounts[token]
        user = {"username": "system:serviceaccount:" + name, "uid": "0d1c6d4e-uid",
                "groups": ["system:serviceaccounts", "system:authenticated"]}
        return 201, {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": {"authenticated": True, "user": user, "audiences": body["spec"].get("audiences", [])}}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
