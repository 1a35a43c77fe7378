"""The script an engineer would write: one ffmpeg per tier, and one per chunk of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.floor import SUFFIXES, build_encode
from catalogue.nouns import Tier
from pipeline.cutting.grid import TARGET_S
from pipeline.master import hash_file
from pipeline.press import plan_press


def build_script(
    master: Path, tiers: Sequence[Tier], out: Path, seconds: int
) -> Iterator[list[str]]:
    """Give the commands, in order: each tier encoded whole, then copied out ten seconds a file.

    The encoders are those of lathe's recipes. What comes out is not exact: every chunk gains
    samples (docs/formats.md says why lathe cuts otherwise).
    """
    plan = plan_press(master, hash_file(master), tiers)
    for recipe in plan.recipes:
        suffix = SUFFIXES[recipe.tier.codec]
        whole = out / f"{recipe.tier.name}.{suffix}"
        yield build_encode(master, plan.master, [recipe], [whole])
        for start_s in range(0, seconds, TARGET_S):
            chunk = out / f"{recipe.tier.name}-{start_s // TARGET_S:05d}.{suffix}"
            yield [
                *("ffmpeg", "-v", "error", "-nostdin", "-y", "-ss", str(start_s)),
                *("-i", str(whole), "-t", str(TARGET_S), "-c", "copy", str(chunk)),
            ]
