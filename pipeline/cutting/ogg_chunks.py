"""Cutting Ogg Vorbis: whole packets, paginated anew so that every chunk starts a page.

Packets have no fixed length, so a chunk ends at the packet boundary nearest to the grid. The
packet before a chunk is its pre-roll: alone on a page whose granule position is the chunk's
start, it decodes to nothing and fills the overlap, so that nothing is trimmed.
"""

from dataclasses import dataclass, field

from catalogue.errors import EncoderInexact
from catalogue.nouns import Chunk
from pipeline.cutting.cut import Cut, PrerollCollector, Put, body_name
from pipeline.cutting.grid import boundary
from pipeline.cutting.ogg import MAX_SEGMENTS, PageReader, build_page, count_segments
from pipeline.cutting.vorbis import PacketClock

_SERIAL = 1
_HEADER_PACKETS = 3


@dataclass(slots=True)
class _Stretch:
    """Packets of one chunk, with the position (in samples) at which each one ends."""

    start: int
    before: bytes
    packets: list[bytes] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.ends[-1] if self.ends else self.start


class OggCutter:
    """Cuts the Ogg Vorbis stream that ffmpeg writes for one rendition."""

    def __init__(self, put: Put, *, rate_hz: int, grid_hz: int) -> None:
        self._put = put
        self._rate_hz, self._grid_hz = rate_hz, grid_hz
        self._reader = PageReader()
        self._preroll = PrerollCollector()
        self._headers: list[bytes] = []
        self._clock: PacketClock | None = None
        self._chunks: list[Chunk] = []
        self._closed: _Stretch | None = None
        self._open = _Stretch(0, b"")
        self._stretches = 0
        self._next_target = self._boundary(1)
        self._sequence = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes: see Cutter.feed."""
        for packet in self._reader.feed(data):
            if self._clock is not None:
                self._take(packet, self._clock.tick(packet))
                continue
            self._headers.append(packet)
            if len(self._headers) == _HEADER_PACKETS:
                self._clock = PacketClock(self._headers)
                self._sequence = 2

    def finish(self, samples: int) -> Cut:
        """Store the last chunks and the header pages: see Cutter.finish."""
        self._reader.finish()
        if self._open.end < samples or self._clock is None:
            raise EncoderInexact(
                "Vorbis: its packets hold fewer samples than were fed to it.",
                samples=samples,
                decoded_samples=self._open.end,
            )
        if self._closed is not None:
            if self._open.start >= samples:
                self._closed.packets += self._open.packets
                self._closed.ends += self._open.ends
                self._open = self._closed
            else:
                self._store(self._closed)
        padding = self._open.end - samples
        self._store(self._open, final_samples=samples)
        return Cut(
            codec_string="vorbis",
            media_type='audio/ogg; codecs="vorbis"',
            samples=samples,
            frame_samples=None,
            priming_samples=0,
            padding_samples=padding,
            init=self._put("init.ogg", self._header_pages()),
            preroll=self._preroll.store(self._put, "preroll.ogg"),
            chunks=tuple(self._chunks),
        )

    def _take(self, packet: bytes, samples: int) -> None:
        start, end = self._open.end, self._open.end + samples
        if end >= self._next_target and self._next_target - start < end - self._next_target:
            self._close()
        self._open.packets.append(packet)
        self._open.ends.append(end)
        if end >= self._next_target:
            self._close()

    def _close(self) -> None:
        """End the open stretch at its last packet; the one before it is safe to store now.

        The stretch that ended is held back: only the track's length, known at the end, tells
        whether anything valid comes after it.
        """
        if self._closed is not None:
            self._store(self._closed)
        self._closed = self._open
        self._open = _Stretch(self._closed.end, self._closed.packets[-1])
        self._stretches += 1
        self._next_target = self._boundary(self._stretches + 1)

    def _boundary(self, index: int) -> int:
        return boundary(index, rate_hz=self._rate_hz, grid_hz=self._grid_hz)

    def _store(self, stretch: _Stretch, *, final_samples: int | None = None) -> None:
        index = len(self._chunks)
        offset, preroll_size = 0, 0
        if index:
            page = build_page(
                [stretch.before],
                serial=_SERIAL,
                sequence=self._sequence - 1,
                granule_position=stretch.start,
            )
            offset, preroll_size = self._preroll.add(page)
        end = stretch.end if final_samples is None else final_samples
        body = self._put(body_name(index, "ogg"), self._paginate(stretch, final_samples))
        self._chunks.append(
            Chunk(
                index=index,
                start_samples=stretch.start,
                valid_samples=end - stretch.start,
                preroll_samples=0,
                preroll_offset=offset,
                preroll_size=preroll_size,
                body=body,
            )
        )

    def _paginate(self, stretch: _Stretch, final_samples: int | None) -> bytes:
        """Return pages of at most a second and 255 segments; the last of a track says so.

        The first packet of a track decodes to nothing and gets a page of its own, at position 0:
        were the first audio page also the last, decoders could not tell at which end to trim.
        """
        pages: list[bytes] = []
        first, segments, page_start = 0, 0, stretch.start
        count = len(stretch.packets)
        for place, packet in enumerate(stretch.packets):
            segments += count_segments(len(packet))
            is_last = place + 1 == count
            room = 0 if is_last else count_segments(len(stretch.packets[place + 1]))
            full = segments + room > MAX_SEGMENTS
            end = stretch.ends[place]
            if not (is_last or full or end == 0 or end - page_start >= self._rate_hz):
                continue
            pages.append(
                build_page(
                    stretch.packets[first : place + 1],
                    serial=_SERIAL,
                    sequence=self._sequence,
                    granule_position=end if final_samples is None else min(end, final_samples),
                    last=is_last and final_samples is not None,
                )
            )
            self._sequence += 1
            first, segments, page_start = place + 1, 0, end
        return b"".join(pages)

    def _header_pages(self) -> bytes:
        identification, *others = self._headers
        return build_page(
            [identification], serial=_SERIAL, sequence=0, granule_position=0, first=True
        ) + build_page(others, serial=_SERIAL, sequence=1, granule_position=0)
