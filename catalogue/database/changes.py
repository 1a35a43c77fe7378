"""Hearing what others change in the database."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import Engine

from catalogue.changes import CHANNEL, SILENCE_S, Feed
from catalogue.database.connections import LINE, BoundedConnection
from catalogue.people_port import ANYTHING

LOOK_EVERY_S = 0.005
_PATIENCE_S = 5.0


class SqliteChanges:
    """See catalogue.port.Changes: SQLite tells that something was committed, not what.

    It is asked every five milliseconds at most.
    """

    def __init__(self, engine: Engine) -> None:
        self._path = Path(engine.url.database or "")
        self._connection: sqlite3.Connection | None = None
        self._seen: int | None = None
        self._looked = 0.0

    def take(self) -> Sequence[str]:
        """See Changes.take."""
        now = monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return ()
        self._looked = now
        try:
            if self._connection is None:
                address = f"{self._path.absolute().as_uri()}?mode=ro"
                self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            self._seen = None
            return (ANYTHING,)
        if version == self._seen:
            return ()
        self._seen = version
        return (ANYTHING,)

    def close(self) -> None:
        """See Changes.close."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def follow_postgresql(engine: Engine) -> Feed:
    """Return the feed of what is told in the transactions of others."""
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    address = make_conninfo(url, **LINE)

    @contextmanager
    def listen() -> Iterator[Iterator[str | None]]:
        with BoundedConnection.connect(address, autocommit=True) as connection:
            connection.patience_s = _PATIENCE_S
            connection.execute(f"LISTEN {CHANNEL}")
            yield _topics(connection)

    return Feed(listen)


def _topics(connection: "psycopg.Connection[tuple[object, ...]]") -> Iterator[str | None]:
    while True:
        for told in connection.notifies(timeout=SILENCE_S):
            yield told.payload
        connection.execute("SELECT 1")
        yield None
