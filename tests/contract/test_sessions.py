"""Where accounts are signed in: see catalogue.port.Sessions. In SQL and in Redis."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from catalogue.database.accounts import SqlSessions
from catalogue.errors import Unavailable
from catalogue.fleeting.client import GuardedRedis
from catalogue.fleeting.sessions import RedisSessions
from catalogue.nouns import AccountId, SessionId
from catalogue.people import Session
from catalogue.people_port import SEEN_EVERY, SESSIONS_MAX, Sessions
from tests.contract.examples import ADA, BOB, NOON, sha256_of

LIFE = timedelta(days=30)
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def sessions(fleeting: GuardedRedis | Engine) -> Sessions:
    """An empty adapter."""
    return RedisSessions(fleeting) if isinstance(fleeting, GuardedRedis) else SqlSessions(fleeting)


@pytest.fixture
def away(fleeting_away: GuardedRedis | Engine) -> Sessions:
    """An adapter whose server does not answer."""
    if isinstance(fleeting_away, GuardedRedis):
        return RedisSessions(fleeting_away)
    return SqlSessions(fleeting_away)


def make_session(name: str, *, account: AccountId, at: datetime) -> Session:
    return Session(
        id=SessionId(f"ses_{name}"),
        account_id=account,
        device=f"the {name}",
        created_at=at,
        seen_at=at,
        expires_at=at + LIFE,
    )


def open_one(
    sessions: Sessions, name: str, *, account: AccountId = ADA, at: datetime = NOON
) -> Session:
    session = make_session(name, account=account, at=at)
    sessions.open(session, sha256_of(name))
    return session


def use(sessions: Sessions, name: str, now: datetime = NOON) -> Session | None:
    return sessions.use(sha256_of(name), now=now, until=now + LIFE)


def test_a_session_is_found_by_its_token_alone(sessions: Sessions) -> None:
    phone = open_one(sessions, "phone")
    assert use(sessions, "phone") == phone
    assert use(sessions, "radio") is None
    assert sessions.use(phone.id, now=NOON, until=NOON + LIFE) is None


def test_use_moves_the_end_away(sessions: Sessions) -> None:
    phone = open_one(sessions, "phone")
    late = NOON + LIFE - MOMENT
    moved = replace(phone, seen_at=late, expires_at=late + LIFE)
    assert use(sessions, "phone", late) == moved
    assert use(sessions, "phone", late + SEEN_EVERY - MOMENT) == moved
    assert sessions.of(ADA, now=late) == [moved]
    assert use(sessions, "phone", late + LIFE) is None


def test_a_session_that_is_not_used_ends(sessions: Sessions) -> None:
    open_one(sessions, "phone")
    assert use(sessions, "phone", NOON + LIFE) is None
    assert sessions.of(ADA, now=NOON + LIFE) == []


def test_devices_are_listed_the_last_used_first(sessions: Sessions) -> None:
    phone = open_one(sessions, "phone")
    radio = open_one(sessions, "radio", at=NOON + MOMENT)
    open_one(sessions, "other", account=BOB)
    assert sessions.of(ADA, now=NOON) == [radio, phone]
    later = NOON + timedelta(hours=1)
    used = use(sessions, "phone", later)
    assert sessions.of(ADA, now=later) == [used, radio]
    assert sessions.of(AccountId("acc_none"), now=NOON) == []


def test_one_device_is_signed_out(sessions: Sessions) -> None:
    phone, radio = open_one(sessions, "phone"), open_one(sessions, "radio")
    sessions.close(BOB, phone.id)
    assert use(sessions, "phone") == phone
    for _ in range(2):
        sessions.close(ADA, phone.id)
    assert use(sessions, "phone") is None
    assert sessions.of(ADA, now=NOON) == [radio]


def test_every_device_is_signed_out(sessions: Sessions) -> None:
    open_one(sessions, "phone")
    open_one(sessions, "radio")
    other = open_one(sessions, "other", account=BOB)
    sessions.close_all(ADA)
    assert [use(sessions, name) for name in ("phone", "radio")] == [None, None]
    assert sessions.of(ADA, now=NOON) == []
    assert use(sessions, "other") == other


def test_of_too_many_sessions_those_used_longest_ago_end(sessions: Sessions) -> None:
    other = open_one(sessions, "other", account=BOB)
    for number in range(SESSIONS_MAX):
        open_one(sessions, str(number), at=NOON + number * SEEN_EVERY)
    later = NOON + SESSIONS_MAX * SEEN_EVERY
    used = use(sessions, "0", later)
    # By a clock that goes behind; the new one stays all the same.
    for name, at in (("late", later), ("early", NOON - SEEN_EVERY)):
        open_one(sessions, name, at=at)
        assert len(sessions.of(ADA, now=later)) == SESSIONS_MAX
    assert used in sessions.of(ADA, now=later)
    assert [use(sessions, name, later) is None for name in ("0", "1", "2", "3")] == [
        False,
        True,
        True,
        False,
    ]
    assert use(sessions, "early", later) is not None
    assert use(sessions, "other") == other


def test_a_device_that_is_signed_out_while_it_is_used_stays_so(sessions: Sessions) -> None:
    for turn in range(20):
        open_one(sessions, f"phone {turn}")
        later = NOON + SEEN_EVERY
        with ThreadPoolExecutor(2) as pool:
            used = pool.submit(use, sessions, f"phone {turn}", later)
            pool.submit(sessions.close_all, ADA).result()
            used.result()
        assert use(sessions, f"phone {turn}", later) is None
        assert sessions.of(ADA, now=later) == []


def test_what_is_away_says_so(away: Sessions) -> None:
    with pytest.raises(Unavailable):
        away.use(sha256_of("phone"), now=NOON, until=NOON)
    with pytest.raises(Unavailable):
        away.close_all(ADA)
