"""Sharing the encoders of one master among processes, so that several cores press it at once."""

from collections.abc import Sequence

from catalogue.nouns import Codec
from pipeline.recipe import Recipe

# CPU milliseconds of each encoder per second of stereo at 44.1 kHz, as measured on ffmpeg 5.1.
# Only the balance of the lanes depends on them.
_COST_MS = {Codec.VORBIS: 8.0, Codec.AAC: 13.0, Codec.ALAC: 2.6, Codec.FLAC: 2.6}
_DECODE_MS = 1.0
_MEASURED_HZ = 44_100


def plan_lanes(recipes: Sequence[Recipe], count: int) -> list[list[Recipe]]:
    """Return at most ``count`` lanes of about equal cost, each in the order of ``recipes``.

    The first lane also decodes, and holds every hi-res tier: those need the master's own rate,
    and the others get the base rate. No lane but the first is ever empty. Dearest first, each to
    the lane that has least so far (Graham's LPT rule, 1969).
    """
    costs = [_DECODE_MS] + [0.0] * (count - 1)
    places: dict[str, int] = {}
    for recipe in sorted(recipes, key=_order):
        lane = 0 if recipe.tier.hires else costs.index(min(costs))
        costs[lane] += _cost_ms(recipe)
        places[recipe.tier.name] = lane
    lanes = [
        [recipe for recipe in recipes if places[recipe.tier.name] == lane] for lane in range(count)
    ]
    return [lanes[0], *filter(None, lanes[1:])]


def _order(recipe: Recipe) -> tuple[bool, float]:
    return not recipe.tier.hires, -_cost_ms(recipe)


def _cost_ms(recipe: Recipe) -> float:
    return _COST_MS[recipe.tier.codec] * recipe.rate_hz / _MEASURED_HZ * recipe.channels / 2
