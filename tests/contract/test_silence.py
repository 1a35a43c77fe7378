"""A database that says nothing: requests are told soon, and work that takes long is left alone."""

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text

from catalogue import changes as following
from catalogue.breaker import FAILURES
from catalogue.database import changes as hearing
from catalogue.database.changes import follow_postgresql
from catalogue.database.engine import breaker_of, open_engine, reading, writing
from catalogue.errors import CatalogueUnavailable
from catalogue.people_port import ANYTHING
from tests.e2e.servers import children_of, wait_until
from tests.engines import PostgresServer, stopped

PATIENCE_S = 0.4
LONG = select(func.pg_sleep(3 * PATIENCE_S))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with PostgresServer(Path(folder)) as found:
            yield found


@pytest.fixture
def opened(server: PostgresServer) -> Iterator[Engine]:
    engine = open_engine(server.url("postgres"), patience_s=PATIENCE_S)
    yield engine
    engine.dispose()


def silent(server: PostgresServer) -> AbstractContextManager[None]:
    return stopped([server.pid, *children_of(server.pid)])


def ask(engine: Engine) -> int:
    with reading(engine) as connection:
        return int(connection.execute(text("SELECT 7")).scalar_one())


def is_there(engine: Engine) -> bool:
    try:
        return ask(engine) == 7
    except CatalogueUnavailable:
        return False


def test_a_server_that_stands_still_is_told_to_be_away_and_comes_back(
    server: PostgresServer, opened: Engine
) -> None:
    assert ask(opened) == 7
    breaker = breaker_of(opened)
    assert breaker is not None
    with silent(server):
        for _ in range(FAILURES + 2):
            with pytest.raises(CatalogueUnavailable):
                ask(opened)
        assert breaker.is_open
    wait_until(lambda: is_there(opened), "an answer")
    assert not breaker.is_open


def test_a_transaction_of_one_that_stands_still_is_no_more(
    server: PostgresServer, opened: Engine
) -> None:
    def write() -> None:
        with writing(opened) as connection:
            connection.execute(text("CREATE TABLE written (n integer)"))
            with silent(server):
                connection.execute(text("INSERT INTO written VALUES (1)"))

    with pytest.raises(CatalogueUnavailable):
        write()
    wait_until(lambda: is_there(opened), "an answer")
    with reading(opened) as connection:
        found = connection.execute(text("SELECT to_regclass('written')")).scalar_one()
    assert found is None


def test_what_takes_long_is_waited_for_by_those_who_have_time(
    server: PostgresServer, opened: Engine
) -> None:
    with pytest.raises(CatalogueUnavailable), reading(opened) as connection:
        connection.execute(LONG)
    patient = open_engine(server.url("postgres"))
    with reading(patient) as connection:
        connection.execute(LONG)
    patient.dispose()


def test_an_answer_that_is_long_is_taken_as_long_as_it_comes(opened: Engine) -> None:
    many = text(
        f"SELECT repeat('x', 100000), pg_sleep({PATIENCE_S / 4}) FROM generate_series(1, 9)"
    )
    with reading(opened) as connection:
        assert len(connection.execute(many).all()) == 9


def test_a_connection_is_not_waited_for_for_ever(opened: Engine) -> None:
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(opened.connect())
        with pytest.raises(CatalogueUnavailable):
            ask(opened)
    assert ask(opened) == 7


def test_a_feed_whose_server_stands_still_does_not_take_it_for_quiet(
    server: PostgresServer, opened: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "DEAF_S", 0.0)
    monkeypatch.setattr(following, "_RETRY_S", 0.01)
    monkeypatch.setattr(hearing, "SILENCE_S", 0.1)
    monkeypatch.setattr(hearing, "_PATIENCE_S", 0.1)
    feed = follow_postgresql(opened)
    wait_until(lambda: ANYTHING not in feed.take(), "a feed that hears")
    with silent(server):
        wait_until(lambda: ANYTHING in feed.take(), "a feed that knows that it does not hear")
    wait_until(lambda: ANYTHING not in feed.take(), "a feed that hears")
    feed.close()
