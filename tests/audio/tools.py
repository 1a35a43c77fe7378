"""What must hold for every pressing, and damage to try on masters and on pressed folders."""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from catalogue.nouns import Chunk, Codec, Rendition
from tests.audio.pressings import Pcm, Pressed, padding_heard, pcm_of
from tests.audio_tools import decode

Press = Callable[[str], Pressed]
"""Gives the pressing of a fixture by its file name."""

VORBIS_PACKET = 1024

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
    renditions = pressed.pressing.renditions
    with ThreadPoolExecutor(_DECODERS) as pool:
        heard = pool.map(lambda each: pcm_of(each, uncut[each.tier.name]), renditions)
    for rendition, pcm in zip(renditions, heard, strict=True):
        played, joined = pcm[rendition.priming_samples :], pressed.joined_pcm(rendition)
        if rendition.tier.codec is Codec.VORBIS and rendition.samples <= VORBIS_PACKET:
            played, joined = played[: len(joined)], joined[: len(played)]
        assert np.array_equal(played, joined), rendition.tier.name


def retimed(mp4: bytes, *, scale: int) -> bytes:
    """Return an ALAC in MP4 whose track counts time in parts of 1/``scale`` s, rounded.

    Its index stands at its end, as ffmpeg writes it, so that the box of durations may grow.
    """
    data, index = bytearray(mp4), mp4.rindex(b"moov")
    mdhd, stts, stsz = (mp4.index(name, index) for name in (b"mdhd", b"stts", b"stsz"))
    rate_hz, samples = struct.unpack_from(">II", mp4, mdhd + 16)
    (frames,) = struct.unpack_from(">I", mp4, stsz + 12)
    ends = [round(min(turn * 4096, samples) * scale / rate_hz) for turn in range(frames + 1)]
    table = struct.pack(">I4sII", 16 + 8 * frames, b"stts", 0, frames)
    table += b"".join(struct.pack(">II", 1, end - start) for start, end in pairwise(ends))
    struct.pack_into(">II", data, mdhd + 16, scale, ends[-1])
    (size_bytes,) = struct.unpack_from(">I", mp4, stts - 4)
    data[stts - 4 : stts - 4 + size_bytes] = table
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        place = mp4.index(name, index) - 4
        (before,) = struct.unpack_from(">I", mp4, place)
        struct.pack_into(">I", data, place, before + len(table) - size_bytes)
    return bytes(data)


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
