"""Half a minute of a master for who wants to know what it is like: its loudest passage, faded."""

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from catalogue.nouns import Codec, Master, Sha256, StoredObject, Tier
from pipeline import ffmpeg
from pipeline.cutting.mp4_chunks import Mp4Cutter
from pipeline.master import hash_file, probe_master
from pipeline.quality.drawings import Drawings
from pipeline.recipe import plan_recipe
from pipeline.transcode import decode_passage, transcode

MEDIA_TYPE = "audio/mp4"
LENGTH_S = 30.0
SHORTEST_S = 5.0
FADE_IN_S, FADE_OUT_S = 0.5, 2.0

_TIER = Tier(name="preview", codec=Codec.AAC, bitrate_kbps=128, mono_bitrate_kbps=64)
_HOP_S, _WINDOW_S = 0.1, 3.0
# Resampling and seeking may leave a few samples out at the end.
_MARGIN_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A stretch of a master, in whole tenths of a second."""

    start_s: float
    length_s: float


def choose_passage(drawn: Drawings) -> Passage | None:
    """Return the loudest half minute of a master; of a short one, half of it at most.

    The loudest is the one whose mean power is the greatest, as short-term loudness (EBU Tech 3341)
    weighs it; the first of several. None for a master that is too short for any.
    """
    whole_s = drawn.samples / drawn.rate_hz
    length_s = min(LENGTH_S, int(whole_s / 2 / _HOP_S) * _HOP_S)
    if length_s < SHORTEST_S:
        return None
    # Each tells of the 3 s that end 0.1 s after those of the one before.
    powers = 10 ** (np.maximum(drawn.short_terms_lufs, -120.0) / 10)
    width = round((length_s - _WINDOW_S) / _HOP_S) + 1
    sums = np.cumsum(np.concatenate([np.zeros(1), powers]))
    means: npt.NDArray[np.float64] = sums[width:] - sums[:-width]
    # What differs by a rounding error is as loud.
    loudest = int(np.argmax(means >= means.max() * (1 - 1e-9))) if len(means) else 0
    return Passage(start_s=round(loudest * _HOP_S, 1), length_s=round(length_s, 1))


def cut_preview(
    path: Path, master: Master, passage: Passage, *, should_stop: Callable[[], bool]
) -> bytes:
    """Return a passage of a master as fragmented MP4 with AAC, exact to the sample, and faded.

    It is not faded in where the master itself begins. Raises what ``transcode`` raises.
    """
    sound = bytearray()
    decode_passage(
        path,
        master,
        start_s=passage.start_s,
        length_s=passage.length_s + _MARGIN_S,
        take=sound.extend,
        should_stop=should_stop,
    )
    with tempfile.TemporaryDirectory() as folder:
        cut = Path(folder) / "preview.wav"
        _fade(bytes(sound), master, passage, cut)
        return _encode(cut, should_stop)


def _fade(sound: bytes, master: Master, passage: Passage, out: Path) -> None:
    """Write the passage, faded, as WAV."""
    with warnings.catch_warnings():
        # It warns of Python's own audioop, and looks for an ffmpeg that is not needed here.
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
    whole = AudioSegment(
        data=sound, sample_width=2, frame_rate=master.base_rate_hz, channels=master.channels
    )
    length_ms = round(passage.length_s * 1000)
    cut = whole[:length_ms].fade_out(round(FADE_OUT_S * 1000))
    if passage.start_s:
        cut = cut.fade_in(round(FADE_IN_S * 1000))
    with open(out, "wb") as file:
        cut.export(file, format="wav")


def _encode(path: Path, should_stop: Callable[[], bool]) -> bytes:
    master = probe_master(path, hash_file(path))
    recipe = plan_recipe(master, _TIER, build=ffmpeg.build_identity())
    pieces: dict[str, bytes] = {}

    def put(name: str, data: bytes) -> StoredObject:
        pieces[name] = data
        return StoredObject(name=name, size_bytes=len(data), sha256=Sha256(""))

    cutter = Mp4Cutter(
        put,
        codec=Codec.AAC,
        rate_hz=recipe.rate_hz,
        channels=recipe.channels,
        bits=recipe.bits,
    )
    decoded = transcode(
        path,
        master,
        [[(recipe, cutter)]],
        listen=lambda _: None,
        meter=lambda _: None,
        progress=lambda _: None,
        should_stop=should_stop,
    )
    cut = cutter.finish(decoded.samples)
    names = [cut.init.name, *(chunk.body.name for chunk in cut.chunks)]
    return b"".join(pieces[name] for name in names)
