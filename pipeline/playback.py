"""Decoding a rendition as a player would: its objects joined, through ffmpeg, to the end."""

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from catalogue.nouns import Decoded, Rendition, Sha256
from pipeline import ffmpeg


def decode_joined(rendition: Rendition, pieces: Iterable[bytes]) -> Decoded:
    """Return how many samples the joined ``pieces`` (init and bodies) decode to, and their hash.

    The hash covers PCM as that of a master does: 2 bytes a sample at 16 bits, 3 for all others.
    What the decoder itself leaves out (priming that the edit list tells of) is not counted.
    Raises what ``stream_joined`` raises.
    """
    digest = hashlib.sha256()
    size_bytes = 0

    def take(data: bytes) -> None:
        nonlocal size_bytes
        digest.update(data)
        size_bytes += len(data)

    width = 2 if rendition.bits == 16 else 3
    stream_joined(pieces, take, pcm_format=f"s{8 * width}le")
    return Decoded(
        samples=size_bytes // (width * rendition.channels), pcm_sha256=Sha256(digest.hexdigest())
    )


def stream_joined(
    pieces: Iterable[bytes],
    take: Callable[[bytes], None],
    *,
    pcm_format: str,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Decode joined ``pieces`` and give ``take`` the PCM as it comes, interleaved.

    ``pcm_format`` is what ffmpeg calls it: s16le, s24le or f32le, which holds what exceeds full
    scale. Raises whatever ``pieces`` raises, whatever the decoder makes of so early an end;
    MasterCorrupt when the decoder complains of whole ones; and Stopped.
    """
    with ffmpeg.open_pipes(2) as (source, sink):
        command = ffmpeg.Command(
            arguments=[
                *("-xerror", "-err_detect", "crccheck+explode", "-i", f"pipe:{source.read_end}"),
                *("-map", "0:a:0", "-f", pcm_format, f"pipe:{sink.write_end}"),
            ],
            source=source,
            sinks=[sink],
        )
        with ThreadPoolExecutor(max_workers=1) as pool:
            fed = pool.submit(_feed, source, pieces)
            try:
                ffmpeg.run_ffmpegs([command], {sink: take}, should_stop=should_stop)
            finally:
                source.close(source.read_end)
                fed.result()


def _feed(pipe: ffmpeg.Pipe, pieces: Iterable[bytes]) -> None:
    """Write until the pieces end or fail, or the decoder has had enough; it notices both."""
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(pipe.write_end, view) :]
    except BrokenPipeError:
        pass
    finally:
        pipe.close(pipe.write_end)
