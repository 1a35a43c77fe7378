"""Playing what a device keeps: opened piece by piece, and as long as the track, to the sample."""

import struct
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO
from uuid import uuid4

from lathe.client.shelf import Said, Shelf
from pipeline.playback import stream_joined
from protection.refusing import refuse_download

_CD_BITS, _CD_BYTES, _HIRES_BYTES = 16, 2, 3
_PCM = 1


def play_kept(shelf: Shelf, track_id: str, output: Path | IO[bytes], *, now: datetime) -> int:
    """Decode a track that is on the device into a WAV, and return its samples a channel.

    16 bits a sample where the rendition has as many, 24 otherwise. Nothing in clear but the sound
    is written anywhere, and no file is left that is not whole. Raises DownloadNotFound,
    LicenceExpired, ClockTurnedBack and DownloadUntrusted.
    """
    kept = shelf.find(track_id)
    pieces = shelf.opened(kept, now)
    if not isinstance(output, Path):
        _decode(kept.said, pieces, output)
        return kept.said.samples
    draft = output.with_name(f".{output.name}.{uuid4().hex}")
    try:
        with open(draft, "wb") as sound:
            _decode(kept.said, pieces, sound)
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
    return kept.said.samples


def _decode(said: Said, pieces: Iterator[bytes], sound: IO[bytes]) -> None:
    width = _CD_BYTES if said.bits == _CD_BITS else _HIRES_BYTES
    left_bytes = said.samples * said.channels * width

    def take(data: bytes) -> None:
        nonlocal left_bytes
        # What is left over at the end fills the last frame, and is none of the track.
        sound.write(data[:left_bytes])
        left_bytes -= min(left_bytes, len(data))

    sound.write(_header(said, width))
    stream_joined(pieces, take, pcm_format=f"s{8 * width}le")
    if left_bytes:
        raise refuse_download("the manifest tells of another length")


def _header(said: Said, width: int) -> bytes:
    """Return the header of a WAV ("Multimedia Programming Interface and Data Specifications 1.0").

    Longer ones than its fields hold are told to be as long as those hold, as streamed ones are.
    Raises DownloadUntrusted for a sound that no header can tell of.
    """
    frame_bytes, most = said.channels * width, (1 << 32) - 1
    size_bytes = said.samples * frame_bytes
    try:
        format_ = struct.pack(
            "<HHIIHH",
            _PCM,
            said.channels,
            said.rate_hz,
            said.rate_hz * frame_bytes,
            frame_bytes,
            8 * width,
        )
        sizes = [struct.pack("<I", min(most, size)) for size in (36 + size_bytes, size_bytes)]
    except struct.error as fault:
        raise refuse_download("the manifest tells of what is no sound") from fault
    length = struct.pack("<I", len(format_))
    return b"".join((b"RIFF", sizes[0], b"WAVEfmt ", length, format_, b"data", sizes[1]))
