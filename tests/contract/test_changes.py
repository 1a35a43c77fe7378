"""Hearing what others change: see catalogue.port.Changes. In SQLite, PostgreSQL and Redis."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from catalogue import changes as following
from catalogue.changes import Feed, Together
from catalogue.database.accounts import SqlAccounts, SqlSessions
from catalogue.database.changes import SqliteChanges, follow_postgresql
from catalogue.database.jobs import SqlJobs
from catalogue.database.tracks import SqlTracks
from catalogue.fleeting.changes import follow_redis
from catalogue.fleeting.client import GuardedRedis
from catalogue.fleeting.sessions import RedisSessions
from catalogue.nouns import AlbumSaid, JobId, SessionId, TrackId
from catalogue.people import Plan, Session
from catalogue.people_port import ANYTHING, Changes, Sessions
from tests.contract.examples import (
    AAC,
    ADA,
    NOON,
    WORKER,
    make_delivery,
    make_metadata,
    make_pressing,
    sha256_of,
)
from tests.e2e.servers import wait_until


@pytest.fixture
def changes(fleeting: GuardedRedis | Engine) -> Iterator[Changes]:
    """A feed that hears by now, and has said so."""
    feed: Changes
    if isinstance(fleeting, GuardedRedis):
        feed = follow_redis(fleeting)
    elif fleeting.dialect.name == "sqlite":
        feed = SqliteChanges(fleeting)
    else:
        feed = follow_postgresql(fleeting)
    assert list(feed.take()) == [ANYTHING]
    settle(feed)
    yield feed
    feed.close()


def settle(feed: Changes) -> None:
    wait_until(lambda: ANYTHING not in feed.take(), "a feed that hears")
    time.sleep(0.01)
    while ANYTHING in feed.take():
        time.sleep(0.01)


def hear(feed: Changes) -> list[str]:
    """Return what is heard next."""
    found: list[str] = []

    def listen() -> bool:
        found.extend(feed.take())
        return bool(found)

    wait_until(listen, "a change")
    return found


def session() -> Session:
    return Session(
        id=SessionId("ses_1"),
        account_id=ADA,
        device="",
        created_at=NOON,
        seen_at=NOON,
        expires_at=NOON + timedelta(days=1),
    )


def test_silence_means_that_nothing_changed(changes: Changes) -> None:
    for _ in range(20):
        assert list(changes.take()) == []
        time.sleep(0.002)


def test_what_ends_sessions_is_heard(fleeting: GuardedRedis | Engine, changes: Changes) -> None:
    sessions: Sessions = (
        RedisSessions(fleeting) if isinstance(fleeting, GuardedRedis) else SqlSessions(fleeting)
    )
    for number in range(2):
        own = replace(session(), id=SessionId(f"ses_{number}"))
        sessions.open(own, sha256_of(own.id))
        settle(changes)
        if number:
            sessions.close_all(ADA)
        else:
            sessions.close(ADA, own.id)
        assert hear(changes) in ([ANYTHING], [f"account:{ADA}"])


def publish(engine: Engine, number: int) -> TrackId:
    pressing = make_pressing(AAC, master=f"m{number}")
    album = AlbumSaid(upc="012345678901", title="Songs", disc=1, number=number)
    metadata = replace(make_metadata(isrc=f"ZZTST26{number:05}"), album=album)
    delivery = make_delivery(number, master_sha256=pressing.master.sha256)
    job = SqlTracks(engine).accept(delivery, metadata, JobId(f"job_{number}"))
    jobs = SqlJobs(engine)
    jobs.claim(job.id, "one", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    current = [each.id for each in pressing.renditions]
    jobs.publish(job.id, "one", current=current, pressing=pressing, now=NOON)
    return job.track_id


@pytest.mark.parametrize("fleeting", ["sqlite", "postgresql"], indirect=True)
def test_what_changes_a_listener_s_answer_is_heard(
    fleeting: GuardedRedis | Engine, changes: Changes
) -> None:
    assert isinstance(fleeting, Engine)
    one = publish(fleeting, 1)
    settle(changes)
    SqlAccounts(fleeting).change(ADA, now=NOON, plan=Plan.FREE)
    assert hear(changes) in ([ANYTHING], [f"account:{ADA}"])
    settle(changes)
    SqlTracks(fleeting).take_down(one, since=NOON, now=NOON)
    assert hear(changes) in ([ANYTHING], [f"track:{one}"])
    settle(changes)
    # A track that is published changes those beside it on its album.
    two = publish(fleeting, 2)
    heard = hear(changes)
    if heard != [ANYTHING]:
        told, both = set(heard), {f"track:{one}", f"track:{two}"}

        def is_told() -> bool:
            told.update(changes.take())
            return told >= both

        wait_until(is_told, "both tracks")
        assert told == both


class Script:
    """A server whose answers and absences are scripted."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.topics: list[str] = []

    @contextmanager
    def listen(self) -> Iterator[Iterator[str | None]]:
        if not self.up.is_set():
            raise ConnectionError
        yield self._give()

    def _give(self) -> Iterator[str | None]:
        while True:
            if not self.up.is_set():
                raise ConnectionError
            yield self.topics.pop(0) if self.topics else None
            time.sleep(0.001)


def test_what_is_known_holds_for_a_while_where_a_server_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "DEAF_S", 0.4)
    monkeypatch.setattr(following, "_RETRY_S", 0.01)
    server = Script()
    feed = Feed(server.listen)
    assert feed.take() == [ANYTHING], "it never heard anything"
    server.up.set()
    settle(feed)
    server.topics.append("track:trk_1")
    assert hear(feed) == ["track:trk_1"]
    server.up.clear()
    time.sleep(0.1)
    assert feed.take() == ()
    wait_until(lambda: feed.take() == [ANYTHING], "an end of what is known")
    assert feed.take() == [ANYTHING]
    server.up.set()
    settle(feed)
    server.topics.append("track:trk_1")
    wait_until(lambda: not server.topics, "a topic that is heard")
    time.sleep(0.05)
    server.up.clear()
    time.sleep(0.05)
    server.up.set()
    time.sleep(0.1)
    told = feed.take()
    assert told == ["track:trk_1", ANYTHING], "something may have been missed"
    assert feed.take() == ()
    feed.close()


def test_feeds_together_say_what_each_says() -> None:
    class Told:
        """A feed that says one thing."""

        def __init__(self, topics: Sequence[str]) -> None:
            self.topics, self.closed = topics, False

        def take(self) -> Sequence[str]:
            return self.topics

        def close(self) -> None:
            self.closed = True

    both = [Told(["a"]), Told(["b", "c"])]
    assert Together(both).take() == ["a", "b", "c"]
    assert Together([*both, Told([ANYTHING])]).take() == ["a", "b", "c", ANYTHING]
    Together(both).close()
    assert all(feed.closed for feed in both)
