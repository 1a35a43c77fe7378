"""Opening the database: a SQLAlchemy engine with its transactions told apart, and migrations."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from select import POLLIN, poll
from time import monotonic, sleep
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Table,
    create_engine,
    event,
    func,
    make_url,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DisconnectionError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.pool import ConnectionPoolEntry

from catalogue.breaker import Breaker
from catalogue.database.connections import LINE, BoundedConnection
from catalogue.errors import CatalogueUnavailable, RequestInvalid, SettingsInvalid

_BREAKER, _READER, _WRITER = "lathe_breaker", "lathe_reader", "lathe_writer"
_BUSY_TIMEOUT_S = 30
_SWITCH_PAUSE_S = 0.01
_POOL_TIMEOUT_S = 30.0
_MIGRATION_LOCK = 0x1A7E


def open_engine(url: str, *, patience_s: float | None = None) -> Engine:
    """Return an engine for ``sqlite:///…`` or ``postgresql://…``; nothing is connected yet.

    ``patience_s`` is how long a server may say nothing to a statement before it is told to be away,
    and how long a connection is waited for where all are taken; without it a statement may take as
    long as it takes. Raises SettingsInvalid for any other URL.
    """
    try:
        address = make_url(url)
    except ArgumentError as fault:
        raise SettingsInvalid("It is no database URL.", setting="LATHE_CATALOGUE") from fault
    match address.drivername:
        case "sqlite":
            engine = _open_sqlite(address)
        case "postgresql":
            engine = _open_postgresql(address, patience_s)
        case _:
            raise SettingsInvalid(
                "The catalogue is sqlite:///PATH or postgresql://USER@HOST/NAME.",
                setting="LATHE_CATALOGUE",
            )
    engine.update_execution_options(**{_WRITER: engine.execution_options(writes=True)})
    return engine


def _open_sqlite(address: URL) -> Engine:
    engine = create_engine(address, connect_args={"timeout": _BUSY_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later would fail instead of waiting its turn.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log.

    SQLite refuses the switch at once, whatever the busy timeout, where two connections to a
    new file would each wait for the other.
    """
    deadline = monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as fault:
            if fault.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
        sleep(_SWITCH_PAUSE_S)


def _open_postgresql(address: URL, patience_s: float | None) -> Engine:
    engine = create_engine(
        address.set(drivername="postgresql+psycopg"),
        pool_size=10,
        max_overflow=20,
        pool_timeout=_POOL_TIMEOUT_S if patience_s is None else patience_s,
        connect_args={**LINE, "application_name": "lathe"},
    )

    if patience_s is not None:

        @event.listens_for(engine, "do_connect")
        def _connect(
            _: object, __: object, args: Sequence[Any], named: Mapping[str, Any]
        ) -> BoundedConnection:
            connection = BoundedConnection.connect(*args, **named)
            connection.patience_s = patience_s
            return connection

    @event.listens_for(engine, "checkout")
    def _check(connection: psycopg.Connection, *_: object) -> None:
        # A server that went away has closed its end, which is then to be read. To ask it costs
        # more than most of what is asked.
        if _is_readable(connection.fileno()):
            raise DisconnectionError("The database closed the connection.")

    # Statements that only read need no transaction around them, which takes two turns more.
    reader = engine.execution_options(isolation_level="AUTOCOMMIT")
    breaker = Breaker(CatalogueUnavailable, "catalogue")
    engine.update_execution_options(**{_BREAKER: breaker, _READER: reader})
    return engine


def breaker_of(engine: Engine) -> Breaker | None:
    """Return the breaker before a database that has a server."""
    found = engine.get_execution_options().get(_BREAKER)
    assert found is None or isinstance(found, Breaker)
    return found


def upgrade(engine: Engine) -> None:
    """Bring the database's tables to what this version expects; others wait meanwhile."""
    config = Config()
    config.set_main_option("script_location", "catalogue:migrations")
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            lock = select(func.pg_advisory_xact_lock(_MIGRATION_LOCK))
            connection.execute(lock)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _is_readable(fd: int) -> bool:
    found = poll()
    found.register(fd, POLLIN)
    return bool(found.poll(0))


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection to read with; in SQLite in one transaction. Raises CatalogueUnavailable."""
    reader = engine.get_execution_options().get(_READER, engine)
    with _guarding(engine), _translated(), reader.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that is committed at the end, or rolled back."""
    writer = engine.get_execution_options()[_WRITER]
    with _guarding(engine), _translated(), writer.begin() as connection:
        yield connection


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert ``row`` unless its primary key stands there; return whether it was inserted."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    insertion = dialect.insert(table).values(**row).on_conflict_do_nothing()
    # PostgreSQL's driver does not always count rows.
    return connection.execute(insertion.returning(true())).first() is not None


def insert_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert those of ``rows`` whose primary keys do not stand there."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    if rows:
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def _guarding(engine: Engine) -> AbstractContextManager[None]:
    breaker = breaker_of(engine)
    return nullcontext() if breaker is None else breaker.guarding()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (InterfaceError, OperationalError) as fault:
        raise CatalogueUnavailable(f"The database does not answer: {fault.orig}.") from fault
    except NoneFree as fault:
        raise CatalogueUnavailable("All connections to the database are taken.") from fault
    except DataError as fault:
        # A NUL in a text, say, which PostgreSQL has no place for.
        raise RequestInvalid("A value is none that the catalogue can hold.") from fault
