"""One decode of a master feeding every encoder, in one ffmpeg process.

The decoded samples go through one resampler per rate, are split, and leave through a pipe per
encoder; one more pipe carries the PCM itself, which is hashed and counted here.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ffmpeg as graph

from catalogue.errors import EncoderInexact, MasterChecksum, MasterCorrupt, MasterTruncated
from catalogue.nouns import Decoded, Master, Sha256
from pipeline import ffmpeg
from pipeline.cutting.cut import Cutter
from pipeline.recipe import DITHER, RESAMPLER, Recipe

Progress = Callable[[int], None]
"""Told how many samples have been decoded so far."""


class PcmTap:
    """Hashes and counts the master's PCM as it passes."""

    def __init__(self, master: Master, progress: Progress) -> None:
        self._frame_bytes = master.channels * (2 if master.bits == 16 else 3)
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if master.audio_md5 else None
        self._size_bytes = 0
        self._progress = progress

    @property
    def samples(self) -> int:
        """Samples per channel so far."""
        return self._size_bytes // self._frame_bytes

    def feed(self, data: bytes) -> None:
        """Take the next bytes of PCM."""
        self._sha256.update(data)
        if self._md5 is not None:
            self._md5.update(data)
        self._size_bytes += len(data)
        self._progress(self.samples)

    def decoded(self) -> Decoded:
        """Return what was measured."""
        return Decoded(samples=self.samples, pcm_sha256=Sha256(self._sha256.hexdigest()))

    def audio_md5(self) -> str | None:
        """Return the checksum in the form FLAC carries it; None when the master has none."""
        return self._md5.hexdigest() if self._md5 is not None else None


def transcode(
    path: Path,
    master: Master,
    work: Sequence[tuple[Recipe, Cutter]],
    *,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> Decoded:
    """Decode the master once, feed every encoder, and give each cutter its encoder's output.

    Raises MasterTruncated, MasterCorrupt, MasterChecksum, EncoderInexact and Stopped; what the
    cutters have stored by then is never published.
    """
    tap = PcmTap(master, progress)
    with ffmpeg.open_pipes(1 + len(work)) as pipes:
        arguments = build_arguments(path, master, [recipe for recipe, _ in work], pipes)
        consumers = {pipes[0]: tap.feed} | {
            pipe: cutter.feed for pipe, (_, cutter) in zip(pipes[1:], work, strict=True)
        }
        try:
            ffmpeg.decode_into(arguments, consumers, should_stop=should_stop)
        except MasterCorrupt as fault:
            raise _explain(path, master, tap, fault) from fault
        except ValueError as fault:
            raise EncoderInexact(f"What an encoder wrote cannot be cut: {fault}.") from fault
    _require_whole(master, tap)
    return tap.decoded()


def build_arguments(
    path: Path, master: Master, recipes: Sequence[Recipe], pipes: Sequence[int]
) -> list[str]:
    """Return ffmpeg's arguments: PCM to the first of ``pipes``, each recipe to the next."""
    # Without reinit_filter=0 a change of rate in mid-stream would be resampled away in silence.
    opened: dict[str, Any] = {"reinit_filter": 0, **ffmpeg.input_options(strict=not master.lossy)}
    source = graph.input(ffmpeg.input_url(path), **opened)["a:0"]
    rates = sorted({recipe.rate_hz for recipe in recipes} - {master.rate_hz})
    direct = [recipe for recipe in recipes if recipe.rate_hz == master.rate_hz]
    taps = source.filter_multi_output("asplit", 1 + len(direct) + len(rates))
    pcm = "s16le" if master.bits == 16 else "s24le"
    outputs = [graph.output(taps[0], f"pipe:{pipes[0]}", format=pcm)]
    streams = {recipe.tier.name: taps[1 + place] for place, recipe in enumerate(direct)}
    for place, rate_hz in enumerate(rates, start=1 + len(direct)):
        resampled = taps[place].filter("aresample", rate_hz, **RESAMPLER, out_sample_fmt="flt")
        users = [recipe for recipe in recipes if recipe.rate_hz == rate_hz]
        split = resampled.filter_multi_output("asplit", len(users))
        streams |= {recipe.tier.name: split[turn] for turn, recipe in enumerate(users)}
    for pipe, recipe in zip(pipes[1:], recipes, strict=True):
        stream = streams[recipe.tier.name]
        if recipe.bits == 16 and master.bits != 16:
            stream = stream.filter("aresample", out_sample_fmt="s16p", **DITHER)
        exact = {"map_metadata": -1, "fflags": "+bitexact", "flags:a": "+bitexact"}
        outputs.append(graph.output(stream, f"pipe:{pipe}", **recipe.encoder, **exact))
    merged = outputs[0] if len(outputs) == 1 else graph.merge_outputs(*outputs)
    failing = [] if master.lossy else ["-xerror"]
    compiled: list[str] = graph.compile(merged)[1:]
    return [*failing, *compiled]


def _explain(path: Path, master: Master, tap: PcmTap, fault: MasterCorrupt) -> Exception:
    """Return what a failed decode means: the file's end is missing, or its inside is damaged."""
    declared = master.declared_samples
    measured = {"declared_samples": declared, "decoded_samples": tap.samples}
    if declared is not None and ffmpeg.last_packet_end(path, master.rate_hz) < declared:
        return MasterTruncated("Its last audio frames are missing.", **measured)
    return MasterCorrupt(
        f"{fault.detail} It said: {fault.measured.get('tool')}", **{**fault.measured, **measured}
    )


def _require_whole(master: Master, tap: PcmTap) -> None:
    declared = master.declared_samples
    if declared is not None and tap.samples != declared:
        error = MasterTruncated if tap.samples < declared else MasterCorrupt
        raise error(
            f"It declares {declared} samples and decodes to {tap.samples}.",
            declared_samples=declared,
            decoded_samples=tap.samples,
        )
    if tap.samples == 0:
        raise MasterTruncated("It decodes to no samples at all.", decoded_samples=0)
    if master.audio_md5 is not None and tap.audio_md5() != master.audio_md5:
        raise MasterChecksum(
            "The MD5 of its decoded audio is not the one in its header.",
            declared_md5=master.audio_md5,
            decoded_md5=tap.audio_md5(),
        )
