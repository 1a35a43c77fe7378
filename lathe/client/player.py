"""Playing what a device keeps: opened piece by piece, and as long as the track, to the sample."""

import struct
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from catalogue.errors import LatheError
from lathe.client.shelf import Shelf
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
    said = kept.manifest
    width = _CD_BYTES if said["bits"] == _CD_BITS else _HIRES_BYTES
    channels, rate_hz, samples = (int(said[each]) for each in ("channels", "rate_hz", "samples"))
    left_bytes = samples * channels * width
    fault: LatheError | None = None

    def give() -> Iterator[bytes]:
        nonlocal fault
        try:
            yield from pieces
        except LatheError as found:
            # The decoder's thread ends here; what it was is told to whoever plays.
            fault = found

    try:
        with open(output, "wb") if isinstance(output, Path) else nullcontext(output) as sound:
            sound.write(_header(left_bytes, channels=channels, rate_hz=rate_hz, width=width))

            def take(data: bytes) -> None:
                nonlocal left_bytes
                # What is left over at the end fills the last frame, and is none of the track.
                sound.write(data[:left_bytes])
                left_bytes -= min(left_bytes, len(data))

            try:
                stream_joined(give(), take, width=width)
            finally:
                if fault is not None:
                    raise fault
        if left_bytes:
            raise refuse_download("the manifest tells of another length")
    except LatheError:
        if isinstance(output, Path):
            with suppress(FileNotFoundError):
                output.unlink()
        raise
    return samples


def _header(size_bytes: int, *, channels: int, rate_hz: int, width: int) -> bytes:
    """Return the header of a WAV ("Multimedia Programming Interface and Data Specifications 1.0").

    Longer ones than its fields hold are told to be as long as those hold, as streamed ones are.
    """
    frame_bytes = channels * width
    format_ = struct.pack(
        "<HHIIHH", _PCM, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, 8 * width
    )
    most = (1 << 32) - 1
    return b"".join(
        (
            b"RIFF",
            struct.pack("<I", min(most, 36 + size_bytes)),
            b"WAVEfmt ",
            struct.pack("<I", len(format_)),
            format_,
            b"data",
            struct.pack("<I", min(most, size_bytes)),
        )
    )
