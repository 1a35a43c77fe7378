"""What is known of listeners and tracks while nobody can be asked, by a clock set by hand."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from catalogue import changes as following
from catalogue.errors import Unavailable
from catalogue.identifiers import WORLDWIDE
from catalogue.nouns import AccountId, Right, SessionId, TrackId
from catalogue.people import Plan, Role, Session
from catalogue.people_port import StoredAccount
from lathe.serving import build_services
from lathe.settings import Settings
from lathe.wiring import House, hasten, open_changes, open_house
from origin.app import build_app
from origin.entrance import Entrance
from origin.fast.callers import KNOWN_FOR, STALE_FOR
from origin.throttle import Throttle, parse_limits
from protection.tokens import hash_secret, make_session_token
from tests.contract.examples import NOON, make_account
from tests.e2e.servers import PLENTY, wait_until
from tests.engines import PostgresServer, RedisServer
from tests.property.test_fast_path import Answer, Clock, ask, bearer, publish

TRACK = TrackId(f"trk_{1:026d}")
MOMENT = timedelta(seconds=1)


class Known:
    """An origin whose clock is set by hand, over a real catalogue and real sessions."""

    def __init__(self, house: House, postgres: PostgresServer, redis: RedisServer) -> None:
        self.house, self.clock = house, Clock()
        self.servers = {"PostgreSQL": postgres, "Redis": redis}
        self.clock.now = NOON
        services = replace(
            build_services(house, CollectorRegistry()),
            now=self.clock,
            throttle=Throttle(house.limits, parse_limits(PLENTY), now=self.clock),
        )
        self.changes = open_changes(house)
        self.app: Entrance = build_app(services, self.changes, cache_bytes=1 << 20)
        self.runner = asyncio.Runner()

    def close(self) -> None:
        """Let go of the servers."""
        self.runner.close()
        self.changes.close()
        self.house.engine.dispose()

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Let a server be away, and come back."""
        server = self.servers[name]
        server.kill()
        try:
            yield
        finally:
            server.start()
            wait_until(self._is_whole, "an answer of every server")
            # By then its changes are heard again.
            time.sleep(0.3)

    def _is_whole(self) -> bool:
        try:
            self.house.keys.is_empty()
            self.house.sessions.of(AccountId("acc_none"), now=NOON)
        except Unavailable:
            return False
        return True

    def listener(self, *, days: float = 30) -> tuple[AccountId, str]:
        """Return a new account, and the token of a session of so many days."""
        token, token_sha256 = make_session_token()
        name = uuid4().hex
        account = replace(
            make_account(),
            id=AccountId(f"acc_{name}"),
            email=f"{name}@example.org",
            role=Role.USER,
            plan=Plan.PREMIUM,
        )
        self.house.accounts.add(StoredAccount(account=account, password="x"))
        session = Session(
            id=SessionId(f"ses_{name}"),
            account_id=account.id,
            device="",
            created_at=self.clock.now,
            seen_at=self.clock.now,
            expires_at=self.clock.now + timedelta(days=days),
        )
        self.house.sessions.open(session, token_sha256)
        assert token_sha256 == hash_secret(token)
        return account.id, token

    def ask(self, token: str, face: str = "manifest", track: TrackId = TRACK) -> Answer:
        """Return how a manifest is answered."""
        path = f"/v1/tracks/{track}/{face}"
        return self.runner.run(ask(self.app, "GET", path, "", [bearer(token)]))

    def status(self, token: str, face: str = "manifest", track: TrackId = TRACK) -> int:
        """Return the status of the answer."""
        return self.ask(token, face, track)[0]

    def wait_for(self, status: int, token: str, track: TrackId = TRACK) -> None:
        """Return when a manifest is answered so."""
        wait_until(lambda: self.status(token, track=track) == status, f"an answer of {status}")


@pytest.fixture(scope="module")
def known() -> Iterator[Known]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patched:
        patched.setattr(following, "_RETRY_S", 0.01)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        postgres = stack.enter_context(PostgresServer(folder))
        redis = stack.enter_context(RedisServer(folder, durable=True))
        settings = Settings(
            state=folder / "state",
            catalogue=postgres.make_database("plant"),
            sessions=redis.url,
            territory="US",
        )
        house = open_house(settings)
        for number in range(1, 5):
            publish(house, number, Right(territory=WORLDWIDE))
        house.engine.dispose()
        found = Known(hasten(house), postgres, redis)
        yield found
        found.close()


@pytest.mark.parametrize("away", ["Redis", "PostgreSQL"])
@pytest.mark.parametrize("deaf", [False, True])
def test_who_is_known_hears_what_is_known_for_ten_minutes(
    known: Known, away: str, monkeypatch: pytest.MonkeyPatch, *, deaf: bool
) -> None:
    assert timedelta(minutes=10) == STALE_FOR
    if deaf:
        # Anything may have changed then, whenever it is asked.
        monkeypatch.setattr(following, "DEAF_S", 0.0)
    _, token = known.listener()
    _, stranger = known.listener()
    known.wait_for(200, token)
    known.clock.now += KNOWN_FOR
    assert known.status(token) == 200
    began = known.clock.now
    with known.without(away):
        for after in (timedelta(), KNOWN_FOR, STALE_FOR / 2, STALE_FOR - MOMENT):
            known.clock.now = began + after
            assert known.status(token) == 200
        status, headers, _ = known.ask(stranger)
        assert status == 503
        assert int(headers[b"retry-after"][0]) > 0
        known.clock.now = began + STALE_FOR
        assert known.status(token) == 503
    assert known.status(token) == known.status(stranger) == 200


def test_what_is_known_is_asked_for_again_as_soon_as_it_can_be(known: Known) -> None:
    account, token = known.listener()
    known.wait_for(200, token)
    with known.without("PostgreSQL"):
        known.clock.now += KNOWN_FOR
        assert known.status(token) == 200
    assert is_lossless(known.ask(token))
    known.house.accounts.change(account, now=NOON, plan=Plan.FREE)
    wait_until(lambda: not is_lossless(known.ask(token)), "the plan that the account has now")


def is_lossless(answer: Answer) -> bool:
    assert answer[0] == 200
    return b"alac" in answer[2]


def test_what_was_shown_of_a_track_is_shown_though_others_asked_since(known: Known) -> None:
    _, token = known.listener()
    known.wait_for(200, token)
    known.clock.now += KNOWN_FOR
    assert known.status(token, "master.m3u8") == 200
    with known.without("PostgreSQL"):
        known.clock.now += KNOWN_FOR
        assert known.status(token) == 200
        assert known.status(token, "master.m3u8") == 200


def test_an_account_that_changed_is_not_gone_by(
    known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "DEAF_S", 0.0)
    account, token = known.listener()
    _, other = known.listener()
    known.wait_for(200, token)
    known.wait_for(200, other)
    with known.without("Redis"):
        assert known.status(token) == 200
        known.house.accounts.change(account, now=NOON, plan=Plan.FREE)
        known.wait_for(503, token)
        assert known.status(other) == 200
        assert known.status(token) == 503
    assert known.status(token) == 200


def test_a_session_that_has_ended_is_not_gone_by(known: Known) -> None:
    account, token = known.listener()
    _, short = known.listener(days=1 / 24 / 60)
    known.wait_for(200, token)
    known.wait_for(200, short)
    known.house.sessions.close_all(account)
    known.wait_for(401, token)
    with known.without("Redis"):
        assert known.status(token) == 503
        known.clock.now += timedelta(seconds=59)
        assert known.status(short) == 200
        known.clock.now += MOMENT
        assert known.status(short) == 503


def test_a_token_that_was_refused_is_not_gone_by(known: Known) -> None:
    _, token = known.listener()
    known.wait_for(200, token)
    known.clock.now += timedelta(days=31)
    assert known.status(token) == 401
    known.clock.now -= timedelta(days=31)
    with known.without("Redis"):
        assert known.status(token) == 503


def test_a_track_that_was_taken_down_is_not_gone_by(known: Known) -> None:
    track = TrackId(f"trk_{2:026d}")
    _, token = known.listener()
    known.wait_for(200, token, track)
    known.house.tracks.take_down(track, since=NOON, now=NOON)
    known.wait_for(410, token, track)
    known.wait_for(200, token)
    with known.without("PostgreSQL"):
        assert known.status(token, track=track) == 503
        assert known.status(token) == 200


def test_a_track_that_changed_is_not_gone_by_though_nobody_asked_since(known: Known) -> None:
    track = TrackId(f"trk_{3:026d}")
    _, token = known.listener()
    known.wait_for(200, token)
    known.wait_for(200, token, track)
    known.house.tracks.take_down(track, since=NOON, now=NOON)
    # By then the feed has heard of it.
    time.sleep(0.5)
    with known.without("PostgreSQL"):
        assert known.status(token, track=track) == 503
        assert known.status(token) == 200
    known.wait_for(410, token, track)
