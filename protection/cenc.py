"""Common encryption for standard players: scheme ``cbcs``, whole samples, one constant IV.

Source: ISO/IEC 23001-7:2023, 10.4 and 9. Every sample of a track is AES-128-CBC from its first byte
on, each anew from the same IV; what is left of fewer than 16 bytes at its end stays in clear. So
nothing of a fragment changes its place or its length, and no fragment has to tell of IVs.

Key and IV are derived from a content key (HKDF-SHA256, RFC 5869, with ``lathe-cenc-1 LF id`` as its
info): who is given them cannot open what the content key itself seals.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protection.content_keys import ContentKey
from protection.encoding import decode_bytes, encode_bytes

SCHEME = "cbcs"
CLEAR_KEY_SYSTEM = "1077efec-c0b2-4d02-ace3-3c1e52e2fb4b"
"""The system id of what names keys and nothing else (W3C, "cenc" Initialization Data Format)."""

_BLOCK_BYTES = 16
_VERSION = "lathe-cenc-1"


@dataclass(frozen=True, slots=True)
class CencKey:
    """What encrypts one rendition of one track: the key's id, the key and the IV, 16 bytes each."""

    id: bytes
    key: bytes = field(repr=False)
    iv: bytes


def derive_cenc_key(content_key: ContentKey) -> CencKey:
    """Return the key for common encryption that belongs to a content key, under the same id."""
    info = f"{_VERSION}\n{content_key.id}".encode()
    derived = HKDF(SHA256(), 2 * _BLOCK_BYTES, salt=None, info=info).derive(content_key.secret)
    return CencKey(bytes.fromhex(content_key.id), derived[:_BLOCK_BYTES], derived[_BLOCK_BYTES:])


class SampleCipher:
    """Encrypts and decrypts samples with one key."""

    def __init__(self, key: CencKey) -> None:
        self._cipher = Cipher(algorithms.AES(key.key), modes.CBC(key.iv))

    def encrypt(self, sample: bytes) -> bytes:
        """Return a sample encrypted; it is as long as before."""
        whole = len(sample) // _BLOCK_BYTES * _BLOCK_BYTES
        return self._cipher.encryptor().update(sample[:whole]) + sample[whole:]

    def decrypt(self, sample: bytes) -> bytes:
        """Return a sample in clear."""
        whole = len(sample) // _BLOCK_BYTES * _BLOCK_BYTES
        return self._cipher.decryptor().update(sample[:whole]) + sample[whole:]


def build_sinf(original: str, key: CencKey) -> bytes:
    """Return the box that tells how samples of the sample entry ``original`` are encrypted.

    Its parts are ``frma``, ``schm`` and ``schi`` with a ``tenc`` of version 1.
    """
    track = struct.pack(">4B16sB16s", 0, 0, 1, 0, key.id, len(key.iv), key.iv)
    return _box(
        "sinf",
        _box("frma", original.encode("ascii")),
        _full_box("schm", struct.pack(">4sI", SCHEME.encode("ascii"), 0x10000)),
        _box("schi", _full_box("tenc", track, version=1)),
    )


def build_pssh(key_id: bytes) -> bytes:
    """Return the box that names a key to whoever has to ask for it."""
    system = bytes.fromhex(CLEAR_KEY_SYSTEM.replace("-", ""))
    return _full_box("pssh", struct.pack(">16sI16sI", system, 1, key_id, 0), version=1)


def build_key_set(keys: Iterable[CencKey]) -> dict[str, Any]:
    """Return a licence of the key system ``org.w3.clearkey``: a JWK set (W3C EME, 9.1.4)."""
    found = [
        {"kty": "oct", "kid": encode_bytes(each.id), "k": encode_bytes(each.key)} for each in keys
    ]
    return {"keys": found, "type": "temporary"}


def parse_key_id(text: str) -> str:
    """Return the id of a content key that a player asks for in base64url. Raises ValueError."""
    found = decode_bytes(text)
    if len(found) != _BLOCK_BYTES:
        raise ValueError("a key id has 16 bytes")
    return found.hex()


def _box(name: str, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, parts)), name.encode("ascii")) + b"".join(parts)


def _full_box(name: str, body: bytes, *, version: int = 0) -> bytes:
    return _box(name, struct.pack(">I", version << 24), body)


_NOTHING = CencKey(bytes(16), bytes(16), bytes(16))
INIT_OVERHEAD_BYTES = len(build_sinf("mp4a", _NOTHING)) + len(build_pssh(_NOTHING.id))
"""How much longer an init segment is that tells of encryption."""
