# SPDX-License-Identifier: Apache-2.0
"""Checks of cmkd-vault that are more than one fault and one verdict. Each takes the bench; returns None, or why not."""

import base64
import json
import os
import socket
import struct
import time

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import worker_recipes
from worker_client import DELIVER, FRESH_TOKEN, GET_KEY, MAGIC, REQUEST, UNWRAP, VERSION, frame, request, wait_for

MORE = {}


def check(f):
    MORE[f.__name__.replace("_", "-")] = f
    return f


def differs(what, got, wanted):
    return None if got == wanted else "%s is %r, expected %r" % (what, got, wanted)


def first(*reasons):
    return next((r for r in reasons if r), None)


@check
def lies_are_left_to_the_challenge(b):
    """The worker hands on what the vault said; the manager compares."""
    b.challenge()
    why = None
    for kind in ("wrong-plaintext", "from-memory"):
        b.vault.fault(kind, op="unwrap", count=1)
        y = b.challenge()
        why = why or differs(kind, (y.verdict, y.blob == b.plain), ("GRANTED", False))
    return why


@check
def public_key_is_what_its_owner_computes(b):
    """By cmkd-vault(8); the file is made of the vault's JWK as az makes it."""
    where = "http://127.0.0.1:%d/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%%3A%%2F%%2Fvault.azure.net"
    token = json.loads(worker_recipes.fetch(where % b.vault.info["metadata_port"], None, {"Metadata": "true"}))["access_token"]
    jwk = json.loads(worker_recipes.fetch(b.kid + "?api-version=7.4", b.vault.info["ca"], {"Authorization": "Bearer " + token}))["key"]
    n, e = (int.from_bytes(base64.urlsafe_b64decode(jwk[part] + "=="), "big") for part in ("n", "e"))
    pem = rsa.RSAPublicNumbers(e, n).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return differs("digest", worker_recipes.azure(pem), worker_recipes.digest_of(b.spki))


@check
def standard_base64_is_refused(b):
    b.vault.fault("std-base64", op="unwrap")
    for _ in range(60):     # until a plaintext shows the difference
        y = b.challenge()
        if set(base64.b64encode(b.plain)) & set(b"+/"):
            return differs("verdict", y.verdict, "BROKEN")
    return "never drew a + or /"


# the allow-list: nothing leaves

@check
def not_allowed_is_not_sent(b):
    before = len(b.vault.log())
    b.silent.knocks()
    port = b.silent.port
    tries = {
        "host": b.client.call(GET_KEY, "https://127.0.0.1:%d/keys/k1" % b.vault.info["vault_port"]),
        "port": b.client.call(GET_KEY, "https://localhost:%d/keys/k1" % port),
        "key": b.client.call(GET_KEY, b.kid.replace("/k1/", "/k9/")),
        "vault": b.client.call(GET_KEY, b.kid, vault="elsewhere"),
        "other vault's key": b.client.call(GET_KEY, "https://localhost:%d/keys/k2" % port, vault="nobody-there"),
    }
    why = first(*(differs(k, (y.verdict, y.code), ("MISCONFIGURED", "not allowed")) for k, y in tries.items()))
    return first(why, differs("requests at the vault", len(b.vault.log()), before),
                 differs("connections at the listener", b.silent.knocks(), 0))


@check
def the_listener_would_hear(b):
    """The control of the check before: an allowed request is heard."""
    y = b.client.call(GET_KEY, "https://localhost:%d/keys/k1" % b.silent.port, vault="nobody-there", timeout_ms=600)
    return first(differs("verdict", y.verdict, "UNREACHABLE"), differs("heard", b.silent.knocks() > 0, True))


@check
def redirect_is_not_followed(b):
    b.silent.knocks()
    why = None
    for op, flags in (("unwrap", 0), ("token", FRESH_TOKEN)):
        for scheme in ("https", "http"):
            b.vault.ctl("fault-clear")
            b.vault.fault("redirect", op=op, url="%s://localhost:%d/" % (scheme, b.silent.port))
            why = why or differs(op, b.challenge(flags=flags).verdict, "BROKEN")
    return first(why, differs("connections elsewhere", b.silent.knocks(), 0))


@check
def only_the_configured_authority_counts(b):
    y = b.client.call(GET_KEY, b.kid, vault="system-ca")
    z = b.client.call(GET_KEY, b.kid, vault="no-ca")
    return first(differs("system's", (y.verdict, y.code), ("UNREACHABLE", "curl: certificate")),
                 differs("missing file", (z.verdict, z.code), ("MISCONFIGURED", "configuration")))


@check
def name_that_does_not_resolve(b):
    start = time.monotonic()
    y = b.client.call(GET_KEY, "https://no-such-host.invalid/keys/k1", vault="no-name", timeout_ms=2000)
    return first(differs("verdict", y.verdict, "UNREACHABLE"), differs("in time", time.monotonic() - start < 3, True))


@check
def no_metadata_endpoint(b):
    start = time.monotonic()
    y = b.client.call(GET_KEY, b.kid, vault="no-metadata", timeout_ms=1000)
    return first(differs("verdict", (y.verdict, y.status), ("UNREACHABLE", 0)),
                 differs("in time", time.monotonic() - start < 2, True))


@check
def vault_is_down_and_comes_back(b):
    b.vault.ctl("down", which="vault")
    y = b.challenge()
    b.vault.ctl("up", which="vault")
    return first(differs("down", (y.verdict, y.code), ("UNREACHABLE", "curl: no connection")),
                 differs("up", b.challenge().verdict, "GRANTED"))


# tokens

def tokens_asked(b, since):
    return len(b.vault.log(since=since, op="token"))


def last_seq(b):
    rows = b.vault.log()
    return rows[-1]["seq"] if rows else 0


@check
def twenty_at_once_share_one_token(b):
    b.connect_to_new_worker()
    since = last_seq(b)
    blob = b.wrap(b.spki, b"\5" * 32)
    b.vault.fault("slow", op="token", delay=400, count=1)
    ids = [b.client.send(UNWRAP, b.kid, blob) for _ in range(20)]
    replies = [b.client.receive(i) for i in ids]
    return first(differs("granted", sum(y.verdict == "GRANTED" and y.blob == b"\5" * 32 for y in replies), 20),
                 differs("token requests", tokens_asked(b, since), 1))


@check
def a_failed_fetch_is_shared_too(b):
    b.connect_to_new_worker()
    since = last_seq(b)
    b.vault.fault("imds-429", op="token", delay=400)
    ids = [b.client.send(GET_KEY, b.kid) for _ in range(10)]
    replies = [b.client.receive(i) for i in ids]
    return first(differs("throttled", {y.verdict for y in replies}, {"THROTTLED"}),
                 differs("few token requests", tokens_asked(b, since) <= 2, True))


@check
def invalidated_token_is_replaced_once(b):
    b.challenge()
    since = last_seq(b)
    b.vault.ctl("token-invalidate")
    y = b.challenge()
    return first(differs("verdict", y.verdict, "GRANTED"), differs("token requests", tokens_asked(b, since), 1),
                 differs("token time said", y.token_usec > 0, True))


@check
def a_401_for_a_fresh_token_is_not_retried(b):
    since = last_seq(b)
    b.vault.fault("akv10046", op="unwrap")
    y = b.challenge(flags=FRESH_TOKEN)
    return first(differs("verdict", y.verdict, "DENIED_WEAK"),
                 differs("requests", len(b.vault.log(since, "unwrap")), 1))


@check
def metadata_hiccup_is_retried(b):
    b.vault.fault("imds-500", op="token", count=1)
    return differs("verdict", b.challenge(flags=FRESH_TOKEN).verdict, "GRANTED")


@check
def good_token_outlives_a_dead_metadata_endpoint(b):
    b.challenge()
    b.vault.ctl("down", which="metadata")
    y = b.challenge()
    b.vault.ctl("up", which="metadata")
    return first(differs("verdict", y.verdict, "GRANTED"), differs("token time", y.token_usec, 0))


# connections

def connections(rows):
    return len({r["conn"] for r in rows})


@check
def one_connection_for_many_requests(b):
    b.connect_to_new_worker()
    since = last_seq(b)
    for _ in range(20):
        b.challenge()
    rows = b.vault.log(since=since, op="unwrap")
    return first(differs("requests", len(rows), 20), differs("connections", connections(rows), 1))


@check
def fresh_connection_is_one(b):
    b.challenge()
    since = last_seq(b)
    for _ in range(3):
        b.fresh()
    return differs("connections", connections(b.vault.log(since=since, op="unwrap")), 3)


@check
def request_ids_both_ways(b):
    since = last_seq(b)
    ident = "01234567-89ab-4cde-8f01-23456789abcd"
    y = b.challenge(client_id=ident)
    row = b.vault.log(since=since, op="unwrap")[0]
    return first(differs("ours", row["client_request_id"], ident),
                 differs("the vault's", y.request_id, row["request_id"]),
                 differs("round trip said", 0 < y.round_trip_usec < 5000000, True))


# releases

@check
def release_goes_into_the_pipe_only(b):
    w = os.urandom(64)
    y, got = b.client.release(b.kid, b.wrap(b.spki, w))
    seen = b"".join(b.client.frames)
    return first(differs("verdict", y.verdict, "GRANTED"), differs("delivered", (y.delivered, got == w), (64, True)),
                 differs("in the frame", (len(y.blob), w in seen, base64.urlsafe_b64encode(w)[:40] in seen),
                         (0, False, False)))


def asked_by_a_release(b):
    """(what the vault and the metadata endpoint were asked, on which connections to the vault), or why it failed."""
    since = last_seq(b)
    y, got = b.client.release(b.kid, b.wrap(b.spki, os.urandom(64)))
    assert (y.verdict, len(got)) == ("GRANTED", 64), repr(y)
    rows = b.vault.log(since=since)
    return [r["op"] for r in rows], {r["conn"] for r in rows if r["op"] == "unwrap"}


@check
def a_release_is_one_token_and_one_unwrap(b):
    b.connect_to_new_worker()
    ops, _ = asked_by_a_release(b)
    return differs("asked without a token", ops, ["token", "unwrap"])


@check
def a_release_takes_the_token_and_the_connection_that_are_there(b):
    b.connect_to_new_worker()
    since = last_seq(b)
    b.challenge()
    before = {r["conn"] for r in b.vault.log(since=since, op="unwrap")}
    ops, conns = asked_by_a_release(b)
    return first(differs("asked with a token", ops, ["unwrap"]), differs("connections", conns, before))


@check
def secret_does_not_come_without_deliver(b):
    w = os.urandom(64)
    y = b.client.call(UNWRAP, b.kid, b.wrap(b.spki, w))
    return first(differs("verdict", (y.verdict, y.code), ("BROKEN", "length")),
                 differs("bytes", (y.blob, w in y.raw), (b"", False)))


@check
def release_of_another_length_is_not_delivered(b):
    why = None
    for n in (1, 32, 63, 65):
        y, got = b.client.release(b.kid, b.wrap(b.spki, os.urandom(n)))
        why = why or differs("%d bytes" % n, (y.verdict, y.delivered, got), ("BROKEN", 0, b""))
    return why


@check
def refused_release_delivers_nothing(b):
    b.vault.fault("key-disabled", op="unwrap")
    y, got = b.client.release(b.kid, b.wrap(b.spki, os.urandom(64)))
    return differs("reply", (y.verdict, y.delivered, got), ("REVOKED", 0, b""))


@check
def deliver_without_pipe_and_pipe_without_deliver(b):
    blob = b.wrap(b.spki, os.urandom(64))
    y = b.client.call(UNWRAP, b.kid, blob, flags=DELIVER)
    z, got = b.client.release(b.kid, blob, flags=0)
    fd = os.open("/dev/null", os.O_WRONLY)
    q = b.client.receive(b.client.send(UNWRAP, b.kid, blob, pipe=fd, flags=DELIVER))
    os.close(fd)
    return differs("codes", [y.code, z.code, q.code, got], ["pipe", "pipe", "pipe", b""])


@check
def closed_pipe_is_no_crash(b):
    r, w = os.pipe()
    os.close(r)
    ident = b.client.send(UNWRAP, b.kid, b.wrap(b.spki, os.urandom(64)), pipe=w, flags=DELIVER)
    os.close(w)
    y = b.client.receive(ident)
    return differs("reply", (y.verdict, y.code, y.delivered), ("UNREACHABLE", "delivery", 0))


def search_memory(pid, needles):
    """Which of the needles stand in the process's memory. As root."""
    found = set()
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in maps:
            area, mode = line.split()[:2]
            start, end = (int(x, 16) for x in area.split("-"))
            if "r" not in mode or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            try:
                mem.seek(start)
                data = mem.read(end - start)
            except (OSError, ValueError):
                continue        # secret memory: not even root reads it
            found |= {name for name, needle in needles.items() if needle in data}
    return found


@check
def nothing_of_a_release_stays_in_memory(b):
    b.connect_to_new_worker()
    b.challenge()
    if os.geteuid() != 0 or "libasan" in open("/proc/%d/maps" % b.worker.proc.pid).read():
        return None         # only root may look; and that allocator keeps freed blocks as they are
    w = os.urandom(64)
    b.client.release(b.kid, b.wrap(b.spki, w))
    text = base64.urlsafe_b64encode(w).rstrip(b"=")
    pid = b.worker.proc.pid
    control = search_memory(pid, {"control": b.kid.rpartition("/")[2].encode()})    # a thing that is surely there
    found = search_memory(pid, {"secret": w, "half of it": w[:32], "other half": w[32:], "text": text,
                                "start of the text": text[:24], "end of the text": text[-24:]})
    return first(None if control else "the search does not find what is there",
                 differs("found", found, set()))


@check
def worker_ends_after_a_release_and_comes_back(b):
    b.connect_to_new_worker()
    b.client.release(b.kid, b.wrap(b.spki, os.urandom(64)))
    start = time.monotonic()
    wait_for(lambda: b.worker.proc.poll() is not None)
    took = time.monotonic() - start
    code = b.worker.proc.returncode
    b.reset()
    return first(differs("exit status", code, 0), differs("after about 2 s", 1.5 < took < 9, True),
                 differs("after", b.challenge().verdict, "GRANTED"))


@check
def worker_stays_while_nothing_was_released(b):
    b.connect_to_new_worker()
    b.challenge()
    time.sleep(2.6)         # longer than the worker lives after a release
    return differs("exit status", b.worker.proc.poll(), None)


# frames

@check
def bad_frames_cost_the_connection_only(b):
    good = request(GET_KEY, b.kid)
    bad = {
        "short": b"xx", "magic": b"\0" * 16, "version": struct.pack("<IHHII", MAGIC, VERSION + 1, REQUEST, 1, 0),
        "type": frame(0x0102, 1, good), "empty": frame(REQUEST, 1, b""), "trailing": frame(REQUEST, 1, good + b"x"),
        "cut": frame(REQUEST, 1, good[:-3]), "length": frame(REQUEST, 1, good)[:-1],
        "operation": frame(REQUEST, 1, request(99, b.kid)),
        "uri": frame(REQUEST, 1, request(GET_KEY, "http://localhost/keys/k")),
        "client id": frame(REQUEST, 1, request(GET_KEY, b.kid, client_id="a\r\nX: y")),
        "vault": frame(REQUEST, 1, request(GET_KEY, b.kid, vault="../x")),
        "blob": frame(REQUEST, 1, request(UNWRAP, b.kid, b"x" * 1025)),
    }
    why = None
    for name, data in bad.items():
        c = b.worker.client()
        c.sock.settimeout(5)
        c.sock.send(data)
        try:
            why = why or differs(name, c.sock.recv(65536), b"")
        except ConnectionResetError:
            pass
        c.sock.close()
    return first(why, differs("the other connection", b.challenge().verdict, "GRANTED"))


@check
def unversioned_unwrap_and_other_algorithms(b):
    blob = b.wrap(b.spki, os.urandom(32))
    y = b.client.call(UNWRAP, b.kid.rpartition("/")[0], blob)
    z = b.client.call(UNWRAP, b.kid, blob, algorithm="RSA1_5")
    q = b.client.call(UNWRAP, b.kid, b"")
    return differs("codes", [(v.verdict, v.code) for v in (y, z, q)],
                   [("MISCONFIGURED", "request"), ("MISCONFIGURED", "algorithm"), ("MISCONFIGURED", "request")])


@check
def too_many_requests_are_told_so(b):
    b.connect_to_new_worker()
    b.challenge()
    b.vault.fault("hang", op="get")
    ids = [b.client.send(GET_KEY, b.kid, timeout_ms=4000) for _ in range(200)]
    replies = [b.client.receive(i) for i in ids]
    b.vault.ctl("fault-clear")
    codes = [y.code for y in replies]
    return first(differs("verdicts", {y.verdict for y in replies}, {"UNREACHABLE"}),
                 differs("busy", 0 < codes.count("busy") <= 40, True),
                 differs("afterwards", b.challenge().verdict, "GRANTED"))


@check
def releases_that_hang_leave_room_for_challenges(b):
    b.connect_to_new_worker()
    b.challenge()
    b.vault.ctl("fault-set", kind="hang", op="unwrap", key="k2")
    r, w = os.pipe()
    try:
        hanging = b.create("k2")
        blob = b.wrap(b.spki, os.urandom(64))
        ids = [b.client.send(UNWRAP, hanging, blob, pipe=w, flags=DELIVER, timeout_ms=6000) for _ in range(130)]
        began = time.monotonic()
        verdicts = [b.challenge().verdict for _ in range(3)]
        took = time.monotonic() - began
        replies = [b.client.receive(i) for i in ids]
    finally:
        os.close(r)
        os.close(w)
    b.vault.ctl("fault-clear")
    return first(differs("challenges", verdicts, ["GRANTED"] * 3), differs("in time", took < 3, True),
                 differs("releases", {y.verdict for y in replies}, {"UNREACHABLE"}),
                 differs("busy", [y.code for y in replies].count("busy"), 130 - 24 - 96),
                 differs("afterwards", b.challenge().verdict, "GRANTED"))


@check
def client_that_goes_away_is_forgotten(b):
    b.vault.fault("slow", op="unwrap", delay=400, count=3)
    c = b.worker.client()
    for _ in range(3):
        c.send(UNWRAP, b.kid, b.wrap(b.spki, os.urandom(32)))
    c.sock.close()
    return differs("another client", b.challenge().verdict, "GRANTED")


# the process

def status_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


@check
def privileges_are_gone(b):
    b.challenge()
    s = status_of(b.worker.proc.pid)
    none = "0" * 16
    why = first(*(differs(k, s[k], none) for k in ("CapInh", "CapPrm", "CapEff", "CapAmb")),
                differs("NoNewPrivs", s["NoNewPrivs"], "1"))
    if os.geteuid() == 0:
        why = first(why, differs("root among", "0" in s["Uid"].split() + s["Gid"].split(), False),
                    differs("groups", s["Groups"].strip(), ""), differs("CapBnd", s["CapBnd"], none))
    with open("/proc/%d/maps" % b.worker.proc.pid) if os.geteuid() == 0 else open(os.devnull) as f:
        sanitized = "libasan" in f.read()
    return why or (None if sanitized else differs("seccomp", s["Seccomp"], "2"))


@check
def it_has_limits(b):
    """Also where no unit gives it any, as in an initramfs."""
    b.challenge()
    with open("/proc/%d/limits" % b.worker.proc.pid) as f:
        hard = {line[:26].strip(): line[26:].split()[1] for line in f}
    with open("/proc/%d/maps" % b.worker.proc.pid) if os.geteuid() == 0 else open(os.devnull) as f:
        sanitized = "libasan" in f.read()
    wanted = {"Max core file size": 0, "Max open files": 512, "Max file size": 1 << 20}
    if os.geteuid() == 0 and not sanitized:             # its shadow is larger
        wanted["Max address space"] = 2 << 30
    return first(*(differs(k, hard[k], str(v)) for k, v in wanted.items()))


@check
def hangup_and_terminate(b):
    import signal
    b.connect_to_new_worker()
    b.challenge()
    b.worker.proc.send_signal(signal.SIGHUP)
    why = differs("after SIGHUP", b.worker.proc.wait(5), 0)
    b.reset()
    why = why or differs("started again", b.challenge().verdict, "GRANTED")
    b.vault.fault("slow", op="unwrap", delay=500, count=1)
    ident = b.client.send(UNWRAP, b.kid, b.wrap(b.spki, b"\7" * 32))
    wait_for(lambda: any(r["op"] == "unwrap" for r in b.vault.ctl("fault-list")["faults"]) is False)
    b.worker.proc.terminate()
    y = b.client.receive(ident)     # what is under way ends first
    return first(why, differs("reply", (y.verdict, y.blob), ("GRANTED", b"\7" * 32)),
                 differs("after SIGTERM", b.worker.proc.wait(5), 0))


@check
def older_configuration_ends_the_worker(b):
    """Nothing is answered from a configuration that is older than the asker's; the next worker's is not."""
    b.connect_to_new_worker()
    b.challenge()
    sent = b.vault.log(op="unwrap")
    asked = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    ident = b.client.send(UNWRAP, b.kid, b.wrap(b.spki, b"\7" * 32), configured_usec=asked)
    try:
        return "answered: %r" % b.client.receive(ident)
    except EOFError:
        why = differs("status", b.worker.proc.wait(5), 0)
    b.reset()
    return first(why, differs("sent on", b.vault.log(op="unwrap"), sent),
                 differs("the next one", b.challenge(configured_usec=asked).verdict, "GRANTED"))


@check
def connected_socket_ends_with_its_peer(b):
    import subprocess
    from worker_client import Client
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    p = subprocess.Popen([b.worker.program, "--socket-fd", str(theirs.fileno()), "--root", b.worker.root],
                         pass_fds=[theirs.fileno()], env={"ASAN_OPTIONS": "detect_leaks=0"})
    theirs.close()
    c = Client(ours)
    y = c.call(GET_KEY, b.kid)
    ours.close()
    return first(differs("verdict", y.verdict, "GRANTED"), differs("exit status", p.wait(5), 0))


@check
def systemd_socket_and_listen(b):
    import subprocess
    from worker_client import Client
    path = os.path.join(b.dir, "listen.sock")
    env = {"ASAN_OPTIONS": "detect_leaks=0"}
    p = subprocess.Popen([b.worker.program, "--listen", path, "--root", b.worker.root], env=env)
    wait_for(lambda: os.path.exists(path))
    mode = os.stat(path).st_mode & 0o777
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wait_for(lambda: s.connect_ex(path) == 0)
    y = Client(s).call(GET_KEY, b.kid)
    p.terminate()
    p.wait(5)
    script = 'exec 3<&"$1"; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$2" --root "$3"'
    fd = b.worker.listener.fileno()
    b.worker.stop()
    b.worker.proc = subprocess.Popen(["/bin/bash", "-c", script, "-", str(fd), b.worker.program, b.worker.root],
                                     pass_fds=[fd],
                                     env=env)
    b.connect()
    z = b.challenge()
    b.worker.restart()
    return first(differs("mode", mode, 0o600), differs("--listen", y.verdict, "GRANTED"),
                 differs("LISTEN_FDS", z.verdict, "GRANTED"))


@check
def usage_and_configuration(b):
    import subprocess

    def run(*args):
        return subprocess.run([b.worker.program, *args], capture_output=True, text=True,
                              env={"ASAN_OPTIONS": "detect_leaks=0"})
    bad = os.path.join(b.dir, "bad/etc/cmkd")
    os.makedirs(bad, exist_ok=True)
    with open(os.path.join(bad, "cmkd.conf"), "w") as f:
        f.write("[Vault x]\nHots=a\n")
    wrong = run("--check-config", "--root", os.path.join(b.dir, "bad"))
    return first(differs("good", run("--check-config", "--root", b.worker.root).returncode, 0),
                 differs("bad", wrong.returncode, 1),
                 differs("hint", "Host=" in wrong.stderr, True),
                 differs("unknown option", run("--frobnicate").returncode, 2),
                 differs("no socket", run("--root", b.worker.root).returncode, 1),
                 differs("help", run("--help").returncode, 0))
