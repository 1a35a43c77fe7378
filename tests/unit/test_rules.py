import pytest

from catalogue.nouns import Master
from catalogue.rules import plan_tiers
from tests.contract.examples import LADDER, make_master

ALL = [tier.name for tier in LADDER]


def plan(master: Master) -> tuple[list[str], dict[str, str]]:
    """Return the names of the tiers earned, and the reasons of those that are not."""
    earned, refused = plan_tiers(master, LADDER)
    return [tier.name for tier in earned], {each.tier: each.reason for each in refused}


# --------------------------------------------------------------------------- tiers


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 88_200, 96_000, 176_400, 192_000])
def test_24_bits_earn_every_tier_at_any_rate(rate_hz: int) -> None:
    assert plan(make_master(rate_hz=rate_hz, bits=24)) == (ALL, {})


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
def test_16_bits_earn_no_hires_tier(rate_hz: int) -> None:
    earned, refused = plan(make_master(rate_hz=rate_hz, bits=16))
    assert earned == ["ogg-160", "aac-256", "alac"]
    assert refused == {"alac-hires": "the master has 16 bits: a hi-res tier would only pad it"}


@pytest.mark.parametrize("codec", ["mp3", "aac", "vorbis", "opus"])
def test_a_lossy_master_earns_no_lossless_tier(codec: str) -> None:
    earned, refused = plan(make_master(codec=codec, lossy=True, bits=None))
    reason = f"the master is lossy ({codec}): no lossless tier can be made from it"
    assert earned == ["ogg-160", "aac-256"]
    assert refused == {"alac": reason, "alac-hires": reason}


def test_tiers_keep_the_order_of_the_ladder() -> None:
    earned, _ = plan_tiers(make_master(bits=24), LADDER[::-1])
    assert [tier.name for tier in earned] == ALL[::-1]


def test_every_tier_is_either_earned_or_refused() -> None:
    for master in (make_master(), make_master(bits=24), make_master(lossy=True, bits=None)):
        earned, refused = plan(master)
        assert sorted([*earned, *refused]) == sorted(ALL)


@pytest.mark.parametrize(
    ("rate_hz", "base_hz"),
    [
        (44_100, 44_100),
        (88_200, 44_100),
        (176_400, 44_100),
        (48_000, 48_000),
        (96_000, 48_000),
        (192_000, 48_000),
    ],
)
def test_a_rate_keeps_its_family(rate_hz: int, base_hz: int) -> None:
    assert make_master(rate_hz=rate_hz).base_rate_hz == base_hz
