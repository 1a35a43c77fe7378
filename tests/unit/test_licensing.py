"""Who may hear what, where, when and how well."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogue.errors import (
    LatheError,
    RightEnded,
    RightNotBegun,
    RoleMayNot,
    SubscriptionTooLow,
    TerritoryNotLicensed,
    TerritoryUndetermined,
    TierNotLicensed,
    TrackNotFound,
    TrackNotReady,
    TrackTakenDown,
    UseNotLicensed,
)
from catalogue.licensing import (
    Deal,
    Grant,
    Listener,
    Wish,
    explain,
    grant_stream,
    listener_of,
    may_stream,
    resolve_deals,
)
from catalogue.nouns import AccountId, Codec, Quality, Right, Tier, Track, Use, Window
from catalogue.people import Account, Network, Plan, Role
from tests.contract.examples import NOON, make_rendition, make_track

STEP = timedelta(minutes=5)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)

OGG_24 = Tier(name="ogg-24", codec=Codec.VORBIS, bitrate_kbps=24)
OGG_96 = Tier(name="ogg-96", codec=Codec.VORBIS, bitrate_kbps=96)
OGG_160 = Tier(name="ogg-160", codec=Codec.VORBIS, bitrate_kbps=160)
OGG_320 = Tier(name="ogg-320", codec=Codec.VORBIS, bitrate_kbps=320)
AAC_128 = Tier(name="aac-128", codec=Codec.AAC, bitrate_kbps=128)
AAC_256 = Tier(name="aac-256", codec=Codec.AAC, bitrate_kbps=256)
ALAC = Tier(name="alac", codec=Codec.ALAC)
ALAC_HIRES = Tier(name="alac-hires", codec=Codec.ALAC, hires=True)
LADDER = (OGG_24, OGG_96, OGG_160, OGG_320, AAC_128, AAC_256, ALAC, ALAC_HIRES)
RENDITIONS = tuple(make_rendition(tier) for tier in LADDER)
TRACK = make_track(renditions=RENDITIONS)


def grant(territory: str | None, *licensed: str, now: datetime = START) -> Grant:
    return grant_stream(make_track(*licensed), Listener(territory=territory), now=now)


def with_windows(*windows: Window, **others: tuple[Window, ...]) -> Track:
    """Return a track with windows worldwide, and others by their territories."""
    rights = [Right(territory="Worldwide", windows=windows)]
    rights += [Right(territory=name, windows=their) for name, their in others.items()]
    metadata = replace(TRACK.metadata, rights=tuple(rights))
    return replace(TRACK, metadata=metadata)


def tiers(given: Grant) -> list[str]:
    return [rendition.tier.name for rendition in given.renditions]


# --------------------------------------------------------------------------- territories


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


def test_a_territory_goes_by_its_own_right_alone() -> None:
    track = with_windows(Window(), FR=(), JP=(Window(starts_at=START + DAY),))
    assert may_stream(track, Listener(territory="US"), now=START)
    assert may_stream(track, Listener(), now=START)
    with pytest.raises(TerritoryNotLicensed):
        grant_stream(track, Listener(territory="FR"), now=START)
    with pytest.raises(RightNotBegun):
        grant_stream(track, Listener(territory="JP"), now=START)


# ----------------------------------------------------------------------- periods, uses, takedown


def test_a_right_holds_from_its_begin_until_just_before_its_end() -> None:
    track = with_windows(Window(starts_at=START, ends_at=START + DAY))
    moment = timedelta(microseconds=1)
    with pytest.raises(RightNotBegun) as early:
        grant_stream(track, Listener(territory="US"), now=START - moment)
    assert early.value.measured["starts_at"] == "2026-03-01T12:00:00Z"
    for now in (START, START + DAY - moment):
        assert grant_stream(track, Listener(), now=now)
    with pytest.raises(RightEnded) as late:
        grant_stream(track, Listener(), now=START + DAY)
    assert late.value.measured["ended_at"] == "2026-03-02T12:00:00Z"


def test_between_two_windows_the_next_one_is_told() -> None:
    track = with_windows(Window(ends_at=START - DAY), Window(starts_at=START + DAY))
    with pytest.raises(RightNotBegun):
        grant_stream(track, Listener(), now=START)


@pytest.mark.parametrize("use", list(Use))
def test_a_use_is_licensed_by_itself(use: Use) -> None:
    track = with_windows(Window(uses=(use,)))
    for asked in Use:
        if asked is use:
            assert grant_stream(track, Listener(), use=asked, now=START)
            continue
        with pytest.raises(UseNotLicensed) as caught:
            grant_stream(track, Listener(), use=asked, now=START)
        assert caught.value.measured["use"] == asked


def test_what_was_taken_down_is_gone_whatever_its_rights_say() -> None:
    track = replace(TRACK, taken_down_at=START)
    assert grant_stream(track, Listener(), now=START - DAY)
    with pytest.raises(TrackTakenDown):
        grant_stream(track, Listener(), now=START)


def test_no_url_outlives_the_right() -> None:
    track = with_windows(Window(ends_at=START + timedelta(minutes=7)))
    given = grant_stream(track, Listener(), now=START)
    assert given.expires_at == given.refresh_after == START + timedelta(minutes=7)
    early = with_windows(Window(ends_at=START + timedelta(minutes=55)))
    given = grant_stream(early, Listener(), now=START)
    assert given.expires_at == START + timedelta(minutes=55)
    assert given.refresh_after == START + timedelta(minutes=50)


def test_a_url_lives_on_where_another_window_follows() -> None:
    end = START + timedelta(minutes=7)
    seamless = with_windows(Window(ends_at=end), Window(starts_at=end))
    assert grant_stream(seamless, Listener(), now=START).expires_at == START + timedelta(hours=1)
    later = end + timedelta(minutes=3)
    overlapping = with_windows(Window(ends_at=end), Window(starts_at=START, ends_at=later))
    assert grant_stream(overlapping, Listener(), now=START).expires_at == later
    worse = with_windows(Window(ends_at=end), Window(starts_at=end, max_quality=Quality.NORMAL))
    assert grant_stream(worse, Listener(), now=START).expires_at == end


# --------------------------------------------------------------------------- quality


@pytest.mark.parametrize(
    ("tier", "quality"),
    [
        (OGG_24, Quality.LOW),
        (OGG_96, Quality.LOW),
        (OGG_160, Quality.NORMAL),
        (AAC_128, Quality.NORMAL),
        (OGG_320, Quality.HIGH),
        (AAC_256, Quality.HIGH),
        (ALAC, Quality.LOSSLESS),
        (ALAC_HIRES, Quality.HIRES),
    ],
)
def test_the_quality_of_a_tier(tier: Tier, quality: Quality) -> None:
    assert tier.quality is quality


@pytest.mark.parametrize(
    ("plan", "best"),
    [
        (Plan.FREE, ["ogg-160", "aac-128"]),
        (Plan.VOICE, ["ogg-320", "aac-256"]),
        (Plan.INDIVIDUAL, ["alac"]),
        (Plan.PREMIUM, ["alac-hires"]),
    ],
)
def test_a_plan_reaches_so_far(plan: Plan, best: list[str]) -> None:
    given = grant_stream(TRACK, Listener(plan_quality=plan.quality), now=START)
    assert given.quality is plan.quality
    top = max(rendition.tier.quality for rendition in given.renditions)
    assert [each.tier.name for each in given.renditions if each.tier.quality is top] == best


@pytest.mark.parametrize(
    ("network", "best"),
    [
        (Network.G2, Quality.LOW),
        (Network.G3, Quality.NORMAL),
        (Network.G4, Quality.HIGH),
        (Network.G5, Quality.LOSSLESS),
        (Network.WIFI, Quality.HIRES),
    ],
)
def test_a_network_carries_so_much(network: Network, best: Quality) -> None:
    assert grant_stream(TRACK, Listener(), wish=Wish(network=network), now=START).quality is best


def test_on_a_slow_network_every_player_has_something() -> None:
    given = grant_stream(TRACK, Listener(), wish=Wish(network=Network.G2), now=START)
    assert tiers(given) == ["ogg-24", "ogg-96", "aac-128"]
    lossless = Wish(network=Network.G2, codecs=(Codec.ALAC,))
    assert tiers(grant_stream(TRACK, Listener(), wish=lossless, now=START)) == ["alac"]


def test_a_plan_that_does_not_reach_a_codec_is_refused_not_stretched() -> None:
    listener = Listener(plan_quality=Plan.FREE.quality)
    with pytest.raises(SubscriptionTooLow) as caught:
        grant_stream(TRACK, listener, wish=Wish(codecs=(Codec.ALAC,)), now=START)
    assert caught.value.measured["needed"] == "lossless"


def test_a_right_bounds_the_quality_too() -> None:
    track = with_windows(Window(max_quality=Quality.HIGH))
    given = grant_stream(track, Listener(), now=START)
    assert given.quality is Quality.HIGH
    assert "alac" not in tiers(given)
    with pytest.raises(TierNotLicensed):
        grant_stream(track, Listener(), wish=Wish(codecs=(Codec.ALAC,)), now=START)


def test_of_two_windows_the_better_counts() -> None:
    track = with_windows(Window(max_quality=Quality.LOW), Window(max_quality=Quality.HIGH))
    assert grant_stream(track, Listener(), now=START).quality is Quality.HIGH


def test_codecs_that_a_track_has_not_are_told() -> None:
    with pytest.raises(TrackNotReady):
        grant_stream(TRACK, Listener(), wish=Wish(codecs=(Codec.FLAC,)), now=START)


_qualities = st.sampled_from(Quality)


@given(
    plan=_qualities,
    licensed=st.none() | _qualities,
    preferred=st.none() | _qualities,
    network=st.none() | st.sampled_from(Network),
    codecs=st.lists(st.sampled_from([Codec.AAC, Codec.ALAC, Codec.VORBIS]), max_size=2),
)
@settings(max_examples=300, deadline=None)
def test_quality_is_the_least_of_preference_subscription_right_and_network(
    plan: Quality,
    licensed: Quality | None,
    preferred: Quality | None,
    network: Network | None,
    codecs: Sequence[Codec],
) -> None:
    track = with_windows(Window(max_quality=licensed))
    wish = Wish(preferred=preferred, network=network, codecs=tuple(codecs))
    bounds = [plan, Quality.HIRES if licensed is None else licensed]
    asked = [each for each in RENDITIONS if not codecs or each.tier.codec in codecs]
    reached = [each for each in asked if each.tier.quality <= min(bounds)]
    if not reached:
        with pytest.raises((SubscriptionTooLow, TierNotLicensed)):
            grant_stream(track, Listener(plan_quality=plan), wish=wish, now=START)
        return
    given = grant_stream(track, Listener(plan_quality=plan), wish=wish, now=START)
    assert given.quality == min(*bounds, wish.quality)
    assert set(given.renditions) <= set(reached)
    for container in {each.media_type for each in reached}:
        own = [each for each in reached if each.media_type == container]
        fitting = [each for each in own if each.tier.quality <= given.quality]
        least = min(each.tier.quality for each in own)
        expected = fitting or [each for each in own if each.tier.quality == least]
        assert [each for each in given.renditions if each.media_type == container] == expected


# --------------------------------------------------------------------------- roles


def account(role: Role, *, territory: str | None = None, label: str | None = None) -> Account:
    return Account(
        id=AccountId("acc_1"),
        email="ada@example.org",
        role=role,
        plan=Plan.INDIVIDUAL,
        territory=territory,
        label=label,
        created_at=NOON,
    )


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.LABEL])
def test_every_listener_hears_every_label(role: Role) -> None:
    listener = listener_of(account(role), session="ses_1", territory="US")
    given = grant_stream(TRACK, listener, now=START)
    assert (given.session, given.quality) == ("ses_1", Quality.LOSSLESS)


def test_a_label_hears_its_own_alone() -> None:
    own = listener_of(account(Role.LABEL, label=TRACK.label), session="s", territory=None)
    assert grant_stream(TRACK, own, now=START).quality is Quality.HIRES
    for label in (None, "another"):
        other = listener_of(account(Role.LABEL, label=label), session="s", territory=None)
        with pytest.raises(RoleMayNot):
            grant_stream(TRACK, other, now=START)


def test_an_account_is_at_home_where_it_says() -> None:
    at_home = listener_of(account(Role.USER, territory="FR"), session="s", territory="US")
    assert at_home.territory == "FR"
    assert listener_of(account(Role.USER), session="s", territory="US").territory == "US"


# --------------------------------------------------------------------------- the order of refusals


def test_a_track_without_renditions_is_not_ready() -> None:
    track = make_track(renditions=())
    with pytest.raises(TrackNotReady):
        grant_stream(track, Listener(territory="US"), now=START)
    assert may_stream(track, Listener(territory="US"), now=START)


def test_rights_are_asked_before_readiness() -> None:
    track = make_track("US", renditions=())
    with pytest.raises(TerritoryNotLicensed):
        grant_stream(track, Listener(territory="FR"), now=START)


OWNED = replace(TRACK, owner=AccountId("acc_1"), label="acc_1")


def test_only_its_owner_knows_of_what_is_owned() -> None:
    for role in (Role.PREMIUM, Role.LABEL, Role.ADMIN):
        own = listener_of(account(role, label="acc_1"), session="s", territory=None)
        assert grant_stream(OWNED, own, now=START)
        other = replace(own, account_id=AccountId("acc_2"))
        for listener in (other, Listener(), Listener(role=Role.LABEL, label="acc_1")):
            with pytest.raises(TrackNotFound):
                grant_stream(OWNED, listener, now=START)


CASES: list[tuple[str, Callable[[], tuple[Track, Listener, Wish]], type[LatheError] | None]] = [
    ("owner", lambda: (OWNED, Listener(), Wish()), TrackNotFound),
    ("role", lambda: (TRACK, Listener(role=Role.LABEL), Wish()), RoleMayNot),
    ("takedown", lambda: (replace(TRACK, taken_down_at=NOON), Listener(), Wish()), TrackTakenDown),
    ("territory", lambda: (make_track("US"), Listener(), Wish()), TerritoryUndetermined),
    ("period", lambda: (with_windows(Window(ends_at=NOON)), Listener(), Wish()), RightEnded),
    (
        "use",
        lambda: (with_windows(Window(uses=(Use.DOWNLOAD,))), Listener(), Wish()),
        UseNotLicensed,
    ),
    ("published", lambda: (make_track(renditions=()), Listener(), Wish()), TrackNotReady),
    (
        "quality",
        lambda: (TRACK, Listener(plan_quality=Quality.LOW), Wish(codecs=(Codec.ALAC,))),
        SubscriptionTooLow,
    ),
    ("quality", lambda: (TRACK, Listener(), Wish()), None),
]


@pytest.mark.parametrize(("question", "make", "kind"), CASES)
def test_an_explanation_ends_with_what_a_refusal_says(
    question: str,
    make: Callable[[], tuple[Track, Listener, Wish]],
    kind: type[LatheError] | None,
) -> None:
    track, listener, wish = make()
    found = explain(track, listener, use=Use.STREAM, wish=wish, now=START)
    asked = ["owner", "role", "takedown", "territory", "period", "use", "published", "quality"]
    assert [each.question for each in found] == asked[: asked.index(question) + 1]
    assert [each.fault for each in found[:-1]] == [None] * (len(found) - 1)
    if kind is None:
        assert found[-1].fault is None
        assert grant_stream(track, listener, wish=wish, now=START)
        return
    with pytest.raises(kind) as caught:
        grant_stream(track, listener, wish=wish, now=START)
    fault = found[-1].fault
    assert fault is not None
    assert (type(fault), fault.detail, fault.measured) == (
        kind,
        caught.value.detail,
        caught.value.measured,
    )


# --------------------------------------------------------------------------- deals


EARLY, LATE = Window(ends_at=START), Window(starts_at=START)


def test_deals_add_up_by_territory() -> None:
    deals = [
        Deal(territories=["Worldwide"], excluded=["FR", "JP"], window=LATE),
        Deal(territories=["US", "JP"], window=EARLY),
    ]
    assert resolve_deals(deals) == (
        Right(territory="FR", windows=()),
        Right(territory="JP", windows=(EARLY,)),
        Right(territory="US", windows=(LATE, EARLY)),
        Right(territory="Worldwide", windows=(LATE,)),
    )


def test_without_worldwide_there_is_nothing_to_leave_out() -> None:
    assert resolve_deals([Deal(territories=["US"])]) == (Right(territory="US"),)


_places = st.lists(st.sampled_from(["US", "FR", "JP"]), max_size=3, unique=True)
_windows = st.sampled_from([EARLY, LATE, Window(max_quality=Quality.LOW), Window(uses=())])


@given(
    deals=st.lists(
        st.builds(Deal, territories=_places.filter(bool), window=_windows)
        | st.builds(Deal, territories=st.just(["Worldwide"]), excluded=_places, window=_windows),
        max_size=4,
    ),
    territory=st.sampled_from(["US", "FR", "JP", "DE"]),
    hours=st.integers(-2, 2),
)
@settings(max_examples=300, deadline=None)
def test_somebody_hears_what_some_deal_allows(
    deals: Sequence[Deal], territory: str, hours: int
) -> None:
    now = START + timedelta(hours=hours)

    def allows(deal: Deal) -> bool:
        window = deal.window
        begun = window.starts_at is None or window.starts_at <= now
        open_ = begun and (window.ends_at is None or now < window.ends_at)
        return deal.covers(territory) and open_ and Use.STREAM in window.uses

    track = replace(TRACK, metadata=replace(TRACK.metadata, rights=resolve_deals(deals)))
    heard = may_stream(track, Listener(territory=territory), now=now)
    assert heard is any(allows(deal) for deal in deals)


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
