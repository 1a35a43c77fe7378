"""The spine: one master in, every rendition it earns out, as objects in a store."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from catalogue.errors import EncoderInexact, NoTierEarned
from catalogue.nouns import (
    Codec,
    Master,
    Pressing,
    Rendition,
    RenditionId,
    Sha256,
    StoredObject,
    Tier,
    TierRefused,
)
from catalogue.rules import plan_tiers
from pipeline import ffmpeg
from pipeline.analysis import analysing
from pipeline.cutting.cut import Cut, Cutter, Put
from pipeline.cutting.mp4_chunks import Mp4Cutter
from pipeline.cutting.ogg_chunks import OggCutter
from pipeline.lanes import plan_lanes
from pipeline.master import probe_master
from pipeline.quality.drawings import Drawings
from pipeline.quality.tiers import measure_tiers
from pipeline.recipe import Recipe, plan_recipe
from pipeline.transcode import transcode
from storage.keys import rendition_key
from storage.port import ObjectStore

Report = Callable[[str, int], None]
"""Told the stage and how far it is, in per cent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PressPlan:
    """What pressing a master will make, known before anything is decoded."""

    master: Master
    recipes: tuple[Recipe, ...]
    refused: tuple[TierRefused, ...]

    def rendition_ids(self) -> list[RenditionId]:
        """Return the ids that the renditions will have."""
        return [recipe.rendition_id(self.master) for recipe in self.recipes]


def plan_press(path: Path, sha256: Sha256, tiers: Sequence[Tier]) -> PressPlan:
    """Probe the master at ``path`` and return which of ``tiers`` it earns, and by what recipes.

    Raises what ``probe_master`` raises, and NoTierEarned.
    """
    master = probe_master(path, sha256)
    return plan_again(master, tiers)


def plan_again(master: Master, tiers: Sequence[Tier]) -> PressPlan:
    """Return the plan for a master that was probed before. Raises NoTierEarned."""
    earned, refused = plan_tiers(master, tiers)
    build = ffmpeg.build_identity()
    recipes = [plan_recipe(master, tier, build=build) for tier in earned]
    if master.declared_samples is not None:
        recipes, empty = _sort_out_empty(master, recipes, master.declared_samples)
        refused += empty
    if not recipes:
        raise _no_tier(refused)
    return PressPlan(master=master, recipes=tuple(recipes), refused=tuple(refused))


def press(
    path: Path,
    plan: PressPlan,
    store: ObjectStore,
    *,
    lanes: int = 1,
    report: Report = lambda _stage, _percent: None,
    draw: Callable[[Drawings], None] = lambda _drawn: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Pressing:
    """Decode the master at ``path`` once, make every planned rendition, and store its objects.

    ``lanes`` is how many encoding processes may share the work; the bytes do not depend on it.
    ``draw`` is given what drawings of the master are made of.
    Nothing is published: the objects are unreachable until somebody records the pressing.
    Raises what ``transcode`` raises, and Unavailable when the store is away.
    """
    master = plan.master
    cutters = {
        recipe.tier.name: build_cutter(recipe, _put_into(store, recipe.rendition_id(master)))
        for recipe in plan.recipes
    }
    work = [
        [(recipe, cutters[recipe.tier.name]) for recipe in lane]
        for lane in plan_lanes(plan.recipes, lanes)
    ]
    progress = _progress(master, report)
    with analysing(master) as analysis:
        decoded = transcode(
            path,
            master,
            work,
            listen=analysis.listen,
            meter=analysis.meter,
            progress=progress,
            should_stop=should_stop,
        )
        analysed = analysis.finish()
    report("measure", 98)
    kept, empty = _sort_out_empty(master, plan.recipes, decoded.samples)
    if not kept:
        raise _no_tier([*plan.refused, *empty])
    renditions = tuple(
        _finish(master, decoded.samples, recipe, cutters[recipe.tier.name]) for recipe in kept
    )
    peaks = measure_tiers(renditions, store, lanes=lanes, should_stop=should_stop)
    draw(analysed.drawings)
    report("publish", 99)
    return Pressing(
        master=master,
        decoded=decoded,
        features=analysed.features(),
        fingerprint=analysed.fingerprint,
        renditions=renditions,
        refused=(*plan.refused, *empty),
        quality=replace(analysed.quality, tiers=peaks),
    )


def _no_tier(refused: Sequence[TierRefused]) -> NoTierEarned:
    reasons = {tier.tier: tier.reason for tier in refused}
    return NoTierEarned("It earns no tier of those asked for.", **reasons)


def _sort_out_empty(
    master: Master, recipes: Sequence[Recipe], samples: int
) -> tuple[list[Recipe], list[TierRefused]]:
    """Return the recipes that give a sample at all, and the tiers of those that give none."""
    kept: list[Recipe] = []
    empty: list[TierRefused] = []
    for recipe in recipes:
        if recipe.samples_of(samples, master.rate_hz):
            kept.append(recipe)
        else:
            reason = f"the master is too short: it has no sample at {recipe.rate_hz} Hz"
            empty.append(TierRefused(tier=recipe.tier.name, reason=reason))
    return kept, empty


def build_cutter(recipe: Recipe, put: Put) -> Cutter:
    """Return the cutter for what the recipe's encoder writes."""
    if recipe.tier.codec is Codec.VORBIS:
        return OggCutter(put, rate_hz=recipe.rate_hz, grid_hz=recipe.grid_hz)
    return Mp4Cutter(
        put,
        codec=recipe.tier.codec,
        rate_hz=recipe.rate_hz,
        channels=recipe.channels,
        bits=recipe.bits,
    )


def _put_into(store: ObjectStore, rendition: RenditionId) -> Put:
    def put(name: str, data: bytes) -> StoredObject:
        store.put(rendition_key(rendition, name), data)
        digest = Sha256(hashlib.sha256(data).hexdigest())
        return StoredObject(name=name, size_bytes=len(data), sha256=digest)

    return put


def _progress(master: Master, report: Report) -> Callable[[int], None]:
    last = -1

    def progress(samples: int) -> None:
        nonlocal last
        percent = min(98, samples * 98 // (master.declared_samples or samples * 2 or 1))
        if percent != last:
            last = percent
            report("press", percent)

    return progress


def _finish(master: Master, samples: int, recipe: Recipe, cutter: Cutter) -> Rendition:
    expected = recipe.samples_of(samples, master.rate_hz)
    try:
        cut = cutter.finish(expected)
    except ValueError as fault:
        raise EncoderInexact(f"What an encoder wrote cannot be cut: {fault}.") from fault
    _require_tiling(cut, expected)
    return Rendition(
        id=recipe.rendition_id(master),
        master_sha256=master.sha256,
        tier=recipe.tier,
        recipe=recipe.version,
        codec_string=cut.codec_string,
        media_type=cut.media_type,
        rate_hz=recipe.rate_hz,
        channels=recipe.channels,
        bits=recipe.bits,
        samples=cut.samples,
        frame_samples=cut.frame_samples,
        priming_samples=cut.priming_samples,
        padding_samples=cut.padding_samples,
        init=cut.init,
        preroll=cut.preroll,
        chunks=cut.chunks,
    )


def _require_tiling(cut: Cut, samples: int) -> None:
    """Raise EncoderInexact unless the chunks tile the track: no gap, no overlap, no sample more."""
    start = 0
    for chunk in cut.chunks:
        if chunk.start_samples != start or chunk.valid_samples <= 0:
            raise EncoderInexact("The chunks do not tile the track.", chunk=chunk.index)
        start += chunk.valid_samples
    if start != samples:
        raise EncoderInexact("The chunks do not tile the track.", samples=samples, tiled=start)
