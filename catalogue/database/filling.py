"""Filling what nobody said of a track by what its master says of itself, and never otherwise."""

from datetime import date
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, select, update

from catalogue.database.announcing import announce_album
from catalogue.database.briefs import ALBUM_DETAILS, TRACK_DETAILS
from catalogue.database.schema import albums, masters, tracks
from catalogue.nouns import Delivery, Master, Tags

MASTER = TypeAdapter(Master)


def fill(connection: Connection, delivery: Delivery) -> None:
    """Fill what is lacking of the track of a delivery whose master is known by now.

    Its title and artist where they were not said, its genre, and when its album came out. What is
    said later goes before all of it. Whoever calls announces the track.
    """
    query = select(masters.c.facts).where(masters.c.sha256 == delivery.master_sha256)
    facts = connection.execute(query).scalar()
    if facts is not None:
        tags = MASTER.validate_python(facts).tags
        album_id = _fill_track(connection, delivery, tags)
        if album_id is not None:
            _fill_album(connection, album_id, tags)


def _fill_track(connection: Connection, delivery: Delivery, tags: Tags) -> str | None:
    """Fill a track; return the id of the album that it is on."""
    own = tracks.c.id == delivery.track_id
    asked = select(tracks.c.details, tracks.c.album_id).where(own)
    # Whoever changes both a track and its album begins with the track: none waits for another.
    row = connection.execute(asked.with_for_update()).one()
    details = TRACK_DETAILS.validate_python(row.details or {})
    found = {"title": tags.title, "artist": tags.artist}
    values: dict[str, Any] = {
        name: text for name, text in found.items() if name in details.unsaid and text
    }
    if not details.genres and tags.genre:
        said = {**TRACK_DETAILS.dump_python(details, mode="json"), "genres": [tags.genre]}
        values["details"] = said
    if values:
        connection.execute(update(tracks).where(own).values(**values))
    return None if row.album_id is None else str(row.album_id)


def _fill_album(connection: Connection, album_id: str, tags: Tags) -> None:
    own = albums.c.id == album_id
    said = connection.execute(select(albums.c.details).where(own)).scalar()
    details = ALBUM_DETAILS.validate_python(said or {})
    if details.released_on is None and _is_date(tags.date):
        filled = ALBUM_DETAILS.dump_python(details, mode="json") | {"released_on": tags.date}
        connection.execute(update(albums).where(own).values(details=filled))
        announce_album(connection, album_id)


def _is_date(text: str | None) -> bool:
    """Return whether a tag's date is one of a day, and not of a year alone."""
    try:
        return text is not None and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
