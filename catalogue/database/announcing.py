"""Telling others what a transaction changes; catalogue.database.changes hears it.

Whatever is changed of a track is told here, and raises the edition that cards of it go by. Where a
transaction changes a track and an album, it does so in this order, so that none waits for another
that waits for it.
"""

from sqlalchemy import Connection, func, select, update

from catalogue.changes import CHANNEL
from catalogue.database.schema import albums, tracks


def announce(connection: Connection, *topics: str) -> None:
    """Tell whoever follows changes of some, when this transaction is committed."""
    # SQLite tells by itself that something was committed.
    if connection.dialect.name == "postgresql":
        for topic in topics:
            connection.execute(select(func.pg_notify(CHANNEL, topic)))


def announce_track(connection: Connection, track_id: str) -> None:
    """Tell of a change to a track."""
    own = update(tracks).where(tracks.c.id == track_id)
    connection.execute(own.values(edition=tracks.c.edition + 1))
    announce(connection, f"track:{track_id}")


def announce_album(connection: Connection, album_id: str) -> None:
    """Tell the tracks of an album that they may stand beside others now."""
    own = update(albums).where(albums.c.id == album_id)
    connection.execute(own.values(edition=albums.c.edition + 1))
    on_it = select(tracks.c.id).where(tracks.c.album_id == album_id).order_by(tracks.c.id)
    announce(connection, *(f"track:{each}" for each in connection.execute(on_it).scalars()))
