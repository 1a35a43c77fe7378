"""A recipe's identity: whatever changes the bytes changes it, and nothing else does."""

from dataclasses import replace
from typing import Any

import pytest

from catalogue.nouns import Codec, Tags, Tier
from pipeline.recipe import Recipe, plan_recipe
from pipeline.tiers import read_ladder
from tests.contract.examples import make_master

LADDER = {tier.name: tier for tier in read_ladder()}
BUILD = "ffmpeg version 5.1"
MASTER = make_master(bits=24, rate_hz=96_000)


def recipe_of(name: str, build: str = BUILD, **changes: Any) -> Recipe:
    return plan_recipe(replace(MASTER, **changes), LADDER[name], build=build)


def versions(build: str = BUILD, **changes: Any) -> dict[str, str]:
    return {name: recipe_of(name, build, **changes).version for name in LADDER}


def test_every_tier_has_a_recipe_of_its_own() -> None:
    found = versions()
    assert len(set(found.values())) == len(LADDER) == 10
    assert all(len(each) == 12 and set(each) <= set("0123456789abcdef") for each in found.values())


def test_another_build_is_another_recipe_for_every_tier() -> None:
    ours, theirs = versions(), versions("ffmpeg version 5.2")
    assert all(ours[name] != theirs[name] for name in LADDER)
    assert ours == versions()


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "f" * 64},
        {"size_bytes": 1},
        {"declared_samples": None},
        {"audio_md5": None},
        {"container": "wav", "codec": "pcm_s24le"},
        {"tags": Tags(title="Another")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_does_not_change_the_encoding_does_not_change_the_recipe(
    changes: dict[str, Any],
) -> None:
    assert versions(**changes) == versions()


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"channels": 1}, set(LADDER)),
        ({"rate_hz": 88_200}, set(LADDER)),
        ({"rate_hz": 48_000}, {"alac-hires", "flac-hires"}),
        ({"rate_hz": 192_000}, {"alac-hires", "flac-hires"}),
        ({"bits": 16}, {"alac-hires", "flac-hires"}),
    ],
)
def test_the_master_s_shape_changes_just_the_recipes_that_keep_it(
    changes: dict[str, Any], changed: set[str]
) -> None:
    before, after = versions(), versions(**changes)
    assert {name for name in LADDER if before[name] != after[name]} == changed


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("aac-128", {"bitrate_kbps": 129}),
        ("ogg-160", {"bitrate_kbps": 161}),
        ("ogg-160", {"rate_hz": 32_000}),
        ("ogg-24", {"rate_hz": None}),
        ("alac", {"hires": True}),
        ("alac", {"codec": Codec.FLAC}),
    ],
)
def test_another_setting_in_the_ladder_is_another_recipe(
    name: str, changes: dict[str, Any]
) -> None:
    tier = replace(LADDER[name], **changes)
    assert plan_recipe(MASTER, tier, build=BUILD).version != recipe_of(name).version


def test_a_bit_rate_for_mono_is_no_concern_of_stereo() -> None:
    tier = replace(LADDER["aac-128"], mono_bitrate_kbps=100)
    assert plan_recipe(MASTER, tier, build=BUILD).version == recipe_of("aac-128").version
    mono = replace(MASTER, channels=1)
    changed = plan_recipe(mono, tier, build=BUILD)
    assert changed.version != recipe_of("aac-128", channels=1).version
    assert changed.encoder["b:a"] == "100k"


def test_another_name_is_another_rendition_by_the_same_recipe() -> None:
    tier = Tier(name="voice", codec=Codec.AAC, bitrate_kbps=128, mono_bitrate_kbps=64)
    renamed, plain = plan_recipe(MASTER, tier, build=BUILD), recipe_of("aac-128")
    assert renamed.version == plain.version
    ids = (renamed.rendition_id(MASTER), plain.rendition_id(MASTER))
    assert ids[0].startswith("voice-") and ids[1].startswith("aac-128-")
    assert ids[0].removeprefix("voice-") != ids[1].removeprefix("aac-128-")


def test_a_rendition_s_id_is_its_tier_and_32_digits() -> None:
    for name in LADDER:
        found = recipe_of(name).rendition_id(MASTER)
        assert found.startswith(f"{name}-")
        digits = found.removeprefix(f"{name}-")
        assert len(digits) == 32 and set(digits) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flac-hires", 1_000_003),
        ("alac", 500_002),
        ("aac-256", 500_002),
        ("ogg-24", 166_667),
    ],
)
def test_a_recipe_tells_how_many_samples_it_gives(name: str, expected: int) -> None:
    assert recipe_of(name).samples_of(1_000_003, 96_000) == expected


@pytest.mark.parametrize("name", LADDER)
def test_a_master_of_one_sample_gives_at_most_one(name: str) -> None:
    given = recipe_of(name, rate_hz=44_100).samples_of(1, 44_100)
    assert given == (0 if name == "ogg-24" else 1)


def test_what_the_encoders_are_told_is_what_chunks_need() -> None:
    assert recipe_of("aac-128").encoder["aac_pns"] == 0
    assert recipe_of("flac").encoder["frame_size"] == 4096
    depths = {name: recipe_of(name).encoder.get("sample_fmt") for name in LADDER}
    lossless = {"alac": "s16p", "alac-hires": "s32p", "flac": "s16", "flac-hires": "s32"}
    assert depths == dict.fromkeys(LADDER) | lossless
