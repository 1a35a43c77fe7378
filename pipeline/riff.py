"""The length that a WAV file declares, read from its own chunks.

ffprobe reports how much of the data chunk is there, not how much was promised, so that a file
cut short in transfer looks whole. Sources: Microsoft RIFF (1991), EBU Tech 3306 (RF64).
"""

import struct
from dataclasses import dataclass
from pathlib import Path

_UNKNOWN_SIZE = 0xFFFF_FFFF


@dataclass(frozen=True, kw_only=True, slots=True)
class WavData:
    """The data chunk of a WAV file: bytes declared (None when streamed) and bytes there."""

    declared_bytes: int | None
    present_bytes: int
    frame_bytes: int


def read_wav_data(path: Path) -> WavData | None:
    """Return the account of the data chunk; None for files that are no RIFF, RF64 or BW64 WAVE."""
    with open(path, "rb") as file:
        size_bytes = file.seek(0, 2)
        file.seek(0)
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
            return None
        long_size, frame_bytes = None, 0
        while len(header := file.read(8)) == 8:
            name, chunk_bytes = struct.unpack("<4sI", header)
            start = file.tell()
            if name == b"data":
                present_bytes = size_bytes - start
                declared = long_size if chunk_bytes == _UNKNOWN_SIZE else chunk_bytes
                if declared == 0 and present_bytes > 0:
                    declared = None
                return WavData(
                    declared_bytes=declared,
                    present_bytes=min(present_bytes, declared or present_bytes),
                    frame_bytes=frame_bytes,
                )
            body = file.read(min(chunk_bytes, 32))
            if name == b"fmt " and len(body) >= 16:
                (frame_bytes,) = struct.unpack_from("<H", body, 12)
            elif name == b"ds64" and len(body) >= 16:
                (long_size,) = struct.unpack_from("<Q", body, 8)
            file.seek(start + chunk_bytes + chunk_bytes % 2)
    return None
