"""Content keys, and how they are kept: wrapped by the plant's own keys, and never otherwise.

    01  ‖  nonce of 12 random bytes  ‖  AES-256-GCM of the 32 bytes  ‖  its tag of 16

under a key-encryption key of the ring, with ``lathe-content-key-1 LF kek LF id`` as associated
data: a wrapped key that is put in another's row does not open.
"""

import secrets
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from catalogue.errors import ContentKeyLost
from protection.keyring import KeyRing

ID_BYTES, SECRET_BYTES = 16, 32

_MARK, _NONCE_BYTES = b"\x01", 12
_VERSION = "lathe-content-key-1"


@dataclass(frozen=True, slots=True)
class ContentKey:
    """What seals one rendition of one track; ``id`` is 16 random bytes in hexadecimal."""

    id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A content key as it is stored, and the id of the key that wraps it."""

    id: str
    kek: str
    wrapped: bytes = field(repr=False)


def make_content_key() -> ContentKey:
    """Return a new content key."""
    return ContentKey(secrets.token_hex(ID_BYTES), secrets.token_bytes(SECRET_BYTES))


class Wrapped(Protocol):
    """Whatever holds a key that is wrapped."""

    @property
    def id(self) -> str:
        """The key's own id."""

    @property
    def kek(self) -> str:
        """The id of the key that wraps it."""

    @property
    def wrapped(self) -> bytes:
        """The key, wrapped."""


class KeyWrapper:
    """Wraps with the first key of a ring, and unwraps with any."""

    def __init__(self, ring: KeyRing) -> None:
        self.kek = ring.first_kid
        self._ciphers = {kid: AESGCM(secret[:SECRET_BYTES]) for kid, secret in ring.keys.items()}

    def wrap(self, key: ContentKey) -> WrappedKey:
        """Return a content key as it is stored."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        said = _associated(self.kek, key.id)
        return WrappedKey(
            key.id,
            self.kek,
            _MARK + nonce + self._ciphers[self.kek].encrypt(nonce, key.secret, said),
        )

    def unwrap(self, stored: Wrapped) -> ContentKey:
        """Return the content key. Raises ContentKeyLost."""
        cipher, data = self._ciphers.get(stored.kek), stored.wrapped
        if cipher is None:
            raise ContentKeyLost(
                "The key that wraps it is not in the ring.", key=stored.id, kek=stored.kek
            )
        try:
            if not data.startswith(_MARK):
                raise InvalidTag
            nonce, sealed = data[1 : 1 + _NONCE_BYTES], data[1 + _NONCE_BYTES :]
            secret = cipher.decrypt(nonce, sealed, _associated(stored.kek, stored.id))
        except (InvalidTag, ValueError) as fault:
            raise ContentKeyLost(
                "It does not unwrap: the row was changed, or the ring was.",
                key=stored.id,
                kek=stored.kek,
            ) from fault
        return ContentKey(stored.id, secret)


def _associated(kek: str, key_id: str) -> bytes:
    return f"{_VERSION}\n{kek}\n{key_id}".encode()
