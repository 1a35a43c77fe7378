"""One decode of a master feeding every encoder, on as many cores as the lanes ask for.

The first ffmpeg decodes, resamples to the family's base rate once, and encodes its lane; it sends
the samples at the base rate to one more ffmpeg per further lane. Every encoder's output comes
back through a pipe of its own, and one more carries the master's PCM, hashed and counted here.
What an encoder writes does not depend on the lane it runs in.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ffmpeg as graph

from catalogue.errors import (
    EncoderInexact,
    MasterChangesFormat,
    MasterChecksum,
    MasterCorrupt,
    MasterTruncated,
)
from catalogue.nouns import Decoded, Master, Sha256
from pipeline import ffmpeg
from pipeline.cutting.cut import Cutter
from pipeline.hearing.spectra import RATE_HZ
from pipeline.recipe import DITHER, DITHER_FRAME_SAMPLES, RESAMPLER, Recipe

_MASTER = "master"
# Containers may count time in units that no sample rate divides; encoders would inherit the jitter.
_COUNTED_TIME = "round(N/SR/TB)"

Progress = Callable[[int], None]
"""Told how many samples have been decoded so far."""


class PcmTap:
    """Hashes and counts the master's PCM as it passes, and gives it to a meter."""

    def __init__(self, master: Master, meter: ffmpeg.Consumer, progress: Progress) -> None:
        self._frame_bytes = master.channels * pcm_bits(master) // 8
        self._meter = meter
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
        self._meter(data)
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
    lanes: Sequence[Sequence[tuple[Recipe, Cutter]]],
    *,
    listen: ffmpeg.Consumer,
    meter: ffmpeg.Consumer,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> Decoded:
    """Decode the master once, feed every encoder, and give each cutter its encoder's output.

    ``listen`` gets the sound as ``pipeline.hearing`` takes it, ``meter`` the master's own PCM.
    Raises MasterTruncated, MasterCorrupt, MasterChecksum, MasterChangesFormat, EncoderInexact,
    EncoderFailed and Stopped; what the cutters have stored by then is never published.
    """
    tap = PcmTap(master, meter, progress)
    with ffmpeg.open_pipes(1 + len(lanes) + sum(map(len, lanes))) as pipes:
        spare = iter(pipes)
        pcm, sound, links = next(spare), next(spare), [next(spare) for _ in lanes[1:]]
        sinks = [[next(spare) for _ in lane] for lane in lanes]
        recipes = [[recipe for recipe, _ in lane] for lane in lanes]
        commands = build_commands(
            path, master, recipes, pcm=pcm, sound=sound, links=links, sinks=sinks
        )
        consumers: dict[ffmpeg.Pipe, ffmpeg.Consumer] = {pcm: tap.feed, sound: listen}
        for lane, lane_sinks in zip(lanes, sinks, strict=True):
            for (_, cutter), sink in zip(lane, lane_sinks, strict=True):
                consumers[sink] = cutter.feed
        try:
            ffmpeg.run_ffmpegs(commands, consumers, should_stop=should_stop)
        except MasterChangesFormat as fault:
            raise MasterChangesFormat(fault.detail, decoded_samples=tap.samples) from fault
        except MasterCorrupt as fault:
            raise _explain(path, master, tap, fault) from fault
        except ValueError as fault:
            raise EncoderInexact(f"What an encoder wrote cannot be cut: {fault}.") from fault
    _require_whole(master, tap)
    return tap.decoded()


def pcm_bits(master: Master) -> int:
    """Return how many bits a master's PCM has as it is decoded."""
    return 16 if master.bits == 16 else 24


def decode_master(
    path: Path, master: Master, *, listen: ffmpeg.Consumer, meter: ffmpeg.Consumer
) -> None:
    """Decode a master, and give what ``transcode`` gives, without encoding anything.

    Raises MasterCorrupt, MasterChangesFormat, EncoderFailed, ToolMissing and ToolKilled.
    """
    with ffmpeg.open_pipes(2) as (pcm, sound):
        commands = build_commands(path, master, [[]], pcm=pcm, sound=sound, links=[], sinks=[[]])
        ffmpeg.run_ffmpegs(commands, {pcm: meter, sound: listen})


def decode_sound(path: Path, listen: ffmpeg.Consumer) -> None:
    """Decode any file and give ``listen`` its sound as ``pipeline.hearing`` takes it.

    Damage is passed over. Raises MasterCorrupt, MasterChangesFormat,
    EncoderFailed, ToolMissing and ToolKilled.
    """
    with ffmpeg.open_pipes(1) as (sound,):
        source, options = _open(strict=False)
        arguments = _compile([_listen(source, sound)])
        command = ffmpeg.Command(
            arguments=[*options, *_name_master(arguments, path)], master=path, sinks=[sound]
        )
        ffmpeg.run_ffmpegs([command], {sound: listen})


def decode_passage(
    path: Path,
    master: Master,
    *,
    start_s: float,
    length_s: float,
    take: ffmpeg.Consumer,
    should_stop: Callable[[], bool],
) -> None:
    """Decode a stretch of a master at the family's base rate, and give ``take`` its PCM: 16 bits.

    Raises MasterCorrupt, MasterChangesFormat, EncoderFailed, ToolMissing, ToolKilled and Stopped.
    """
    with ffmpeg.open_pipes(1) as (pcm,):
        source, options = _open(strict=False, ss=start_s, t=length_s)
        at_base = _resample(source, master.rate_hz, master.base_rate_hz)
        arguments = _compile([_raw(at_base, pcm, "s16le")])
        command = ffmpeg.Command(
            arguments=[*options, *_name_master(arguments, path)], master=path, sinks=[pcm]
        )
        ffmpeg.run_ffmpegs([command], {pcm: take}, should_stop=should_stop)


def build_commands(
    path: Path,
    master: Master,
    lanes: Sequence[Sequence[Recipe]],
    *,
    pcm: ffmpeg.Pipe,
    sound: ffmpeg.Pipe,
    links: Sequence[ffmpeg.Pipe],
    sinks: Sequence[Sequence[ffmpeg.Pipe]],
) -> list[ffmpeg.Command]:
    """Return one ffmpeg per lane: the first decodes, to ``pcm`` and over ``links`` to the others.

    ``sound`` carries what is listened to: mono, float32, at the rate of ``pipeline.hearing``.

    ``sinks`` has a pipe for each recipe of each lane. Recipes of hires tiers belong to the first.
    """
    own = list(zip(lanes[0], sinks[0], strict=True))
    whole = [(recipe, sink) for recipe, sink in own if recipe.tier.hires]
    based = [(recipe, sink) for recipe, sink in own if not recipe.tier.hires]
    source, options = _open(strict=_is_strict(master))
    needs_base = bool(links or based)
    taps = _split(source, 2 + len(whole))
    outputs = [_raw(taps.pop(), pcm, f"s{pcm_bits(master)}le")]
    outputs += [_encode(taps.pop(), recipe, sink, master) for recipe, sink in whole]
    if not needs_base:
        outputs.append(_listen(taps.pop(), sound))
    else:
        at_base = _resample(taps.pop(), master.rate_hz, master.base_rate_hz)
        users = _split(at_base, 1 + len(links) + bool(based))
        outputs.append(_listen(users.pop(), sound))
        outputs += [_raw(users.pop(), link, _wire_format(master)) for link in links]
        outputs += _encode_all(users.pop(), based, master) if based else []
    first = ffmpeg.Command(
        arguments=[*options, *_name_master(_compile(outputs), path)],
        master=path,
        sinks=[pcm, sound, *links, *sinks[0]],
    )
    return [first, *map(partial(_build_lane, master), links, lanes[1:], sinks[1:])]


def _open(*, strict: bool, **stretch: float) -> tuple[Any, list[str]]:
    """Return the master's sound in a graph, and the options that come before its input."""
    # Without reinit_filter=0 a change of rate in mid-stream would be resampled away in silence.
    opened: dict[str, Any] = {
        "reinit_filter": 0,
        **ffmpeg.input_options(strict=strict),
        **stretch,
    }
    source = graph.input(_MASTER, **opened)["a:0"].filter("asetpts", _COUNTED_TIME)
    return source, ["-xerror"] if strict else []


def _name_master(arguments: Sequence[str], path: Path) -> list[str]:
    """Return the arguments with the master's own name, for the graph takes only Unicode."""
    return [ffmpeg.input_url(path) if word == _MASTER else word for word in arguments]


def _is_strict(master: Master) -> bool:
    """Whether any damage that ffmpeg sees is the master's end.

    Lossy sources often carry some harmlessly, and bare PCM can carry none that is seen: only the
    last packet of one that does not declare its length is taken for damaged, being short.
    """
    return not (master.lossy or master.codec.startswith("pcm_"))


def _build_lane(
    master: Master, link: ffmpeg.Pipe, lane: Sequence[Recipe], sinks: Sequence[ffmpeg.Pipe]
) -> ffmpeg.Command:
    """Return the ffmpeg of a lane that gets its sound, at the base rate, over ``link``."""
    source = graph.input(
        f"pipe:{link.read_end}",
        format=_wire_format(master),
        ar=master.base_rate_hz,
        ac=master.channels,
    )["a:0"]
    outputs = _encode_all(source, list(zip(lane, sinks, strict=True)), master)
    return ffmpeg.Command(arguments=_compile(outputs), source=link, sinks=sinks)


def _wire_format(master: Master) -> str:
    """Return the PCM that carries sound at the base rate between lanes without loss."""
    if master.rate_hz != master.base_rate_hz or master.bits is None:
        return "f32le"
    return "s16le" if master.bits == 16 else "s32le"


def _encode_all(
    at_base: Any, work: Sequence[tuple[Recipe, ffmpeg.Pipe]], master: Master
) -> list[Any]:
    rates = sorted({recipe.rate_hz for recipe, _ in work})
    outputs = []
    for rate_hz, stream in zip(rates, _split(at_base, len(rates)), strict=True):
        users = [(recipe, sink) for recipe, sink in work if recipe.rate_hz == rate_hz]
        resampled = _resample(stream, master.base_rate_hz, rate_hz)
        outputs += [
            _encode(part, recipe, sink, master)
            for part, (recipe, sink) in zip(_split(resampled, len(users)), users, strict=True)
        ]
    return outputs


def _encode(stream: Any, recipe: Recipe, sink: ffmpeg.Pipe, master: Master) -> Any:
    if recipe.bits == 16 and master.bits != 16:
        # Where the noise of the dither falls depends on the frames it is added to.
        stream = stream.filter("asetnsamples", DITHER_FRAME_SAMPLES, p=0).filter(
            "aresample", out_sample_fmt=recipe.encoder["sample_fmt"], **DITHER
        )
    exact = {"map_metadata": -1, "fflags": "+bitexact", "flags:a": "+bitexact"}
    return graph.output(stream, f"pipe:{sink.write_end}", **recipe.encoder, **exact)


def _resample(stream: Any, from_hz: int, to_hz: int) -> Any:
    if from_hz == to_hz:
        return stream
    return stream.filter("aresample", to_hz, **RESAMPLER, out_sample_fmt="flt")


def _listen(stream: Any, sink: ffmpeg.Pipe) -> Any:
    mono = stream.filter("aformat", sample_fmts="fltp", channel_layouts="mono")
    return _raw(mono.filter("aresample", RATE_HZ, resampler="swr"), sink, "f32le")


def _raw(stream: Any, sink: ffmpeg.Pipe, pcm_format: str) -> Any:
    return graph.output(stream, f"pipe:{sink.write_end}", format=pcm_format)


def _split(stream: Any, count: int) -> list[Any]:
    split = stream.filter_multi_output("asplit", count)
    return [split[place] for place in range(count)]


def _compile(outputs: Sequence[Any]) -> list[str]:
    merged = outputs[0] if len(outputs) == 1 else graph.merge_outputs(*outputs)
    arguments: list[str] = graph.compile(merged)[1:]
    return arguments


def _explain(path: Path, master: Master, tap: PcmTap, fault: MasterCorrupt) -> Exception:
    """Return what a failed decode means: the file's end is missing, or its inside is damaged."""
    declared = master.declared_samples
    measured = {"declared_samples": declared, "decoded_samples": tap.samples}
    if declared is not None and ffmpeg.last_packet_end(path, master.rate_hz) < declared:
        return MasterTruncated("Its last audio frames are missing.", **measured)
    detail = f"{fault.detail} It said: {fault.measured.get('tool', 'nothing')}"
    return MasterCorrupt(detail, **{**fault.measured, **measured})


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
