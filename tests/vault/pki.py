# SPDX-License-Identifier: Apache-2.0
"""Certificates of the test vault: one CA per DIR, a server certificate for its
names, and three wrong ones for the fault modes (other name, other CA, expired).
Everything is reused across restarts; a certificate whose names no longer match
what was asked for is made anew under the same CA."""

import datetime
import ipaddress
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

WRONG = ("wrong-cert-name", "wrong-cert-ca", "wrong-cert-expired")


def _now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def _new_key(kind):
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def write_file(path, data, mode=0o600):
    """Atomic: a reader sees the old file or the new one."""
    tmp = "%s.tmp.%d" % (path, os.getpid())
    fd = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "wb") as f:
        f.write(data)
    os.replace(tmp, path)


def _pem_key(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def _name(cn):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])


def _general_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def make_ca(cn):
    key = _new_key("ec")
    now = _now()
    usage = x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                          key_encipherment=False, data_encipherment=False, key_agreement=False,
                          encipher_only=False, decipher_only=False)
    cert = (x509.CertificateBuilder().subject_name(_name(cn)).issuer_name(_name(cn))
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=2))
            .not_valid_after(now + datetime.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256()))
    return key, cert


def issue(ca_key, ca_cert, names, kind="ec", expired=False):
    key = _new_key(kind)
    now = _now()
    end = now - datetime.timedelta(days=1) if expired else now + datetime.timedelta(days=825)
    cert = (x509.CertificateBuilder().subject_name(_name(names[0])).issuer_name(ca_cert.subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=2)).not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256()))
    return key, cert


def client_certificate(name):
    """(PEM of a certificate that nobody signed but itself, PEM of its key, RSA)."""
    key, now = _new_key("rsa"), _now()
    cert = (x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(name)).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=9)).sign(key, hashes.SHA256()))
    return cert.public_bytes(serialization.Encoding.PEM).decode(), _pem_key(key).decode()


def _save(base, key, cert):
    write_file(base + ".key", _pem_key(key))
    write_file(base + ".pem", cert.public_bytes(serialization.Encoding.PEM), 0o644)


def _load(base):
    with open(base + ".key", "rb") as f:
        key = serialization.load_pem_private_key(f.read(), password=None)
    with open(base + ".pem", "rb") as f:
        cert = x509.load_pem_x509_certificate(f.read())
    return key, cert


def _names_of(cert):
    san = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(n.value) for n in san}


def _ensure_ca(base, cn):
    if not (os.path.exists(base + ".key") and os.path.exists(base + ".pem")):
        _save(base, *make_ca(cn))
    return _load(base)


def _ensure_leaf(base, ca, names, kind, expired=False):
    if os.path.exists(base + ".pem") and os.path.exists(base + ".key"):
        _, cert = _load(base)
        if _names_of(cert) == set(names) and cert.issuer == ca[1].subject:
            return
    _save(base, *issue(ca[0], ca[1], names, kind, expired))


def _context(base):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.minimum_version = ssl.TLSVersion.TLSv1_2
    ctx.load_cert_chain(base + ".pem", base + ".key")
    return ctx


def contexts(directory, names, kind="ec", cert_file=None, key_file=None):
    """{'' : the right SSLContext, 'wrong-cert-…': the wrong ones}; writes DIR/ca.pem."""
    path = lambda n: os.path.join(directory, n)
    ca = _ensure_ca(path("ca"), "cmkd test vault CA")
    other = _ensure_ca(path("other-ca"), "somebody else's CA")
    _ensure_leaf(path("server"), ca, names, kind)
    _ensure_leaf(path("wrong-cert-name"), ca, ["elsewhere.test"], kind)
    _ensure_leaf(path("wrong-cert-ca"), other, names, kind)
    _ensure_leaf(path("wrong-cert-expired"), ca, names, kind, expired=True)
    out = {w: _context(path(w)) for w in WRONG}
    if cert_file:
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.minimum_version = ssl.TLSVersion.TLSv1_2
        ctx.load_cert_chain(cert_file, key_file or cert_file)
        out[""] = ctx
    else:
        out[""] = _context(path("server"))
    return out
