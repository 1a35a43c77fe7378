"""Telling others what a transaction changes; catalogue.database.changes hears it."""

from sqlalchemy import Connection, func, select

from catalogue.changes import CHANNEL
from catalogue.database.schema import tracks
from catalogue.nouns import TrackId


def announce(connection: Connection, *topics: str) -> None:
    """Tell whoever follows changes of some, when this transaction is committed."""
    # SQLite tells by itself that something was committed.
    if connection.dialect.name == "postgresql":
        for topic in topics:
            connection.execute(select(func.pg_notify(CHANNEL, topic)))


def announce_track(connection: Connection, track_id: TrackId) -> None:
    """Tell of a change to a track, and to the others on its album, which it stands beside."""
    if connection.dialect.name != "postgresql":
        return
    album = select(tracks.c.album_id).where(tracks.c.id == track_id).scalar_subquery()
    beside = select(tracks.c.id).where(tracks.c.album_id == album)
    ids = {str(track_id), *connection.execute(beside).scalars()}
    announce(connection, *(f"track:{each}" for each in sorted(ids)))
