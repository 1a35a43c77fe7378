"""Asking a database on the event loop, without a thread: for rows that take it no time to find.

A thread's turn, a pool and SQLAlchemy's own work take ten times what libpq takes to ask and to be
answered. Only statements that read are asked so. Whatever goes wrong is told by no answer: who
asked then asks the plain way, which has words and a breaker for it.
"""

import asyncio
import json
import re
import sqlite3
from asyncio import AbstractEventLoop, Future
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import psycopg
from psycopg import generators, pq, waiting
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Engine, Select, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect

from catalogue.database.connections import LINE

PATIENCE_S = 2.0
"""How long an answer is waited for."""

HASTE_S = 0.25
"""How long a connection is waited for."""

REST_S = 1.0
"""How long a server is not asked after it did not answer."""

_INTERVAL_S = 0.1

Statements = Mapping[str, Select[Any]]
Values = int | Sequence[str]
Row = Sequence[Any]

# Names that need no escaping, which are all that the plant gives.
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")


class Direct(Protocol):
    """Asks statements by their names, one at a time."""

    async def rows(self, name: str, **values: Values) -> Sequence[Row] | None:
        """Return what a statement finds, texts as UTF-8, or None if that cannot be told now."""


def open_direct(engine: Engine, statements: Statements) -> Direct:
    """Return what asks an engine's database; nothing is connected yet."""
    if engine.dialect.name == "sqlite":
        return SqliteDirect(Path(engine.url.database or ""), statements)
    return PostgresDirect(engine.url, statements)


def is_plain(name: str) -> bool:
    """Return whether a name may be asked for."""
    return _PLAIN.fullmatch(name) is not None


class _Written(NamedTuple):
    """A statement in words, its parameters' names in order, and the values of some of them."""

    text: str
    order: Sequence[str]
    fixed: Mapping[str, Any]


def _write(statements: Statements, dialect: Dialect) -> dict[str, _Written]:
    compiled = {name: each.compile(dialect=dialect) for name, each in statements.items()}
    return {
        name: _Written(str(each), getattr(each, "positiontup", None) or (), each.params)
        for name, each in compiled.items()
    }


class PostgresDirect:
    """Asks PostgreSQL over a connection of its own, by statements that are prepared."""

    def __init__(self, url: URL, statements: Statements) -> None:
        address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        told = {"client_encoding": "utf8", "application_name": "lathe"}
        self._address = make_conninfo(address, **LINE, **told)
        dialect: Any = make_url("postgresql+psycopg://").get_dialect()
        self._statements = _write(statements, dialect(paramstyle="numeric_dollar"))
        self._connection: pq.abc.PGconn | None = None
        # The number of the connection's socket. libpq closes it as soon as the server is gone, and
        # tells it no more; what the process opens next has it again.
        self._watched = -1
        self._rests_until = 0.0
        self._loop: AbstractEventLoop | None = None
        self._turn: asyncio.Lock
        self._opens: asyncio.Task[None] | None = None
        # Whoever is to be answered, and what came for it so far.
        self._waits: Future[pq.abc.PGresult | None] | None = None
        self._found: pq.abc.PGresult | None = None

    async def rows(self, name: str, **values: Values) -> Sequence[Row] | None:
        """See Direct.rows."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # What was opened on another one is of no use here.
            self._drop()
            self._loop, self._turn = loop, asyncio.Lock()
            self._opens, self._rests_until = None, 0.0
        said = self._statements[name]
        given = [_encode(values.get(each, said.fixed[each])) for each in said.order]
        async with self._turn:
            found = await self._ask(loop, name.encode(), given)
        if found is None:
            return None
        get, columns = found.get_value, range(found.nfields)
        return [[get(row, column) for column in columns] for row in range(found.ntuples)]

    async def _ask(
        self, loop: AbstractEventLoop, name: bytes, given: Sequence[bytes]
    ) -> pq.abc.PGresult | None:
        connection = self._connection or await self._connect(loop)
        if connection is None:
            return None
        waits: Future[pq.abc.PGresult | None] = loop.create_future()
        self._waits, found = waits, None
        ends = loop.call_later(PATIENCE_S, self._drop)
        try:
            connection.send_query_prepared(name, given)
            # If not all of it can be sent at once, something is wrong with the connection.
            if not connection.flush():
                found = await waits
        except psycopg.Error:
            found = None
        finally:
            ends.cancel()
            self._waits = self._found = None
            if found is None or found.status != pq.ExecStatus.TUPLES_OK:
                self._drop()
                found = None
        return found

    async def _connect(self, loop: AbstractEventLoop) -> pq.abc.PGconn | None:
        """Return the connection, if it is there soon; else it may be for those who ask later."""
        if self._opens is None and loop.time() >= self._rests_until:
            self._opens = loop.create_task(self._open_on(loop))
            await asyncio.wait([self._opens], timeout=HASTE_S)
        return self._connection

    async def _open_on(self, loop: AbstractEventLoop) -> None:
        try:
            connection = await asyncio.to_thread(self._open)
        except psycopg.Error:
            self._rests_until = loop.time() + REST_S
        else:
            if loop is self._loop:
                connection.nonblocking = 1
                self._watched = connection.socket
                loop.add_reader(self._watched, self._read)
                self._connection = connection
        finally:
            if loop is self._loop:
                self._opens = None

    def _open(self) -> pq.abc.PGconn:
        # libpq's own waiting for a connection lets no other thread of the process go on.
        opens, timeout_s = generators.connect(self._address), LINE["connect_timeout"]
        connection: pq.abc.PGconn = waiting.wait_conn(
            opens, interval=_INTERVAL_S, timeout=timeout_s
        )
        try:
            for name, each in self._statements.items():
                connection.send_prepare(name.encode(), each.text.encode())
                prepares = generators.execute(connection)
                (told,) = waiting.wait(
                    prepares, connection.socket, interval=_INTERVAL_S, timeout=PATIENCE_S
                )
                if told.error_message:
                    raise psycopg.OperationalError("The database does not know a statement.")
        except psycopg.Error:
            connection.finish()
            raise
        return connection

    def _read(self) -> None:
        """Take what has come; if that is all of an answer, let it be known."""
        connection, waits = self._connection, self._waits
        assert connection is not None
        try:
            connection.consume_input()
            while not connection.is_busy():
                result = connection.get_result()
                if result is None:
                    if waits is not None and not waits.done():
                        waits.set_result(self._found)
                    return
                self._found = result
        except psycopg.Error:
            # A server that goes away says so to whoever asks nothing, too.
            self._drop()

    def _drop(self) -> None:
        """Let go of the connection; who waits is not answered."""
        connection, self._connection = self._connection, None
        if connection is not None and self._loop is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._watched)
                self._rests_until = self._loop.time() + REST_S
            connection.finish()
        if self._waits is not None and not self._waits.done():
            self._waits.set_result(None)


def _encode(value: Values) -> bytes:
    if isinstance(value, int):
        return b"%d" % value
    return f"{{{','.join(value)}}}".encode("ascii")


class SqliteDirect:
    """Asks SQLite, which is but a file that is read."""

    def __init__(self, path: Path, statements: Statements) -> None:
        self._path = path
        self._statements = _write(statements, sqlite.dialect())
        self._connection: sqlite3.Connection | None = None

    async def rows(self, name: str, **values: Values) -> Sequence[Row] | None:
        """See Direct.rows."""
        said = self._statements[name]
        chosen = [values.get(each, said.fixed[each]) for each in said.order]
        given = [each if isinstance(each, int) else json.dumps(list(each)) for each in chosen]
        try:
            if self._connection is None:
                self._connection = self._open()
            return self._connection.execute(said.text, given).fetchall()
        except sqlite3.Error:
            self._connection = None
            return None

    def _open(self) -> sqlite3.Connection:
        address = f"{self._path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(address, uri=True, check_same_thread=False, timeout=0)
        connection.text_factory = bytes
        return connection
