"""The floor: one plain ffmpeg, one decode, the same encoders, whole files."""

from collections.abc import Sequence
from pathlib import Path

from catalogue.nouns import Codec, Master, Tier
from pipeline.master import hash_file
from pipeline.press import plan_press
from pipeline.recipe import DITHER, RESAMPLER, Recipe

SUFFIXES = {Codec.AAC: "m4a", Codec.ALAC: "m4a", Codec.FLAC: "flac", Codec.VORBIS: "ogg"}
_CONTAINER_OPTIONS = ("format", "frag_duration", "movflags", "strict")


def build_floor(master: Path, tiers: Sequence[Tier], out: Path) -> list[str]:
    """Return the command that encodes ``master`` in every tier it earns, into plain files.

    Encoders, bit rates, resampling and dither are those of lathe's own recipes, and each rate is
    resampled once; nothing is cut, hashed, checked or described.
    """
    plan = plan_press(master, hash_file(master), tiers)
    places = [out / f"{recipe.tier.name}.{SUFFIXES[recipe.tier.codec]}" for recipe in plan.recipes]
    return build_encode(master, plan.master, plan.recipes, places)


def build_encode(
    path: Path, master: Master, recipes: Sequence[Recipe], places: Sequence[Path]
) -> list[str]:
    """Return one ffmpeg that decodes once and writes a whole file for each recipe."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", f"file:{path}"]
    command += ["-filter_complex", _build_graph(master, recipes)]
    for turn, (recipe, place) in enumerate(zip(recipes, places, strict=True)):
        command += ["-map", f"[out{turn}]", "-map_metadata", "-1", *_encoder_options(recipe)]
        command.append(str(place))
    return command


def _build_graph(master: Master, recipes: Sequence[Recipe]) -> str:
    """Return a filter graph with one resampler per rate, and a labelled output per recipe."""
    rates = sorted({recipe.rate_hz for recipe in recipes})
    lines = [f"[0:a]asplit={len(rates)}" + "".join(f"[at{rate}]" for rate in rates)]
    for rate in rates:
        turns = [turn for turn, recipe in enumerate(recipes) if recipe.rate_hz == rate]
        resampler = "" if rate == master.rate_hz else f"aresample={rate}:{_options(RESAMPLER)},"
        labels = "".join(f"[split{turn}]" for turn in turns)
        lines.append(f"[at{rate}]{resampler}asplit={len(turns)}{labels}")
    for turn, recipe in enumerate(recipes):
        dithered = recipe.bits == 16 and master.bits != 16
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
