# SPDX-License-Identifier: Apache-2.0
"""For worker-transit: which server is asked, and whose word counts. Several of one cluster, a standby that sends elsewhere, a stranger in
the old one's place."""

import os
import time

from worker_bench import Bench
from worker_client import CHECK_DELETED, FRESH_CONNECTION, FRESH_TOKEN, GET_KEY, UNWRAP

D, U, R, G, T = "DENIED", "UNREACHABLE", "REVOKED", "GRANTED", "THROTTLED"


class Places:
    """What Transit has of it; the rest of what is used here is there."""

    def stranger_seq(self):
        return ([{"seq": 0}] + self.stranger.log())[-1]["seq"]

    def stranger_saw(self, since):
        return {r["op"] for r in self.stranger.log(since=since)}

    def check_redirect_is_not_followed(self):
        self.act("answer", "decrypt", 307, 1, "https://localhost:%d/v1/transit/decrypt/k1" % self.silent.port)
        self.expect(self.challenge(), U, "redirect")
        assert self.silent.knocks() == 0, "the token went elsewhere"

    def check_redirect_to_a_host_that_is_listed(self):
        there = "https://127.0.0.1:%d/v1/transit/decrypt/" % self.vault.info["vault_port"]
        before = self.count("decrypt")
        self.act("answer", "decrypt", 307, 1, there + "k1")
        self.expect(self.challenge(), G)
        assert self.count("decrypt") == before + 2
        self.act("answer", "decrypt", 307, 1, there + "gone")
        self.expect(self.challenge(), U, "redirect")
        self.act("answer", "decrypt", 307, 2, there + "k1")           # and from there again
        self.expect(self.challenge(), U, "redirect")
        self.act("answer", "login", 307, 1, there.replace("transit/decrypt", "auth/approle") + "login")
        self.expect(self.challenge(flags=FRESH_TOKEN), G)

    def check_redirect_to_another_cluster(self):
        """A host that is listed is asked for its cluster first: it sees no token and no secret id, and its word counts for nothing."""
        challenge, uri = self.other("led", "led"), self.uri.replace("k1", "led") + "/1"
        there = "https://localhost:%d/v1/" % self.stranger.info["vault_port"]

        def stranger(action, *words):
            return self.stranger.ctl("transit", action=action, words=[str(w) for w in words])
        own, since = stranger("show")["cluster_id"], self.stranger_seq()
        stranger("answer", "any", 400, 0, "refusing to use soft-deleted key")
        self.act("answer", "decrypt", 307, 2, there + "transit/decrypt/led")
        self.expect(challenge(), U, "other cluster")
        self.expect(challenge(flags=FRESH_CONNECTION), U, "other cluster")
        self.act("answer", "read", 307, 1, there + "transit/keys/led")
        self.expect(self.worker.client("led").call(CHECK_DELETED, uri), U, "other cluster")
        self.act("answer", "login", 307, 1, there + "auth/approle/login")
        self.expect(challenge(flags=FRESH_TOKEN), U, "other cluster")
        assert self.stranger_saw(since) == {"health"}
        # one that is of it is believed; not any more once it is of another, though it was known a moment ago
        for cluster, verdict, code in ((self.cluster, R, "key soft-deleted"), (own, U, "other cluster")):
            stranger("cluster", cluster)
            self.act("answer", "decrypt", 307, 1, there + "transit/decrypt/led")
            self.expect(challenge(), verdict, code)
            assert self.stranger.log()[-2]["op"] == "decrypt", self.stranger.log()[-3:]
        stranger("clear")
        self.expect(challenge(), G)

    def check_health_is_not_redirected(self):
        """Of a stranger that sends the question on to a server of ours."""
        challenge = self.several("wrong", "localhost", self.stranger.info["vault_port"])
        self.stranger.ctl("transit", action="answer", words=["health", "307", "0", "https://localhost:%d/v1/sys/health" % (
            self.vault.info["vault_port"]) + "?standbyok=true&perfstandbyok=true"])
        since = self.stranger_seq()
        self.expect(challenge(), G)
        assert self.stranger_saw(since) == {"health"}
        self.stranger.ctl("transit", action="clear")

    def check_health_of_a_standby(self):
        """Which says 429 where it is not told to say 200: no throttling there, and of the cluster all the same."""
        for status in (429, 473):
            self.worker.restart()
            self.act("health", status)
            self.act("answer", "decrypt", 400, 1, "refusing to use soft-deleted key")
            self.expect(self.challenge(), R, "key soft-deleted")
            self.expect(self.challenge(), G)
        self.act("health", 200)

    def check_other_cluster_revokes_nothing(self):
        self.act("soft-delete", "k1")
        self.expect(self.challenge(), R, "key soft-deleted")
        self.act("cluster", "00000000-0000-0000-0000-000000000000")
        self.expect(self.challenge(), U, "other cluster")
        self.act("cluster", self.cluster)
        self.act("restore", "k1")
        self.expect(self.challenge(), G)

    def check_other_cluster_denies_nothing(self):
        """A new server in the old one's place: it knows no token, no secret id and no key, or another one of the same name."""
        key = "1 error occurred:\n\t* failed to RSA decrypt the ciphertext: crypto/rsa: decryption error\n\n"
        self.act("cluster", "00000000-0000-0000-0000-000000000000")
        self.act("answer", "decrypt", 500, 1, key)
        self.expect(self.challenge(), U, "other cluster")
        self.act("revoke-tokens")
        self.act("answer", "login", 400, 0, "invalid role or secret ID")
        for flags in (0, FRESH_TOKEN | FRESH_CONNECTION):
            self.expect(self.challenge(flags=flags), U, "other cluster")
        self.act("clear")
        logins = self.count("login")
        for restarted in (False, True):
            self.expect(self.challenge(flags=FRESH_TOKEN), U, "other cluster")
            if not restarted:
                self.worker.restart()
        assert self.count("login") == logins, "it was shown the secret id"
        self.act("cluster", self.cluster)
        # what the owner's own cluster says stands
        self.act("answer", "login", 400, 1, "invalid role or secret ID")
        self.expect(self.challenge(flags=FRESH_TOKEN), D, "login refused")
        self.act("answer", "decrypt", 500, 1, key)
        self.expect(self.challenge(), D, "other key")
        self.act("seal")
        self.expect(self.challenge(flags=FRESH_TOKEN), U, "sealed")
        self.worker.restart()
        self.expect(self.challenge(), U, "sealed")
        self.act("unseal")
        self.expect(self.challenge(), G)

    def check_place_that_is_missing_in_a_cluster_that_may_be_any(self):
        """Another server at that address has no such mount either."""
        challenge = self.other("anywhere", "anyone")
        for message, code in (('no handler for route "x"', "no such mount"), ("namespace not found", "no such namespace")):
            self.act("answer", "decrypt", 404, 1, message)
            self.expect(challenge(), U, code)
            self.act("answer", "login", 404, 1, message)
            self.expect(challenge(flags=FRESH_TOKEN), U, code)
            self.act("cluster", "00000000-0000-0000-0000-000000000000")
            self.act("answer", "decrypt", 404, 1, message)
            self.expect(self.challenge(), U, "other cluster")
            self.act("cluster", self.cluster)

    def several(self, vault, host, port):
        """Of a key that several servers have, and a worker that has spoken to none of them yet."""
        if "several" not in self.act("show")["keys"]:
            self.act("create-key", "several")
            self.several_spki = self.expect(self.worker.client("slow").call(GET_KEY, self.uri.replace("k1", "several")), G).spki
        self.worker.restart()
        uri = "https://%s:%d/keys/several/1" % (host, port)

        def challenge(**more):
            plain, begin = os.urandom(32), time.monotonic()
            y = self.worker.client(vault).call(UNWRAP, uri, Bench.wrap(self.several_spki, plain), **more)
            assert y.verdict != G or y.blob == plain
            y.seconds = time.monotonic() - begin
            return y
        return challenge

    def check_servers_one_refuses(self):
        challenge = self.several("refused", "localhost", self.closed.port)
        self.expect(challenge(), G)
        self.act("soft-delete", "several")
        self.expect(challenge(flags=FRESH_CONNECTION), R, "key soft-deleted")
        self.act("restore", "several")
        self.expect(challenge(), G)

    def check_servers_one_says_nothing(self):
        """It costs its head start once, for each request until one was answered; then the other one is asked first."""
        challenge = self.several("hung", "localhost", self.silent.port)
        y = self.expect(challenge(timeout_ms=30000), G)
        knocked = self.silent.knocks()
        assert knocked > 0 and y.seconds < 10, y.seconds
        for _ in range(3):
            self.expect(challenge(timeout_ms=30000), G)
        assert self.silent.knocks() == 0, "asked first again"

    def check_servers_one_of_another_cluster(self):
        """It sees no token and no secret id, and its word on the key counts for nothing."""
        challenge, since = self.several("wrong", "localhost", self.stranger.info["vault_port"]), self.stranger_seq()
        self.expect(challenge(), G)
        self.expect(challenge(flags=FRESH_TOKEN | FRESH_CONNECTION), G)
        assert self.stranger_saw(since) == {"health"}

    def check_servers_one_is_slow(self):
        challenge = self.several("slow", "localhost", self.vault.info["vault_port"])
        self.expect(challenge(), G)
        self.vault.fault("slow", "unwrap", count=1, delay=8000)
        y = self.expect(challenge(timeout_ms=30000), G)
        assert y.seconds < 6, y.seconds
        self.clear()

    def check_servers_a_login_goes_to_one(self):
        """However slow it is; one that does not take logins is not the last one asked."""
        challenge = self.several("slow", "localhost", self.vault.info["vault_port"])
        self.expect(challenge(), G)
        before = self.count("login")
        self.vault.fault("slow", "token", count=1, delay=4000)
        y = self.expect(challenge(flags=FRESH_TOKEN, timeout_ms=30000), G)
        assert y.seconds >= 4 and self.count("login") == before + 1, (y.seconds, self.count("login") - before)
        self.vault.fault("reset", "token", count=1)
        self.expect(challenge(flags=FRESH_TOKEN), U, "curl: no connection")
        assert self.count("login") == before + 2
        self.act("answer", "login", 500, 1, "local node not active but active cluster node not found")
        self.expect(challenge(flags=FRESH_TOKEN), G)
        assert self.count("login") == before + 4
        self.clear()

    def check_servers_one_is_not_in_order(self):
        """Sealed, without a leader, in between something: the next one is asked at once."""
        challenge = self.several("slow", "localhost", self.vault.info["vault_port"])
        self.expect(challenge(), G)
        for status, message in ((503, "Vault is sealed"), (500, "local node not active but active cluster node not found"),
                                (473, "standby"), (307, "https://other.test/"), (412, "lagging"), (502, "upstream")):
            before = self.count("decrypt")
            self.act("answer", "decrypt", status, 1, message)
            self.expect(challenge(), G)
            assert self.count("decrypt") == before + 2, message
        # an answer that counts is not asked for again
        for status, message, verdict in ((400, "refusing to use soft-deleted key", R), (429, "quota", T), (400, "new", D)):
            before = self.count("decrypt")
            self.act("answer", "decrypt", status, 1, message)
            self.expect(challenge(), verdict)
            assert self.count("decrypt") == before + 1, message
        self.act("seal")
        self.expect(challenge(), U)
        self.act("unseal")
        self.expect(challenge(), G)

    def check_servers_none_is_there(self):
        self.expect(self.several("none", "127.0.0.1", self.closed.port)(), U, "curl: no connection")

    def check_servers_all_of_another_cluster(self):
        self.expect(self.several("strangers", "127.0.0.1", self.stranger.info["vault_port"])(), U, "other cluster")

    def check_servers_release(self):
        """W comes by the pipe, once, whoever answered."""
        self.several("hung", "localhost", self.silent.port)
        w = os.urandom(64)
        y, got = self.worker.client("hung").release("https://localhost:%d/keys/several/1" % self.silent.port,
                                                    Bench.wrap(self.several_spki, w), timeout_ms=30000)
        assert (self.expect(y, G).delivered, got) == (64, w)
