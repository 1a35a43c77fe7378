"""A manifest with what is a listener's own left open, to be filled in for each of many.

The rendered document is cut where URL prefixes and times stand. What lies between can be deflated
once for all: filled in, the whole is one gzip member (RFC 1952) of blocks that were made before and
stored ones between them.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

from manifests.manifest import Manifest

Render = Callable[[Manifest], bytes]

_EXPIRES = datetime(9998, 1, 2, 3, 4, 5, tzinfo=UTC)
_REFRESH = datetime(9999, 1, 2, 3, 4, 5, tzinfo=UTC)
_LEVEL = 5
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"
_STORED_MAX = 0xFFFF


@dataclass(frozen=True, slots=True)
class Template:
    """What stays the same of a document, in pieces, and which value stands before each but one.

    ``values`` are the prefixes in the order of the manifest's renditions, and then the times when
    the URLs end and when they are to be fetched anew.
    """

    pieces: tuple[bytes, ...]
    deflated: tuple[bytes, ...]
    slots: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes that it takes."""
        return sum(map(len, self.pieces)) + sum(map(len, self.deflated))

    def fill(self, values: Sequence[bytes]) -> bytes:
        """Return the document with these values."""
        parts = [self.pieces[0]]
        for slot, piece in zip(self.slots, self.pieces[1:], strict=True):
            parts.append(values[slot])
            parts.append(piece)
        return b"".join(parts)

    def pack(self, values: Sequence[bytes], whole: bytes) -> bytes:
        """Return the document with these values, which is ``whole``, as gzip."""
        blocks = [_GZIP_HEADER, self.deflated[0]]
        stored = [_store(value) for value in values]
        for slot, block in zip(self.slots, self.deflated[1:], strict=True):
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
        prefixes=tuple(f"{mark}-{place}/" for place in range(len(manifest.prefixes))),
        expires_at=_EXPIRES,
        refresh_after=_REFRESH,
    )
    times = {_write(_EXPIRES): len(marked.prefixes), _write(_REFRESH): len(marked.prefixes) + 1}
    either = b"|".join([rb"%s-([0-9]+)/" % mark.encode(), *map(re.escape, times)])
    document = render(marked)
    pieces, slots, end = [], [], 0
    for found in re.finditer(either, document):
        pieces.append(document[end : found.start()])
        slots.append(times[found[0]] if found[1] is None else int(found[1]))
        end = found.end()
    pieces.append(document[end:])
    return Template(tuple(pieces), tuple(map(_deflate, pieces)), tuple(slots))


def write_values(
    prefixes: Sequence[str], expires_at: datetime, refresh_at: datetime
) -> list[bytes]:
    """Return what a template is filled with."""
    return [*(prefix.encode() for prefix in prefixes), *write_times(expires_at, refresh_at)]


def write_times(expires_at: datetime, refresh_at: datetime) -> tuple[bytes, bytes]:
    """Return the last two of what a template is filled with."""
    return _write(expires_at), _write(refresh_at)


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
