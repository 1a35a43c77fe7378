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

_VERSION, _SUFFIX = "lathe-seal-1", ".lso"


class Part(StrEnum):
    """What of a rendition an object is; 4 ASCII letters, which stand in its nonce."""

    INIT = "init"
    PREROLL = "prer"
    BODY = "body"


_PARTS = {"init": Part.INIT, "preroll": Part.PREROLL}


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


def sealed_name(name: str) -> str:
    """Return the name of an object when it is sealed: ``00012.m4s`` is ``00012.lso`` then."""
    return f"{name.partition('.')[0]}{_SUFFIX}"


def place_of(name: str, *, track: str, rendition: str, tier: str, count: int) -> Place:
    """Return where the sealed object of that name belongs. Raises ValueError for no such name."""
    stem = name.removesuffix(_SUFFIX)
    part, index = _PARTS.get(stem, Part.BODY), 0
    if part is Part.BODY:
        index = int(stem)
        if sealed_name(f"{index:05d}.") != name or index >= count:
            raise ValueError("no chunk has this name")
    return Place(track=track, rendition=rendition, tier=tier, part=part, index=index, count=count)


class Sealer:
    """Seals and opens with one content key."""

    def __init__(self, key: ContentKey) -> None:
        self._cipher = AESGCM(key.secret)

    def seal(self, place: Place, data: bytes) -> bytearray:
        """Return an object sealed in its place."""
        # Sealed where it stands: to join it with its mark afterwards takes six times as long.
        sealed = bytearray(len(data) + OVERHEAD_BYTES)
        sealed[: len(MAGIC)] = MAGIC
        into = memoryview(sealed)[len(MAGIC) :]
        self._cipher.encrypt_into(place.nonce, data, place.associated, into)
        return sealed

    def open(self, place: Place, sealed: bytes | bytearray) -> bytes:
        """Return the object. Raises DownloadUntrusted for whatever was not sealed just so."""
        if not sealed.startswith(MAGIC):
            raise refuse_download("the object is no sealed one of this version")
        try:
            return self._cipher.decrypt(
                place.nonce, memoryview(sealed)[len(MAGIC) :], place.associated
            )
        except InvalidTag as fault:
            raise refuse_download("the object was not sealed with this key in its place") from fault
