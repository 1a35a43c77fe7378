"""Sealed chunks: each opens with its content key, in its own place, and nowhere else.

A sealed object is

    "LSO" 01  ‖  AES-256-GCM (NIST SP 800-38D) of the object  ‖  its tag of 16 bytes

whose nonce is the part's name in 4 bytes and the index in 8 (big-endian), and whose associated data
is

    lathe-seal-1 LF track LF rendition LF tier LF part LF index LF count

A content key seals one rendition of one track. A rendition's objects never change, so a key and a
nonce never meet two plaintexts, and sealing again gives the same bytes.
"""

from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protection.content_keys import ContentKey
from protection.refusing import refuse_download

MAGIC = b"LSO\x01"
OVERHEAD_BYTES = len(MAGIC) + 16
"""How much longer a sealed object is."""

_VERSION = "lathe-seal-1"


class Part(StrEnum):
    """What of a rendition an object is; 4 ASCII letters, which stand in its nonce."""

    INIT = "init"
    PREROLL = "prer"
    BODY = "body"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an object belongs: chunk ``index`` of ``count``; index 0 of what is no chunk."""

    track: str
    rendition: str
    tier: str
    part: Part
    index: int
    count: int

    @property
    def nonce(self) -> bytes:
        """The 12 bytes that no other object under the key has."""
        return self.part.encode("ascii") + self.index.to_bytes(8)

    @property
    def associated(self) -> bytes:
        """What must be the same to open it."""
        words = (_VERSION, self.track, self.rendition, self.tier, self.part, self.index, self.count)
        return "\n".join(map(str, words)).encode()


class Sealer:
    """Seals and opens with one content key."""

    def __init__(self, key: ContentKey) -> None:
        self._cipher = AESGCM(key.secret)

    def seal(self, place: Place, data: bytes) -> bytes:
        """Return an object sealed in its place."""
        return MAGIC + self._cipher.encrypt(place.nonce, data, place.associated)

    def open(self, place: Place, sealed: bytes) -> bytes:
        """Return the object. Raises DownloadUntrusted for whatever was not sealed just so."""
        if not sealed.startswith(MAGIC):
            raise refuse_download("the object is no sealed one of this version")
        try:
            return self._cipher.decrypt(
                place.nonce, memoryview(sealed)[len(MAGIC) :], place.associated
            )
        except InvalidTag as fault:
            raise refuse_download("the object was not sealed with this key in its place") from fault
