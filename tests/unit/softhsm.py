# SPDX-License-Identifier: Apache-2.0
"""A SoftHSM token store of one's own, and what its owner does there: by softhsm2-util and OpenSC's pkcs11-tool, which nobody here
wrote, and by the module itself where no tool can."""

import ctypes
import os
import shutil
import subprocess
import sys

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "a PIN, with blanks & signs"
CLASS, LABEL, ID, DECRYPT, UNWRAP, PRIVATE_KEY, RW_SERIAL = 0x0, 0x3, 0x102, 0x105, 0x107, 3, 6
NEEDED = ("softhsm2-util", "pkcs11-tool")


def missing():
    """What is not installed, or None."""
    for program in NEEDED:
        if not shutil.which(program):
            return program
    return None if os.path.exists(MODULE) else MODULE


class Store:
    """A token directory of root's, as `cmkctl keys create --local` makes them: the worker's group (nogroup where root runs the
    tests) may read it, and write what SoftHSM writes with each login, which is no key."""

    def __init__(self, directory):
        self.dir = directory
        self.tokens = os.path.join(directory, "tokens")
        self.conf = os.path.join(directory, "softhsm2.conf")
        os.makedirs(self.tokens)
        with open(self.conf, "w") as f:
            f.write("directories.tokendir = %s\nobjectstore.backend = file\nobjectstore.umask = 0027\nlog.level = ERROR\n"
                    % self.tokens)
        os.chmod(self.conf, 0o644)
        self.share()

    def share(self):
        """New files are the worker's to read too."""
        for path, _, files in os.walk(self.tokens):
            for name in [path] + [os.path.join(path, f) for f in files]:
                if os.geteuid() == 0:
                    os.chown(name, 0, 65534)
                writes = os.path.basename(name) in ("token.object", "generation") or name.endswith(".lock")
                os.chmod(name, 0o2750 if os.path.isdir(name) else 0o660 if writes else 0o640)

    def run(self, *argv, check=True):
        p = subprocess.run(argv, env=dict(os.environ, SOFTHSM2_CONF=self.conf), capture_output=True, text=True, timeout=120)
        assert not check or p.returncode == 0, (argv[0], argv[1:3], p.stdout, p.stderr)
        self.share()
        return p

    def token(self, label):
        self.run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "87654321")

    def tool(self, token, *argv, **more):
        return self.run("pkcs11-tool", "--module", MODULE, "--token-label", token, "--login", "--pin", PIN, *argv, **more)

    def key(self, token, label, ident, bits=2048):
        self.tool(token, "--keypairgen", "--key-type", "rsa:%d" % bits, "--label", label, "--id", ident)

    def public(self, token, ident):
        """DER, as OpenSC reads it."""
        path = os.path.join(self.dir, "public.der")
        self.tool(token, "--read-object", "--type", "pubkey", "--id", ident, "-o", path)
        with open(path, "rb") as f:
            return f.read()

    def delete(self, token, ident):
        self.tool(token, "--delete-object", "--type", "privkey", "--id", ident)

    def set(self, token, label, attribute, value):
        """C_SetAttributeValue on the private key with that label, in a process of its own."""
        self.run(sys.executable, os.path.abspath(__file__), token, label, hex(attribute), value.hex())


class Attribute(ctypes.Structure):
    _fields_ = [("type", ctypes.c_ulong), ("value", ctypes.c_void_p), ("size", ctypes.c_ulong)]


def attributes(*pairs):
    kept = [ctypes.create_string_buffer(v, len(v)) for _, v in pairs]
    made = (Attribute * len(pairs))(*[Attribute(t, ctypes.cast(k, ctypes.c_void_p), len(k)) for (t, _), k in zip(pairs, kept)])
    made.kept = kept
    return made


def set_attribute(token, label, attribute, value):
    lib, ul = ctypes.CDLL(MODULE), ctypes.c_ulong
    slots, n, session, found = (ul * 64)(), ul(64), ul(), ul()

    def call(name, *args):
        rv = getattr(lib, name)(*args)
        assert rv == 0, "%s: 0x%x" % (name, rv)

    call("C_Initialize", None)
    call("C_GetSlotList", 1, slots, ctypes.byref(n))
    for slot in slots[:n.value]:
        info = ctypes.create_string_buffer(512)
        call("C_GetTokenInfo", ul(slot), info)
        if info.raw[:32].rstrip() == token.encode():
            break
    call("C_OpenSession", ul(slot), ul(RW_SERIAL), None, None, ctypes.byref(session))
    call("C_Login", session, ul(1), PIN.encode(), ul(len(PIN)))
    wanted = attributes((CLASS, PRIVATE_KEY.to_bytes(8, sys.byteorder)), (LABEL, label.encode()))
    call("C_FindObjectsInit", session, wanted, ul(2))
    call("C_FindObjects", session, ctypes.byref(found), ul(1), ctypes.byref(n))
    assert n.value == 1, "%d keys" % n.value
    call("C_FindObjectsFinal", session)
    call("C_SetAttributeValue", session, found, attributes((attribute, value)), ul(1))


def init_token(label, so_pin):
    """C_InitToken alone: a token that no user can log in to yet."""
    lib, ul = ctypes.CDLL(MODULE), ctypes.c_ulong
    slots, n = (ul * 64)(), ul(64)
    assert lib.C_Initialize(None) == 0 and lib.C_GetSlotList(1, slots, ctypes.byref(n)) == 0
    rv = lib.C_InitToken(ul(slots[n.value - 1]), so_pin.encode(), ul(len(so_pin)), label.encode().ljust(32))
    assert rv == 0, "C_InitToken: 0x%x" % rv


if __name__ == "__main__" and sys.argv[1] == "--init":
    init_token(sys.argv[2], sys.argv[3])
elif __name__ == "__main__":
    set_attribute(sys.argv[1], sys.argv[2], int(sys.argv[3], 16), bytes.fromhex(sys.argv[4]))
