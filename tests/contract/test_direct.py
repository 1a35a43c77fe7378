"""Asking PostgreSQL on the event loop: whatever goes wrong is no answer, and soon there is one."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import pytest
import uvloop
from sqlalchemy import Column, Integer, MetaData, Table, func, literal_column, select

from catalogue.database import direct
from catalogue.database.direct import Direct, Row, open_direct
from catalogue.database.engine import open_engine

WIDE_BYTES = 3_000_000
CHANGING = Table("changing", MetaData(), Column("n", Integer))
STATEMENTS = {
    "some": select(literal_column("7"), literal_column("'♪'"), literal_column("NULL")),
    "wide": select(func.repeat(literal_column("'x'"), WIDE_BYTES)),
    "none": select(literal_column("7")).where(literal_column("false")),
    "wrong": select(literal_column("1 / 0")),
    "slow": select(func.pg_sleep(60)),
    "who": select(func.pg_backend_pid()),
    "changing": select(CHANGING.c.n),
}
SOME = [[b"7", "♪".encode(), None]]


@pytest.fixture
def url(make_database: Callable[[str], str]) -> str:
    found = make_database("postgresql")
    execute(found, "CREATE TABLE changing (n integer)")
    return found


@pytest.fixture
def asked(url: str, monkeypatch: pytest.MonkeyPatch) -> Direct:
    monkeypatch.setattr(direct, "REST_S", 0.1)
    engine = open_engine(url)
    engine.dispose()
    return open_direct(engine, STATEMENTS)


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run it on a loop as an origin has it, on which nothing may go wrong that nobody waits for."""
    faults = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
        await asyncio.wait_for(work, 30)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(watched())
    assert faults == []


async def soon(asked: Direct, name: str) -> list[Row]:
    """Return an answer as soon as there is one."""
    while (found := await asked.rows(name)) is None:
        await asyncio.sleep(0.02)
    return list(found)


def test_rows_are_told_as_they_are(asked: Direct) -> None:
    async def check() -> None:
        for _ in range(3):
            assert await asked.rows("some") == SOME
            assert await asked.rows("none") == []
            assert await asked.rows("wide") == [[b"x" * WIDE_BYTES]]

    run(check())
    run(check())


def test_what_fails_is_no_answer_and_the_next_has_one(asked: Direct) -> None:
    async def check() -> None:
        assert await asked.rows("some") == SOME
        assert await asked.rows("wrong") is None
        # The server has its rest first.
        assert await asked.rows("some") is None
        assert await soon(asked, "some") == SOME

    run(check())


def test_one_that_is_closed_by_the_server_is_opened_again(asked: Direct, url: str) -> None:
    async def check() -> None:
        ((before,),) = await soon(asked, "who")
        execute(url, f"SELECT pg_terminate_backend({int(before)}, 5000)")
        ((after,),) = await soon(asked, "who")
        assert after != before
        # Also one that is waited for.
        waits = asyncio.create_task(asked.rows("slow"))
        await asyncio.sleep(0.1)
        execute(url, f"SELECT pg_terminate_backend({int(after)}, 5000)")
        assert await waits is None
        assert await soon(asked, "some") == SOME

    run(check())


def test_what_is_opened_after_one_that_was_closed_is_not_taken_for_it(
    asked: Direct, url: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        writer.close()

    async def check() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()[:2]
        ((pid,),) = await soon(asked, "who")
        execute(url, f"SELECT pg_terminate_backend({int(pid)}, 5000)")
        await asyncio.sleep(0.05)
        # Both ends of each get the numbers that are free again.
        for _ in range(8):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
        assert await soon(asked, "some") == SOME
        server.close()
        await server.wait_closed()

    run(check())


def test_one_that_takes_too_long_is_not_waited_for(
    asked: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "PATIENCE_S", 0.2)

    async def check() -> None:
        # Who comes behind it finds the server at rest.
        first, second = await asyncio.gather(asked.rows("slow"), asked.rows("some"))
        assert first is None
        assert second is None
        assert await soon(asked, "some") == SOME

    run(check())


def test_who_gives_up_leaves_nothing_to_the_next(asked: Direct) -> None:
    async def check() -> None:
        assert await asked.rows("some") == SOME
        waits = asyncio.create_task(asked.rows("slow"))
        await asyncio.sleep(0.1)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        assert await soon(asked, "none") == []
        assert await soon(asked, "some") == SOME

    run(check())


def test_tables_may_change_meanwhile(asked: Direct, url: str) -> None:
    async def check() -> None:
        assert await asked.rows("changing") == []
        execute(url, "INSERT INTO changing VALUES (5)")
        assert await asked.rows("changing") == [[b"5"]]
        execute(url, "ALTER TABLE changing ALTER n TYPE text")
        assert await asked.rows("changing") is None
        assert await soon(asked, "changing") == [[b"5"]]

    run(check())


def test_all_else_goes_on_while_a_server_that_says_nothing_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = open_engine(f"postgresql://lathe@127.0.0.1:{silent.getsockname()[1]}/none")
        asked = open_direct(engine, STATEMENTS)

        async def check() -> None:
            steps = 0
            waits = asyncio.create_task(asked.rows("some"))
            while not waits.done():
                await asyncio.sleep(0.01)
                steps += 1
            assert await waits is None
            assert steps > 3

        asyncio.run(check())


def test_a_server_that_says_nothing_is_not_waited_for_to_be_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = open_engine(f"postgresql://lathe@127.0.0.1:{silent.getsockname()[1]}/none")
        asked = open_direct(engine, STATEMENTS)

        async def check() -> None:
            for _ in range(3):
                assert await asked.rows("some") is None
            # It is still being opened.
            assert not [task for task in asyncio.all_tasks() if task.done()]
            assert len(asyncio.all_tasks()) == 2

        asyncio.run(check())
