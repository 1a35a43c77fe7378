"""What every fixture earns of the ladder, and what a ladder file must not say."""

import re
from pathlib import Path

import pytest

from catalogue.errors import LadderInvalid, NoTierEarned, TierUnknown
from pipeline.master import hash_file
from pipeline.press import PressPlan, plan_press
from pipeline.tiers import choose_tiers, parse_ladder, read_ladder
from tests.audio_tools import Fact, fact, facts

LADDER = read_ladder()
LOSSY = ["ogg-24", "ogg-96", "ogg-160", "ogg-320", "aac-128", "aac-256"]
CD = [*LOSSY, "alac", "flac"]
ALL = [tier.name for tier in LADDER]
HIRES = {"alac-hires", "flac-hires"}
LOSSLESS = HIRES | {"alac", "flac"}

PADDED = "the master has 16 bits: a hi-res tier would only pad it"
LOSSY_SOURCE = "the master is lossy (mp3): no lossless tier can be made from it"
TOO_SHORT = "the master is too short: it has no sample at 16000 Hz"

VORBIS = '[[tier]]\nname = "one"\ncodec = "vorbis"\nbitrate_kbps = 96\n'


def plan(truth: Fact) -> PressPlan:
    return plan_press(truth.path, hash_file(truth.path), LADDER)


def expected_refusals(truth: Fact) -> dict[str, str]:
    if truth.bits is None:
        return dict.fromkeys(LOSSLESS, LOSSY_SOURCE)
    padded = dict.fromkeys(HIRES, PADDED) if truth.bits == 16 else {}
    return padded | ({"ogg-24": TOO_SHORT} if truth.samples == 1 else {})


@pytest.mark.parametrize("truth", facts(), ids=lambda truth: truth.file)
def test_every_fixture_gets_a_tier_or_the_reason_why_not(truth: Fact) -> None:
    made = plan(truth)
    refused = {each.tier: each.reason for each in made.refused}
    assert refused == expected_refusals(truth)
    assert [recipe.tier.name for recipe in made.recipes] == [
        name for name in ALL if name not in refused
    ]


@pytest.mark.parametrize(
    ("file", "tiers"),
    [
        ("prelude.flac", CD),
        ("ode-24.wav", ALL),
        ("gymnopedie-192.flac", ALL),
        ("speech.flac", CD),
        ("ode-24.aiff", ALL),
        ("lossy.mp3", LOSSY),
        ("tiny.wav", CD[1:]),
    ],
)
def test_each_kind_of_master_earns_the_tiers_it_honestly_fills(file: str, tiers: list[str]) -> None:
    earned = [recipe.tier.name for recipe in plan(fact(file)).recipes]
    assert earned == [name for name in ALL if name in tiers]


@pytest.mark.parametrize("truth", facts(), ids=lambda truth: truth.file)
def test_channels_rate_family_and_depth_are_never_made_up(truth: Fact) -> None:
    base_hz = 44_100 if truth.rate_hz % 44_100 == 0 else 48_000
    for recipe in plan(truth).recipes:
        rate_hz = 16_000 if recipe.tier.name == "ogg-24" else base_hz
        bits = 16 if recipe.tier.codec.lossless else None
        if recipe.tier.hires:
            assert truth.bits is not None
            rate_hz, bits = truth.rate_hz, truth.bits
        shape = (recipe.channels, recipe.grid_hz, recipe.rate_hz, recipe.bits)
        assert shape == (truth.channels, base_hz, rate_hz, bits), recipe.tier.name


@pytest.mark.parametrize(
    ("file", "tiers", "reason"),
    [
        ("short.flac", ["alac-hires", "flac-hires"], PADDED),
        ("lossy.mp3", ["alac", "flac-hires"], LOSSY_SOURCE),
        ("tiny.wav", ["ogg-24"], TOO_SHORT),
    ],
)
def test_a_master_that_earns_nothing_is_told_why_tier_by_tier(
    file: str, tiers: list[str], reason: str
) -> None:
    path = fact(file).path
    with pytest.raises(NoTierEarned) as caught:
        plan_press(path, hash_file(path), choose_tiers(LADDER, tiers))
    assert caught.value.code == "no-tier-earned"
    assert caught.value.measured == dict.fromkeys(tiers, reason)


@pytest.mark.parametrize("value", ["5", "true", "1.5", "1979-05-27", '"ab"', '["ab"]', "{a = 1}"])
def test_a_tier_that_is_no_table_is_invalid(value: str) -> None:
    with pytest.raises(LadderInvalid) as caught:
        parse_ladder(f"tier = {value}\n")
    assert caught.value.code == "ladder-invalid"


@pytest.mark.parametrize("value", ["16000.0", "true", '"16000"', "[16000]", "-16000", "inf"])
def test_a_rate_is_a_whole_number(value: str) -> None:
    with pytest.raises(LadderInvalid, match="Tier one: rate_hz"):
        parse_ladder(f"{VORBIS}rate_hz = {value}\n")


def test_rates_and_bit_rates_reach_as_far_as_they_say() -> None:
    for kbps in (8, 512):
        (tier,) = parse_ladder(VORBIS.replace("96", str(kbps)) + f"mono_bitrate_kbps = {kbps}\n")
        assert (tier.bitrate_kbps, tier.mono_bitrate_kbps) == (kbps, kbps)
    for kbps in (7, 513, -96):
        with pytest.raises(LadderInvalid, match="whole number from 8 to 512"):
            parse_ladder(VORBIS.replace("96", str(kbps)))


def test_half_of_the_least_bit_rate_is_too_little_for_mono() -> None:
    with pytest.raises(LadderInvalid, match="Tier one: mono_bitrate_kbps"):
        parse_ladder(VORBIS.replace("96", "15"))


def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "ladder.toml"
    path.write_text(f"{VORBIS}hires = maybe\n")
    with pytest.raises(LadderInvalid, match=re.escape("at line 5, column 9")):
        read_ladder(path)


def test_the_second_tier_is_named_when_it_is_the_wrong_one() -> None:
    wrong = VORBIS.replace("one", "two").replace("vorbis", "opus")
    with pytest.raises(LadderInvalid, match="Tier two: codec 'opus'"):
        parse_ladder(VORBIS + wrong)


def test_an_unknown_tier_is_named_with_those_there_are() -> None:
    with pytest.raises(TierUnknown) as caught:
        choose_tiers(LADDER, ["flac", "mp3", "aac"])
    assert caught.value.code == "tier-unknown"
    assert caught.value.measured == {"tier": "aac"}
    assert caught.value.detail == f"aac, mp3: the ladder has {', '.join(ALL)}."


def test_tiers_named_twice_are_made_once() -> None:
    assert [tier.name for tier in choose_tiers(LADDER, ["flac", "flac"])] == ["flac"]
    assert choose_tiers(LADDER, []) == ()
