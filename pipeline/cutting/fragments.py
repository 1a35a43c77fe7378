"""Reading the fragmented MP4 that ffmpeg writes to a pipe: coded frames and their configuration.

Only what ffmpeg's own muxer writes is understood (one track, one run per fragment,
default-base-is-moof); anything else raises ValueError, for it would be a change of ffmpeg.
"""

import struct
from dataclasses import dataclass

from pipeline.cutting.boxes import find_box, walk_boxes

_RUN_OFFSET, _RUN_FIRST_FLAGS = 0x1, 0x4
_RUN_DURATIONS, _RUN_SIZES, _RUN_FLAGS, _RUN_SHIFTS = 0x100, 0x200, 0x400, 0x800
_SAMPLE_ENTRY_BYTES = 28


@dataclass(frozen=True, slots=True)
class Frames:
    """Coded frames that follow each other: their sizes and durations, and their bytes joined."""

    sizes: tuple[int, ...]
    durations: tuple[int, ...]
    data: bytes


class FragmentReader:
    """Takes a fragmented MP4 in pieces of any size and gives back its coded frames.

    Holds at most one fragment. ``codec_box`` is the box that configures the decoder (``esds``,
    ``alac`` or ``dfLa``), known once the header has passed.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._run: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        self.codec_box: tuple[str, bytes] | None = None

    def feed(self, data: bytes) -> list[Frames]:
        """Take the next bytes and return the frames that are whole now. Raises ValueError."""
        self._buffer += data
        frames: list[Frames] = []
        while len(self._buffer) >= 8:
            size_bytes, name = struct.unpack_from(">I4s", self._buffer)
            if size_bytes < 8:
                raise ValueError(f"box {name!r} has {size_bytes} bytes")
            if len(self._buffer) < size_bytes:
                break
            body = bytes(memoryview(self._buffer)[8:size_bytes])
            del self._buffer[:size_bytes]
            if name == b"moov":
                self.codec_box = _read_codec_box(body)
            elif name == b"moof":
                try:
                    self._run = read_run(body)
                except struct.error as fault:
                    raise ValueError(f"a fragment's header is too short: {fault}") from fault
            elif name == b"mdat":
                frames.append(self._pair(body))
        return frames

    def finish(self) -> None:
        """Raise ValueError when the stream stopped inside a box or before its header."""
        if self._buffer or self.codec_box is None:
            raise ValueError("the fragmented MP4 ends inside a box")

    def _pair(self, body: bytes) -> Frames:
        if self._run is None or sum(self._run[0]) != len(body):
            raise ValueError("the media data does not match its run")
        sizes, durations = self._run
        self._run = None
        return Frames(sizes, durations, body)


def _read_codec_box(moov: bytes) -> tuple[str, bytes]:
    description = find_box(moov, "trak/mdia/minf/stbl/stsd")
    for _, entry in walk_boxes(description, start=8):
        for name, body in walk_boxes(entry, start=_SAMPLE_ENTRY_BYTES):
            return name, body
    raise ValueError("the header describes no decoder")


def read_run(moof: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the sizes and the durations of the samples of a fragment, whose ``moof`` is this."""
    track = find_box(moof, "traf")
    duration, size_bytes = _read_defaults(find_box(track, "tfhd"))
    run = find_box(track, "trun")
    version_flags, count = struct.unpack_from(">II", run)
    flags = version_flags & 0xFFFFFF
    start = 8 + 4 * bool(flags & _RUN_OFFSET) + 4 * bool(flags & _RUN_FIRST_FLAGS)
    columns = [bit for bit in (_RUN_DURATIONS, _RUN_SIZES, _RUN_FLAGS, _RUN_SHIFTS) if flags & bit]
    values = struct.unpack_from(f">{count * len(columns)}I", run, start)
    table = {bit: values[place :: len(columns)] for place, bit in enumerate(columns)}
    sizes = table.get(_RUN_SIZES, (size_bytes,) * count)
    return sizes, table.get(_RUN_DURATIONS, (duration,) * count)


def _read_defaults(header: bytes) -> tuple[int, int]:
    """Return the default duration and size that a track fragment header gives its samples."""
    flags = struct.unpack_from(">I", header)[0] & 0xFFFFFF
    start = 8
    for bit, width in ((0x1, 8), (0x2, 4)):
        start += width if flags & bit else 0
    duration = size_bytes = 0
    if flags & 0x8:
        (duration,) = struct.unpack_from(">I", header, start)
        start += 4
    if flags & 0x10:
        (size_bytes,) = struct.unpack_from(">I", header, start)
    return duration, size_bytes
