"""A manifest with what is a listener's own left open, to be filled in for each of many.

The rendered document is cut where URL prefixes and times stand. What lies between can be deflated
once for all: filled in, the whole is one gzip member (RFC 1952) of blocks that were made before and
stored ones between them.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from uuid import uuid4

from manifests.manifest import Manifest

Render = Callable[[Manifest], bytes]

_EXPIRES = datetime(9998, 1, 2, 3, 4, 5, tzinfo=UTC)
_REFRESH = datetime(9999, 1, 2, 3, 4, 5, tzinfo=UTC)
_LEVEL = 5
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"
_STORED_MAX = 0xFFFF
_BLOCK_BYTES = 64


class Template:
    """What stays the same of a document, in pieces, and which value stands before each but one.

    ``values`` are the prefixes in the order of the manifest's renditions, and then the times when
    the URLs end and when they are to be fetched anew. ``size_bytes`` is what it takes at most:
    deflated, it is no longer.
    """

    def __init__(self, pieces: Sequence[bytes], slots: Sequence[int]) -> None:
        self._pieces, self._slots = tuple(pieces), tuple(slots)
        self.size_bytes = 2 * sum(map(len, pieces)) + _BLOCK_BYTES * len(pieces)

    @cached_property
    def _deflated(self) -> tuple[bytes, ...]:
        # Most players take what is packed or never do; so it is made when one asks first.
        return tuple(map(_deflate, self._pieces))

    def fill(self, values: Sequence[bytes]) -> bytes:
        """Return the document with these values."""
        parts = [self._pieces[0]]
        for slot, piece in zip(self._slots, self._pieces[1:], strict=True):
            parts.append(values[slot])
            parts.append(piece)
        return b"".join(parts)

    def pack(self, values: Sequence[bytes], whole: bytes) -> bytes:
        """Return the document with these values, which is ``whole``, as gzip."""
        blocks = [_GZIP_HEADER, self._deflated[0]]
        stored = [_store(value) for value in values]
        for slot, block in zip(self._slots, self._deflated[1:], strict=True):
            blocks.append(stored[slot])
            blocks.append(block)
        blocks.append(_LAST_BLOCK)
        blocks.append(zlib.crc32(whole).to_bytes(4, "little"))
        blocks.append((len(whole) & 0xFFFFFFFF).to_bytes(4, "little"))
        return b"".join(blocks)


def build_template(render: Render, manifest: Manifest) -> Template:
    """Return the template of what ``render`` makes of a manifest that has times and prefixes."""
    mark = uuid4().hex
    marked = replace(
        manifest,
        prefixes=tuple(f"{mark}{place:03d}" for place in range(len(manifest.prefixes))),
        expires_at=_EXPIRES,
        refresh_after=_REFRESH,
    )
    first, *others = render(marked).split(mark.encode())
    pieces, slots = [first], []
    for piece in others:
        slots.append(int(piece[:3]))
        pieces.append(piece[3:])
    for slot, moment in enumerate((_EXPIRES, _REFRESH), start=len(manifest.prefixes)):
        _cut(pieces, slots, _write(moment), slot)
    return Template(pieces, slots)


def _cut(pieces: list[bytes], slots: list[int], value: bytes, slot: int) -> None:
    """Cut the pieces where a value stands, and note that ``slot`` stands there."""
    place = 0
    while place < len(pieces):
        before, found, after = pieces[place].partition(value)
        if found:
            pieces[place : place + 1] = [before, after]
            slots.insert(place, slot)
        place += 1


def write_values(
    prefixes: Sequence[str], expires_at: datetime, refresh_at: datetime
) -> list[bytes]:
    """Return what a template is filled with."""
    return [*(prefix.encode() for prefix in prefixes), *write_times(expires_at, refresh_at)]


def write_times(expires_at: datetime, refresh_at: datetime) -> tuple[bytes, bytes]:
    """Return the last two of what a template is filled with."""
    return _write(expires_at), _write(refresh_at)


@lru_cache(maxsize=1024)
def _write(moment: datetime) -> bytes:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode("ascii")


def _deflate(piece: bytes) -> bytes:
    # Flushed in full it refers to nothing before it, and ends on a whole byte.
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)


def _store(value: bytes) -> bytes:
    size = len(value)
    if size > _STORED_MAX:
        raise ValueError("a value is longer than a stored block can be")
    return b"\x00" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + value
