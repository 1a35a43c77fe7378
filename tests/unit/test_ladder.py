import re
from pathlib import Path
from typing import Any

import pytest

from catalogue.errors import LadderInvalid, TierUnknown
from catalogue.nouns import Codec, Tier
from catalogue.rules import plan_tiers
from pipeline.lanes import plan_lanes
from pipeline.recipe import plan_recipe
from pipeline.tiers import choose_tiers, parse_ladder, read_ladder
from tests.contract.examples import make_master

NAMES = [
    *("ogg-24", "ogg-96", "ogg-160", "ogg-320", "aac-128", "aac-256"),
    *("alac", "alac-hires", "flac", "flac-hires"),
]
GOOD = 'name = "one"\ncodec = "aac"\nbitrate_kbps = 128\n'


def tier(text: str) -> str:
    return f"[[tier]]\n{text}"


def test_the_ladder_has_every_tier() -> None:
    assert [tier.name for tier in read_ladder()] == NAMES


def test_a_ladder_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "ladder.toml"
    path.write_text(tier(GOOD) + tier('name = "two"\ncodec = "flac"\nhires = true\n'))
    assert read_ladder(path) == (
        Tier(name="one", codec=Codec.AAC, bitrate_kbps=128, mono_bitrate_kbps=64),
        Tier(name="two", codec=Codec.FLAC, hires=True),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tier", "no TOML"),
        ("", "at least one tier"),
        (tier(GOOD) * 2, "no name twice"),
        ('[[tier]]\nname = "one"\n', "name, codec"),
        (tier(GOOD + "colour = 1\n"), "name, codec"),
        ("tier = [1]", "name, codec"),
        (tier(GOOD.replace('"one"', '"One"')), "'One' is no tier name"),
        (tier(GOOD.replace('"one"', '"../x"')), "'../x' is no tier name"),
        (tier(GOOD.replace('"one"', f'"{"a" * 33}"')), "is no tier name"),
        (tier(GOOD.replace('"one"', '"sealed"')), "downloads are named by"),
        (tier(GOOD.replace('"one"', '"cenc-256"')), "downloads are named by"),
        (tier(GOOD.replace("aac", "mp3")), "codec 'mp3'"),
        (tier(GOOD.replace("128", '"128"')), "bitrate_kbps"),
        (tier(GOOD.replace("128", "true")), "bitrate_kbps"),
        (tier(GOOD.replace("128", "7")), "bitrate_kbps"),
        (tier(GOOD + "mono_bitrate_kbps = 0\n"), "mono_bitrate_kbps"),
        (tier(GOOD + "rate_hz = 16000\n"), "rate_hz"),
        (tier(GOOD.replace("aac", "vorbis") + "rate_hz = 12345\n"), "rate_hz"),
        (tier(GOOD + "hires = true\n"), "only a lossless tier"),
        (tier('name = "x"\ncodec = "alac"\nbitrate_kbps = 9\n'), "only hires"),
        (tier('name = "x"\ncodec = "alac"\nhires = 1\n'), "only hires"),
    ],
)
def test_what_is_wrong_with_a_ladder_is_said(text: str, says: str) -> None:
    with pytest.raises(LadderInvalid, match=re.escape(says)):
        parse_ladder(text)


def test_a_ladder_that_cannot_be_read_is_invalid(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    for path in (tmp_path / "none", tmp_path, tmp_path / "bytes"):
        with pytest.raises(LadderInvalid, match="cannot be read"):
            read_ladder(path)


def test_tiers_are_chosen_by_name_in_the_ladder_s_order() -> None:
    chosen = choose_tiers(read_ladder(), ["flac", "ogg-24"])
    assert [tier.name for tier in chosen] == ["ogg-24", "flac"]
    assert choose_tiers(read_ladder(), None) == read_ladder()
    with pytest.raises(TierUnknown, match="mp3-128: the ladder has ogg-24"):
        choose_tiers(read_ladder(), ["flac", "mp3-128"])


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"bits": 24, "rate_hz": 192_000}, []),
        ({"bits": 24, "rate_hz": 44_100}, []),
        ({"bits": 16, "rate_hz": 96_000}, ["alac-hires", "flac-hires"]),
        (
            {"bits": None, "lossy": True, "codec": "mp3"},
            ["alac", "alac-hires", "flac", "flac-hires"],
        ),
    ],
)
def test_a_master_fills_only_what_it_honestly_can(
    changes: dict[str, Any], refused: list[str]
) -> None:
    earned, not_earned = plan_tiers(make_master(**changes), read_ladder())
    assert [tier.tier for tier in not_earned] == refused
    assert all(tier.reason for tier in not_earned)
    assert [tier.name for tier in earned] == [name for name in NAMES if name not in refused]


@pytest.mark.parametrize(
    ("rate_hz", "base_hz"),
    [(44_100, 44_100), (48_000, 48_000), (88_200, 44_100), (96_000, 48_000), (176_400, 44_100)],
)
def test_rates_stay_in_their_family(rate_hz: int, base_hz: int) -> None:
    master = make_master(bits=24, rate_hz=rate_hz)
    rates = {tier.name: plan_recipe(master, tier, build="build").rate_hz for tier in read_ladder()}
    wanted = dict.fromkeys(NAMES, base_hz) | {"ogg-24": 16_000}
    assert rates == wanted | {"alac-hires": rate_hz, "flac-hires": rate_hz}


def test_mono_has_its_own_bit_rates() -> None:
    master = make_master(channels=1)
    told = {
        tier.name: plan_recipe(master, tier, build="build").encoder.get("b:a")
        for tier in read_ladder()
    }
    assert told["ogg-24"] == "16k" and told["aac-256"] == "128k" and told["flac"] is None


def test_a_rendition_s_id_depends_on_master_recipe_and_build_and_nothing_else() -> None:
    master, tier = make_master(), read_ladder()[4]

    def rendition_id(**changes: Any) -> str:
        build = str(changes.pop("build", "one"))
        changed = make_master(**changes)
        return plan_recipe(changed, tier, build=build).rendition_id(changed)

    same = plan_recipe(master, tier, build="one").rendition_id(master)
    assert rendition_id() == rendition_id(declared_samples=7, size_bytes=8) == same
    others = [rendition_id(build="two"), rendition_id(channels=1), rendition_id(name="other")]
    assert len({same, *others}) == 4


@pytest.mark.parametrize("count", range(1, 13))
@pytest.mark.parametrize("bits", [16, 24])
def test_lanes_share_every_recipe_once(count: int, bits: int) -> None:
    master = make_master(bits=bits, rate_hz=96_000)
    earned, _ = plan_tiers(master, read_ladder())
    recipes = [plan_recipe(master, tier, build="build") for tier in earned]
    lanes = plan_lanes(recipes, count)
    assert 1 <= len(lanes) <= count
    assert all(lanes[1:])
    names = [recipe.tier.name for lane in lanes for recipe in lane]
    assert sorted(names) == sorted(recipe.tier.name for recipe in recipes)
    assert not any(recipe.tier.hires for lane in lanes[1:] for recipe in lane)
    assert lanes == plan_lanes(recipes, count)
