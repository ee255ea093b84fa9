# SPDX-License-Identifier: Apache-2.0
"""Key material: generation, JWK, wrap and unwrap. Nothing here knows of HTTP or state."""

import base64
import binascii
import os
import re
import subprocess
import sys

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from errors import ApiError

RSA_SIZES = (2048, 3072, 4096)
OCT_SIZES = (128, 192, 256)
_B64URL = re.compile(r"^[A-Za-z0-9_-]*$")


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    """Strict: unpadded base64url only, as a client must send it."""
    if not isinstance(text, str) or not _B64URL.match(text) or len(text) % 4 == 1:
        raise ApiError("bad-parameter", message="The value is not base64url without padding.")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        raise ApiError("bad-parameter", message="The value is not base64url.")


def generate(kty, size):
    """Serialised material: PEM text for RSA, base64url for oct-HSM."""
    if kty in ("RSA", "RSA-HSM"):
        if size not in RSA_SIZES:
            raise ApiError("bad-parameter", message="Key size %s is not supported for %s." % (size, kty))
        # in a child: generation can hold the interpreter's lock for seconds, and every request with it
        return subprocess.run([sys.executable, "-B", os.path.realpath(__file__), str(size)], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
    if kty == "oct-HSM":
        if size not in OCT_SIZES:
            raise ApiError("bad-parameter", message="Key size %s is not supported for %s." % (size, kty))
        return b64u(os.urandom(size // 8))
    raise ApiError("bad-parameter", message="Key type %s is not supported." % kty)


_OAEP = {"RSA-OAEP": hashes.SHA1, "RSA-OAEP-256": hashes.SHA256}
_KW = {"A128KW": 16, "A192KW": 24, "A256KW": 32}


def _pad(alg):
    if alg in _OAEP:
        h = _OAEP[alg]
        return padding.OAEP(mgf=padding.MGF1(algorithm=h()), algorithm=h(), label=None)
    if alg == "RSA1_5":
        return padding.PKCS1v15()
    raise ApiError("bad-parameter", message="Algorithm %s is not supported by this key." % alg)


class Material:
    """A loaded key. Loading is slow, so the store keeps one per version."""

    def __init__(self, kty, text):
        self.kty = kty
        if kty.startswith("RSA"):
            self.private = serialization.load_pem_private_key(text.encode(), password=None)
            self.public = self.private.public_key()
            self.size = self.private.key_size
        else:
            self.secret = unb64u(text)
            self.size = len(self.secret) * 8

    def jwk(self):
        """Public part; n is exactly as long as the modulus."""
        if not self.kty.startswith("RSA"):
            return {}
        num = self.public.public_numbers()
        return {"n": b64u(num.n.to_bytes(self.size // 8, "big")),
                "e": b64u(num.e.to_bytes((num.e.bit_length() + 7) // 8, "big"))}

    def _kw(self, alg):
        if _KW.get(alg) != len(self.secret):
            raise ApiError("bad-parameter", message="Algorithm %s is not supported by this key." % alg)

    def wrap(self, alg, data):
        try:
            if self.kty.startswith("RSA"):
                return self.public.encrypt(data, _pad(alg))
            self._kw(alg)
            return keywrap.aes_key_wrap(self.secret, data)
        except ValueError:
            raise ApiError("bad-parameter", message="The value has the wrong size for %s." % alg)

    def unwrap(self, alg, data):
        try:
            if self.kty.startswith("RSA"):
                return self.private.decrypt(data, _pad(alg))
            self._kw(alg)
            return keywrap.aes_key_unwrap(self.secret, data)
        except (ValueError, keywrap.InvalidUnwrap):
            raise ApiError("bad-parameter", message="Failed to decrypt or unwrap the value.")


def public_pem(material):
    return material.public.public_bytes(serialization.Encoding.PEM,
                                        serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _generate_here(size):
    key = rsa.generate_private_key(public_exponent=65537, key_size=size)
    sys.stdout.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()).decode())


if __name__ == "__main__":
    _generate_here(int(sys.argv[1]))
