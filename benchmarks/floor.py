"""The floor: one plain ffmpeg, one decode, the same encoders, whole files."""

from collections.abc import Sequence
from pathlib import Path

from catalogue.nouns import Codec, Tier
from pipeline.master import hash_file
from pipeline.press import plan_press
from pipeline.recipe import DITHER, RESAMPLER, Recipe

_SUFFIXES = {Codec.AAC: "m4a", Codec.ALAC: "m4a", Codec.FLAC: "flac", Codec.VORBIS: "ogg"}
_CONTAINER_OPTIONS = ("format", "frag_duration", "movflags")


def build_floor(master: Path, tiers: Sequence[Tier], out: Path) -> list[str]:
    """Return the command that encodes ``master`` in every tier it earns, into plain files.

    Encoders, bit rates, resampling and dither are those of lathe's own recipes, and each rate is
    resampled once; nothing is cut, hashed, checked or described.
    """
    plan = plan_press(master, hash_file(master), tiers)
    graph = _build_graph(plan.recipes, plan.master.rate_hz, plan.master.bits)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", f"file:{master}"]
    command += ["-filter_complex", graph]
    for turn, recipe in enumerate(plan.recipes):
        command += ["-map", f"[out{turn}]", "-map_metadata", "-1", *_encoder_options(recipe)]
        command.append(str(out / f"{recipe.tier.name}.{_SUFFIXES[recipe.tier.codec]}"))
    return command


def _build_graph(recipes: Sequence[Recipe], rate_hz: int, bits: int | None) -> str:
    """Return a filter graph with one resampler per rate, and a labelled output per recipe."""
    rates = sorted({recipe.rate_hz for recipe in recipes})
    lines = [f"[0:a]asplit={len(rates)}" + "".join(f"[at{rate}]" for rate in rates)]
    for rate in rates:
        turns = [turn for turn, recipe in enumerate(recipes) if recipe.rate_hz == rate]
        resampler = "" if rate == rate_hz else f"aresample={rate}:{_options(RESAMPLER)},"
        labels = "".join(f"[split{turn}]" for turn in turns)
        lines.append(f"[at{rate}]{resampler}asplit={len(turns)}{labels}")
    for turn, recipe in enumerate(recipes):
        dithered = recipe.bits == 16 and bits != 16
        last = f"aresample=out_sample_fmt=s16p:{_options(DITHER)}" if dithered else "anull"
        lines.append(f"[split{turn}]{last}[out{turn}]")
    return ";".join(lines)


def _options(options: dict[str, str]) -> str:
    return ":".join(f"{name}={value}" for name, value in options.items())


def _encoder_options(recipe: Recipe) -> list[str]:
    options = {
        name: str(value) for name, value in recipe.encoder.items() if name not in _CONTAINER_OPTIONS
    }
    return [word for name, value in options.items() for word in (f"-{name}", value)]
