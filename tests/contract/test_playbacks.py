"""What accounts play, and where: see catalogue.port.Playbacks. In SQL and in Redis."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from catalogue.database.playbacks import SqlPlaybacks
from catalogue.errors import PlaybackTakenOver, Unavailable
from catalogue.fleeting.client import GuardedRedis
from catalogue.fleeting.playbacks import RedisPlaybacks
from catalogue.nouns import SessionId, TrackId
from catalogue.people import Lease, Playback, PlaybackState, Repeat, Session
from catalogue.people_port import Playbacks
from tests.contract.examples import ADA, BOB, NOON

SOON, LATER = NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)
STATE = PlaybackState(
    queue=(TrackId("trk_1"), TrackId("trk_2")),
    place=1,
    position_s=12.5,
    playing=True,
    shuffle=True,
    repeat=Repeat.ALL,
    volume=0.5,
    at=NOON,
)


def session(name: str) -> Session:
    return Session(
        id=SessionId(f"ses_{name}"),
        account_id=ADA,
        device=f"the {name}",
        created_at=NOON,
        seen_at=NOON,
        expires_at=LATER,
    )


PHONE, RADIO = session("phone"), session("radio")


@pytest.fixture
def playbacks(fleeting: GuardedRedis | Engine) -> Playbacks:
    return (
        RedisPlaybacks(fleeting) if isinstance(fleeting, GuardedRedis) else SqlPlaybacks(fleeting)
    )


def test_nothing_is_known_of_what_never_played(playbacks: Playbacks) -> None:
    assert playbacks.get(ADA) == Playback()
    with pytest.raises(PlaybackTakenOver):
        playbacks.renew(ADA, 1, until=SOON)
    assert playbacks.get(ADA) == Playback()


def test_a_lease_is_taken_renewed_and_tells_what_is_played(playbacks: Playbacks) -> None:
    lease = Lease(number=1, session_id=PHONE.id, device="the phone", expires_at=SOON)
    assert playbacks.take(ADA, PHONE, until=SOON) == Playback(lease=lease)
    kept = replace(lease, expires_at=LATER)
    renewed = playbacks.renew(ADA, 1, until=LATER, state=STATE)
    assert renewed == playbacks.get(ADA) == Playback(lease=kept, state=STATE)
    assert playbacks.renew(ADA, 1, until=SOON) == Playback(lease=lease, state=STATE)
    assert playbacks.get(BOB) == Playback()


def test_who_takes_the_lease_gets_the_state_and_who_had_it_is_told(playbacks: Playbacks) -> None:
    playbacks.take(ADA, PHONE, until=SOON)
    playbacks.renew(ADA, 1, until=SOON, state=STATE)
    taken = playbacks.take(ADA, RADIO, until=LATER)
    assert taken == Playback(
        lease=Lease(number=2, session_id=RADIO.id, device="the radio", expires_at=LATER),
        state=STATE,
    )
    with pytest.raises(PlaybackTakenOver):
        playbacks.renew(ADA, 1, until=LATER, state=replace(STATE, position_s=0.0))
    assert playbacks.get(ADA) == taken
    assert playbacks.take(ADA, PHONE, until=LATER).lease != taken.lease


def test_of_many_at_once_one_has_the_lease(playbacks: Playbacks) -> None:
    def take(number: int) -> int:
        lease = playbacks.take(ADA, session(str(number)), until=SOON).lease
        assert lease is not None
        return lease.number

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(take, range(24)))
    assert max(numbers) == 24
    lease = playbacks.get(ADA).lease
    assert lease is not None
    assert lease.number == 24
    for number in range(1, 24):
        with pytest.raises(PlaybackTakenOver):
            playbacks.renew(ADA, number, until=LATER)
    assert playbacks.renew(ADA, 24, until=LATER).lease == replace(lease, expires_at=LATER)


def test_what_is_away_says_so(fleeting_away: GuardedRedis | Engine) -> None:
    away: Playbacks
    if isinstance(fleeting_away, GuardedRedis):
        away = RedisPlaybacks(fleeting_away)
    else:
        away = SqlPlaybacks(fleeting_away)
    with pytest.raises(Unavailable):
        away.get(ADA)
    with pytest.raises(Unavailable):
        away.take(ADA, PHONE, until=SOON)
    with pytest.raises(Unavailable):
        away.renew(ADA, 1, until=SOON)
