"""How lathe's own ladder is shared among cores."""

import os
import subprocess
import sys

import pytest

from catalogue.rules import plan_tiers
from pipeline.lanes import plan_lanes
from pipeline.recipe import Recipe, plan_recipe
from pipeline.tiers import read_ladder
from tests.audio_tools import FIXTURES
from tests.contract.examples import make_master

LADDER = read_ladder()


def recipes_of(*, rate_hz: int = 44_100, bits: int = 16, channels: int = 2) -> list[Recipe]:
    master = make_master(rate_hz=rate_hz, bits=bits, channels=channels)
    earned, _ = plan_tiers(master, LADDER)
    return [plan_recipe(master, tier, build="build") for tier in earned]


def names(lanes: list[list[Recipe]]) -> list[list[str]]:
    return [[recipe.tier.name for recipe in lane] for lane in lanes]


def test_two_cores_share_a_cd_about_evenly() -> None:
    assert names(plan_lanes(recipes_of(), 2)) == [
        ["ogg-24", "ogg-160", "aac-256", "alac", "flac"],
        ["ogg-96", "ogg-320", "aac-128"],
    ]


def test_mono_is_shared_as_stereo_is() -> None:
    assert names(plan_lanes(recipes_of(channels=1), 3)) == names(plan_lanes(recipes_of(), 3))


def test_a_core_for_each_tier_is_all_that_can_be_used() -> None:
    lanes = plan_lanes(recipes_of(), 64)
    assert sorted(name for lane in names(lanes) for name in lane) == sorted(
        recipe.tier.name for recipe in recipes_of()
    )
    assert all(len(lane) == 1 for lane in lanes[1:])
    assert len(lanes) <= 9


def test_hires_tiers_leave_the_other_work_to_the_other_cores() -> None:
    first, second = names(plan_lanes(recipes_of(rate_hz=192_000, bits=24), 2))
    assert {"alac-hires", "flac-hires"} <= set(first)
    assert {"aac-128", "aac-256"} <= set(second), "the dearest of the others"


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_hires_tiers_alone_make_one_lane(count: int) -> None:
    hires = [recipe for recipe in recipes_of(bits=24) if recipe.tier.hires]
    assert names(plan_lanes(hires, count)) == [["alac-hires", "flac-hires"]]


@pytest.mark.parametrize("count", [1, 2, 8])
def test_one_tier_makes_one_lane_unless_the_decoder_has_a_core_to_itself(count: int) -> None:
    (flac,) = [recipe for recipe in recipes_of() if recipe.tier.name == "flac"]
    lanes = names(plan_lanes([flac], count))
    assert lanes == ([["flac"]] if count == 1 else [[], ["flac"]])


def test_nothing_to_do_is_one_idle_lane() -> None:
    assert plan_lanes([], 4) == [[]]


def test_only_the_cores_that_this_process_may_use_are_counted() -> None:
    core = min(os.sched_getaffinity(0))
    program = "from lathe.machine import count_cores; print(count_cores())"
    command = ["taskset", "-c", str(core), sys.executable, "-c", program]
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(FIXTURES.parents[1])}
    assert subprocess.check_output(command, env=plain, timeout=60) == b"1\n"
