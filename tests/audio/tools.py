"""What must hold for every pressing, and damage to try on masters and on pressed folders."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from catalogue.nouns import Chunk, Rendition
from tests.audio.pressings import Pcm, Pressed, padding_heard, pcm_of
from tests.audio_tools import decode

Press = Callable[[str], Pressed]
"""Gives the pressing of a fixture by its file name."""

_DECODERS = 2


def decode_all(rendition: Rendition, streams: Iterable[bytes]) -> list[Pcm]:
    """Return what each stream of a rendition decodes to, as many at once as a machine has cores."""
    with ThreadPoolExecutor(_DECODERS) as pool:
        return list(pool.map(partial(pcm_of, rendition), streams))


def decode_everything_joined(pressed: Pressed) -> None:
    """Decode every joined rendition, so that all who ask later find it done."""
    with ThreadPoolExecutor(_DECODERS) as pool:
        list(pool.map(pressed.joined_pcm, pressed.pressing.renditions))


def untrimmed_pcm(rendition: Rendition, stream: bytes) -> Pcm:
    """Return the float PCM of all that a stream holds: nothing left out that it asks to leave."""
    pcm = decode(stream, "f32le", "-flags2", "+skip_manual")
    return np.frombuffer(pcm, "<f4").reshape(-1, rendition.channels)


def packed_sha256(pcm: Pcm, bits: int | None) -> str:
    """Return the hash of PCM as a master of its depth has it: 2 or 3 bytes a sample."""
    if bits == 24:
        return hashlib.sha256(pcm.view("u1").reshape(-1, 4)[:, 1:].tobytes()).hexdigest()
    return hashlib.sha256(pcm.tobytes()).hexdigest()


def span(rendition: Rendition, chunk: Chunk) -> slice:
    """Return where a chunk's sound is in that of the joined stream: padding is the last one's."""
    last = chunk is rendition.chunks[-1]
    end = chunk.start_samples + chunk.valid_samples + last * padding_heard(rendition)
    return slice(chunk.start_samples, end)


def require_tiling(rendition: Rendition) -> None:
    """Require that the chunks tile the track: no gap, no overlap, none empty, in their order."""
    starts = [chunk.start_samples for chunk in rendition.chunks]
    ends = [chunk.start_samples + chunk.valid_samples for chunk in rendition.chunks]
    assert [0, *ends] == [*starts, rendition.samples], rendition.tier.name
    assert starts == sorted(set(starts)), rendition.tier.name
    assert [chunk.index for chunk in rendition.chunks] == list(range(len(starts)))


def require_chunks_alone(pressed: Pressed, rendition: Rendition) -> None:
    """Require that each chunk decodes alone, bit for bit, to its stretch of the joined decode.

    The one chunk of a short track is that track: it need not be decoded again.
    """
    whole, joined = pressed.joined_pcm(rendition), pressed.joined(rendition)
    streams = [pressed.alone(rendition, chunk) for chunk in rendition.chunks]
    heard = [whole] if streams == [joined] else decode_all(rendition, streams)
    for chunk, pcm in zip(rendition.chunks, heard, strict=True):
        named = (rendition.tier.name, chunk.index)
        wanted = whole[span(rendition, chunk)]
        assert len(pcm) == len(wanted), named
        assert np.array_equal(pcm, wanted), named


def require_joined_as_uncut(pressed: Pressed, uncut: dict[str, bytes]) -> None:
    """Require that joined chunks decode to what the encoder wrote, its priming left out.

    Of a Vorbis stream that is not longer than its first packets, ffmpeg gets the length wrong as
    the encoder wrote it: only as much as it plays of that can be compared.
    """
    for rendition in pressed.pressing.renditions:
        tier, joined = rendition.tier, pressed.joined_pcm(rendition)
        heard = pcm_of(rendition, uncut[tier.name])[rendition.priming_samples :]
        if tier.codec == "vorbis" and rendition.samples <= 1024:
            heard, joined = heard[: len(joined)], joined[: len(heard)]
        assert np.array_equal(heard, joined), tier.name


def flipped(data: bytes, *bits: int) -> bytes:
    """Return bytes in which the bits at these places are the other way round."""
    damaged = bytearray(data)
    for bit in bits:
        damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def files_in(folder: Path) -> Iterator[str]:
    """Give the relative names of all files in a folder, by name."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    yield from (str(path.relative_to(folder)) for path in paths)
