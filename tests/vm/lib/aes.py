# SPDX-License-Identifier: Apache-2.0
"""AES-256 key schedules as kernels and libraries keep them in memory. Written from FIPS 197."""

import struct

ROUNDS = 14
LOOKED_FOR = (3, 10)     # a round key from either half of a schedule


def double(a):
    return ((a << 1) ^ 0x11b) & 0xff if a & 0x80 else a << 1


def multiply(a, b):
    found = 0
    while b:
        found ^= a if b & 1 else 0
        a, b = double(a), b >> 1
    return found


def make_sbox():
    box = [0x63] * 256
    for value in range(1, 256):
        inverse = next(i for i in range(1, 256) if multiply(value, i) == 1)
        turned = [(inverse << n | inverse >> 8 - n) & 0xff for n in range(5)]
        box[value] = turned[0] ^ turned[1] ^ turned[2] ^ turned[3] ^ turned[4] ^ 0x63
    return bytes(box)


SBOX = make_sbox()


def expand(key):
    """The round keys for encryption, 16 bytes each."""
    words, constant = [key[at:at + 4] for at in range(0, 32, 4)], 1
    while len(words) < 4 * (ROUNDS + 1):
        word = words[-1]
        if len(words) % 8 == 0:
            word = (word[1:] + word[:1]).translate(SBOX)
            word, constant = bytes([word[0] ^ constant]) + word[1:], double(constant)
        elif len(words) % 8 == 4:
            word = word.translate(SBOX)
        words.append(bytes(a ^ b for a, b in zip(word, words[-8])))
    return [b"".join(words[at:at + 4]) for at in range(0, len(words), 4)]


def inverse_mix(block):
    factors = (14, 11, 13, 9)
    return bytes(multiply(block[c], factors[0]) ^ multiply(block[c - r + (r + 1) % 4], factors[1]) ^
                 multiply(block[c - r + (r + 2) % 4], factors[2]) ^ multiply(block[c - r + (r + 3) % 4], factors[3])
                 for c, r in ((at, at % 4) for at in range(16)))


def decryption(round_keys):
    """Those of the equivalent inverse cipher."""
    turned = round_keys[::-1]
    return [turned[0], *map(inverse_mix, turned[1:-1]), turned[-1]]


def swapped(data):
    """The same words on a machine, or in a library, of the other byte order."""
    return struct.pack(f">{len(data) // 4}I", *struct.unpack(f"<{len(data) // 4}I", data))


def schedules(key):
    """{label: bytes} of some round keys, in both directions and byte orders. Not the first two: they are the key itself."""
    forth = expand(key)
    back = decryption(forth)
    found = {}
    for label, keys in (("encrypt", forth), ("decrypt", back)):
        for at in LOOKED_FOR:
            found[f"{label}-{at}"] = keys[at]
            found[f"{label}-{at}-swapped"] = swapped(keys[at])
    return found
