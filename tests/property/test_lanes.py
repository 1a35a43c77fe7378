"""The laws of lanes: all of the work, once each, shared evenly, and the same every time."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from catalogue.nouns import Codec, Tier
from pipeline.lanes import plan_lanes
from pipeline.recipe import Recipe, plan_recipe
from tests.contract.examples import make_master

quiet = settings(derandomize=True, deadline=None)

counts = st.integers(1, 24)
masters = st.builds(
    make_master,
    bits=st.just(24),
    rate_hz=st.sampled_from([44_100, 48_000, 88_200, 96_000, 176_400, 192_000]),
    channels=st.sampled_from([1, 2]),
)
codecs = st.sampled_from(Codec)


def make_tier(number: int, codec: Codec, *, hires: bool = False) -> Tier:
    """Return a tier of a codec, named after its place."""
    bitrate = None if codec.lossless else 96
    return Tier(
        name=f"tier-{number}",
        codec=codec,
        bitrate_kbps=bitrate,
        mono_bitrate_kbps=bitrate,
        hires=hires and codec.lossless,
    )


@st.composite
def works(draw: st.DrawFn) -> list[Recipe]:
    """Recipes of one master at up to twenty tiers of any kind."""
    master = draw(masters)
    kinds = draw(st.lists(st.tuples(codecs, st.booleans()), min_size=1, max_size=20))
    return [
        plan_recipe(master, make_tier(number, codec, hires=hires), build="build")
        for number, (codec, hires) in enumerate(kinds)
    ]


def names(lanes: list[list[Recipe]]) -> list[list[str]]:
    return [[recipe.tier.name for recipe in lane] for lane in lanes]


@quiet
@given(works(), counts)
def test_every_recipe_is_in_one_lane_once(recipes: list[Recipe], count: int) -> None:
    planned = [name for lane in names(plan_lanes(recipes, count)) for name in lane]
    assert sorted(planned) == sorted(recipe.tier.name for recipe in recipes)


@quiet
@given(works(), counts)
def test_no_lane_is_idle_and_none_is_too_many(recipes: list[Recipe], count: int) -> None:
    lanes = plan_lanes(recipes, count)
    assert 1 <= len(lanes) <= count
    assert all(lanes[1:])


@quiet
@given(works(), counts)
def test_each_lane_keeps_the_order_of_the_ladder(recipes: list[Recipe], count: int) -> None:
    place = {recipe.tier.name: number for number, recipe in enumerate(recipes)}
    for lane in names(plan_lanes(recipes, count)):
        assert lane == sorted(lane, key=place.__getitem__)


@quiet
@given(works(), counts)
def test_what_needs_the_master_s_own_rate_is_where_the_master_is(
    recipes: list[Recipe], count: int
) -> None:
    lanes = plan_lanes(recipes, count)
    assert not any(recipe.tier.hires for lane in lanes[1:] for recipe in lane)


@quiet
@given(works(), counts)
def test_the_same_work_is_shared_the_same_way(recipes: list[Recipe], count: int) -> None:
    copies = [replace(recipe, encoder=dict(recipe.encoder)) for recipe in recipes]
    assert names(plan_lanes(copies, count)) == names(plan_lanes(recipes, count))


@quiet
@given(works())
def test_one_lane_is_all_the_work_in_order(recipes: list[Recipe]) -> None:
    assert plan_lanes(recipes, 1) == [recipes]


@quiet
@given(codecs, st.integers(1, 20), counts)
def test_equal_tiers_are_shared_evenly(codec: Codec, tiers: int, count: int) -> None:
    master = make_master()
    recipes = [
        plan_recipe(master, make_tier(number, codec), build="build") for number in range(tiers)
    ]
    sizes = [len(lane) for lane in plan_lanes(recipes, count)]
    sizes += [0] * (count - len(sizes))
    assert max(sizes) - min(sizes) <= 1
    assert sizes[0] == min(sizes), "the first also decodes"
