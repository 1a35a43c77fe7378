from datetime import UTC, datetime, timedelta

import pytest

from catalogue.errors import TerritoryNotLicensed, TerritoryUndetermined, TrackNotReady
from catalogue.nouns import Master
from catalogue.rules import ANONYMOUS_SESSION, Grant, grant_stream, plan_tiers
from tests.contract.examples import LADDER, make_master, make_track

ALL = [tier.name for tier in LADDER]
STEP = timedelta(minutes=5)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def plan(master: Master) -> tuple[list[str], dict[str, str]]:
    """Return the names of the tiers earned, and the reasons of those that are not."""
    earned, refused = plan_tiers(master, LADDER)
    return [tier.name for tier in earned], {each.tier: each.reason for each in refused}


def grant(territory: str | None, *licensed: str, now: datetime = START) -> Grant:
    track = make_track(*licensed)
    return grant_stream(track, territory=territory, session=ANONYMOUS_SESSION, now=now)


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


# --------------------------------------------------------------------------- rights


@pytest.mark.parametrize("territory", ["US", "FR", "Worldwide"])
def test_worldwide_is_everywhere(territory: str) -> None:
    assert grant(territory, "Worldwide").territory == territory


def test_a_listener_of_no_known_place_is_worldwide() -> None:
    assert grant(None, "CA", "Worldwide").territory == "Worldwide"


def test_a_licensed_territory_is_granted() -> None:
    given = grant("CA", "US", "CA")
    assert (given.track_id, given.session, given.territory) == (make_track().id, "anon", "CA")


@pytest.mark.parametrize("territory", ["FR", "us", "U", "", "Worldwide"])
def test_any_other_territory_is_refused(territory: str) -> None:
    with pytest.raises(TerritoryNotLicensed) as caught:
        grant(territory, "US", "CA")
    assert caught.value.measured == {"track": make_track().id, "territory": territory}


def test_an_unknown_place_is_refused_where_places_matter() -> None:
    with pytest.raises(TerritoryUndetermined) as caught:
        grant(None, "US")
    assert caught.value.measured == {"track": make_track().id}


def test_a_track_without_renditions_is_not_ready() -> None:
    track = make_track(renditions=())
    with pytest.raises(TrackNotReady):
        grant_stream(track, territory="US", session="anon", now=START)


def test_rights_are_asked_before_readiness() -> None:
    track = make_track("US", renditions=())
    with pytest.raises(TerritoryNotLicensed):
        grant_stream(track, territory="FR", session="anon", now=START)


# --------------------------------------------------------------------------- the life of a URL


def test_listeners_of_the_same_five_minutes_get_the_same_grant() -> None:
    moments = [
        START + timedelta(microseconds=1),
        START + timedelta(seconds=1),
        START + timedelta(minutes=4, seconds=59, microseconds=999_999),
        START + STEP,
    ]
    assert len({grant("US", now=moment) for moment in moments}) == 1


def test_listeners_of_other_five_minutes_get_another_expiry() -> None:
    assert grant("US", now=START + STEP).expires_at == START + timedelta(hours=1) + STEP
    assert grant("US", now=START + STEP * 2).expires_at == START + timedelta(hours=1) + STEP * 2


@pytest.mark.parametrize("seconds", [0, 0.000001, 1, 150, 299.999999, 300, 301, 86_399])
def test_a_url_lives_an_hour_and_at_most_five_minutes_more(seconds: float) -> None:
    now = START + timedelta(seconds=seconds)
    given = grant("US", now=now)
    assert timedelta(hours=1) <= given.expires_at - now < timedelta(hours=1) + STEP
    assert given.expires_at.timestamp() % STEP.total_seconds() == 0
    assert given.expires_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("seconds", [0, 1, 299])
def test_a_manifest_is_fetched_again_ten_minutes_before_its_urls_end(seconds: float) -> None:
    now = START + timedelta(seconds=seconds)
    given = grant("US", now=now)
    assert given.expires_at - given.refresh_after == timedelta(minutes=10)
    assert given.refresh_after > now
