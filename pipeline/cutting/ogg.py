"""Ogg pages: reading packets out of a stream of them, and writing packets into them.

Source: RFC 3533.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

_HEADER = struct.Struct("<4sBBqIIIB")
_CONTINUED, _FIRST, _LAST = 1, 2, 4
NO_POSITION = -1
MAX_SEGMENTS = 255
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def page_checksum(page: bytes | bytearray) -> int:
    """Return the CRC of a page whose own checksum field is zero.

    Ogg's polynomial is that of zlib, fed with the bits the other way round and no inversions, so
    zlib computes it over bit-reversed bytes.
    """
    raw = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{raw:032b}"[::-1], 2)


def count_segments(packet_bytes: int) -> int:
    """Return how many lacing values a packet of ``packet_bytes`` takes."""
    return packet_bytes // 255 + 1


def build_page(
    packets: Sequence[bytes],
    *,
    serial: int,
    sequence: int,
    granule_position: int,
    first: bool = False,
    last: bool = False,
) -> bytes:
    """Return one page that holds ``packets`` whole. Raises ValueError when they do not fit."""
    lacing = bytearray()
    for packet in packets:
        lacing += b"\xff" * (len(packet) // 255)
        lacing.append(len(packet) % 255)
    if len(lacing) > MAX_SEGMENTS:
        raise ValueError(f"{len(lacing)} segments do not fit a page")
    kind = (_FIRST if first else 0) | (_LAST if last else 0)
    head = _HEADER.pack(b"OggS", 0, kind, granule_position, serial, sequence, 0, len(lacing))
    page = bytearray(b"".join((head, lacing, *packets)))
    struct.pack_into("<I", page, 22, page_checksum(page))
    return bytes(page)


@dataclass(frozen=True, slots=True)
class Page:
    """One page as read: its segments, and whether the first one continues a packet."""

    granule_position: int
    sequence: int
    continued: bool
    last: bool
    lacing: bytes
    body: bytes


class PageReader:
    """Takes an Ogg stream in pieces of any size and gives back its pages, or its packets.

    Holds at most one page and one packet. Checksums are not verified: the stream comes through a
    pipe from the encoder, not over a line.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._partial = bytearray()

    def feed_pages(self, data: bytes) -> list[Page]:
        """Take the next bytes and return the pages that are whole now. Raises ValueError."""
        self._buffer += data
        pages: list[Page] = []
        place = 0
        while (page := self._page_at(place)) is not None:
            pages.append(page)
            place += _HEADER.size + len(page.lacing) + len(page.body)
        del self._buffer[:place]
        return pages

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the packets that are whole now. Raises ValueError."""
        packets: list[bytes] = []
        for page in self.feed_pages(data):
            if page.continued != bool(self._partial):
                raise ValueError("an Ogg packet was torn")
            start = 0
            for size_bytes in page.lacing:
                self._partial += page.body[start : start + size_bytes]
                start += size_bytes
                if size_bytes < 255:
                    packets.append(bytes(self._partial))
                    self._partial.clear()
        return packets

    def finish(self) -> None:
        """Raise ValueError when the stream stopped inside a page or a packet."""
        if self._buffer or self._partial:
            raise ValueError("the Ogg stream ends inside a page")

    def _page_at(self, place: int) -> Page | None:
        if len(self._buffer) < place + _HEADER.size:
            return None
        mark, version, kind, position, _, sequence, _, count = _HEADER.unpack_from(
            self._buffer, place
        )
        if mark != b"OggS" or version != 0:
            raise ValueError("an Ogg page does not start where it should")
        place += _HEADER.size
        lacing = bytes(self._buffer[place : place + count])
        place += count
        size_bytes = sum(lacing)
        if len(lacing) < count or len(self._buffer) < place + size_bytes:
            return None
        body = bytes(self._buffer[place : place + size_bytes])
        return Page(position, sequence, bool(kind & _CONTINUED), bool(kind & _LAST), lacing, body)
